/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/ctl/client.h"

#include "base/assert.h"
#include "base/secret.h"
#include "proto/admin_text.h"
#include "proto/grpc_client.h"
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define STATUS_DEADLINE 4
#define STATUS_ABORTED 10
#define STATUS_UNAVAILABLE 14
#define STATUS_UNAUTHENTICATED 16
#define CONNECT_MS 3000U
#define PAUSE_MS 100      /* between rounds; an election takes seconds */
#define UNHEARD_ROUNDS 3U /* when not one server could be reached */
#define ATTEMPT_MS 15000U /* of one server: more than a fence may take */
#define PATH_BYTES_MAX 200U

struct exit_row {
    const char *name;
    int exit_code;
};
/* clang-format off */
static const struct exit_row exits[] = {
    [0]  = {"OK", 0},                [1]  = {"CANCELLED", 6},          [2]  = {"UNKNOWN", 1},
    [3]  = {"INVALID_ARGUMENT", 2},  [4]  = {"DEADLINE_EXCEEDED", 6},  [5]  = {"NOT_FOUND", 3},
    [6]  = {"ALREADY_EXISTS", 4},    [7]  = {"PERMISSION_DENIED", 5},  [8]  = {"RESOURCE_EXHAUSTED", 1},
    [9]  = {"FAILED_PRECONDITION", 4}, [10] = {"ABORTED", 6},          [11] = {"OUT_OF_RANGE", 2},
    [12] = {"UNIMPLEMENTED", 1},     [13] = {"INTERNAL", 1},           [14] = {"UNAVAILABLE", 6},
    [15] = {"DATA_LOSS", 1},         [16] = {"UNAUTHENTICATED", 5},
};
/* clang-format on */

int ctl_exit_code(int status)
{
    return status >= 0 && (size_t)status < VY_COUNT_OF(exits) ? exits[status].exit_code : 1;
}

const char *ctl_status_name(int status)
{
    return status >= 0 && (size_t)status < VY_COUNT_OF(exits) ? exits[status].name : "UNKNOWN";
}

void ctl_answer_init(struct ctl_answer *answer)
{
    answer->status = STATUS_UNAVAILABLE;
    vy_buf_init(&answer->reply, GRPC_CLIENT_REPLY_BYTES_MAX);
    vy_buf_init(&answer->message, 64U * 1024);
}

void ctl_answer_deinit(struct ctl_answer *answer)
{
    if (answer->reply.data != NULL) {
        vy_wipe(answer->reply.data, answer->reply.capacity); /* a password, perhaps */
    }
    vy_buf_deinit(&answer->reply);
    vy_buf_deinit(&answer->message);
}

/* A path is made absolute: it is meant from where the command was typed. NULL: no memory. */
static const char *address_of(struct vy_arena *arena, struct vy_bytes server)
{
    char here[PATH_MAX];
    const struct vy_bytes path = vy_bytes_from(server, sizeof("unix:") - 1);
    if (!vy_bytes_starts_with(server, VY_LIT("unix:")) || path.len == 0 || path.data[0] == '/' ||
        getcwd(here, sizeof(here)) == NULL) {
        return vy_arena_cstr(arena, server);
    }
    return vy_arena_printf(arena, "unix:%s/%.*s", here, VY_PRI(path));
}

struct vy_err ctl_client_init(struct ctl_client *client, const struct ctl_client_config *config,
                              struct vy_arena *arena)
{
    struct vy_bytes rest = config->servers;
    *client = (struct ctl_client){.config = *config};
    while (rest.len > 0) {
        const struct vy_bytes server = vy_bytes_trim(vy_bytes_cut(&rest, ','));
        if (server.len == 0) {
            continue;
        }
        if (client->server_count == CTL_SERVERS_MAX) {
            return vy_error(VY_CODE_ARGUMENT, "more than 32 servers");
        }
        const char *text = address_of(arena, server);
        if (text == NULL) {
            return vy_error(VY_CODE_NOMEM, "addresses");
        }
        client->servers[client->server_count++] = text;
    }
    return client->server_count > 0 ? vy_ok() : vy_error(VY_CODE_ARGUMENT, "no server is named");
}

void ctl_client_deinit(struct ctl_client *client)
{
    grpc_client_free(client->open);
    client->open = NULL;
}

/* ---- one server ---- */

static struct vy_err open_server(struct ctl_client *client, uint32_t left_ms, struct vy_buf *why)
{
    const char *address = client->servers[client->next];
    const struct grpc_client_tls tls = {.ca_file = client->config.tls_ca,
                                        .cert_file = client->config.tls_certificate,
                                        .key_file = client->config.tls_key};
    const bool is_unix = vy_bytes_starts_with(vy_cstr(address), VY_LIT("unix:"));
    const struct grpc_client_config config = {.address = address,
                                              .tls = is_unix || tls.ca_file == NULL ? NULL : &tls,
                                              .timeout_ms = VY_MIN(left_ms, CONNECT_MS)};
    return client->open != NULL ? vy_ok() : grpc_client_open(&config, &client->open, why);
}

/* What came of a try, worst first. */
enum heard {
    HEARD_NOTHING,  /* not reached */
    HEARD_REFERRAL, /* another server has the answer */
    HEARD_SILENCE,  /* reached, and then no answer: the outcome is not known */
    HEARD_WORDS     /* the server's own answer */
};

static enum heard ask_server(struct ctl_client *client, const char *path, struct vy_bytes request,
                             uint32_t left_ms, struct ctl_answer *out)
{
    vy_buf_reset(&out->reply);
    vy_buf_reset(&out->message);
    vy_buf_printf(&out->message, "%s: ", client->servers[client->next]);
    const size_t prefix = vy_buf_len(&out->message);
    struct vy_err err = open_server(client, left_ms, &out->message);
    const bool is_open = !vy_failed(err);
    if (is_open) {
        err = grpc_client_call(client->open, path, request, left_ms, &out->reply, &out->status,
                               &out->message);
    }
    if (!vy_failed(err)) {
        vy_buf_consume(&out->message, prefix);
        return vy_bytes_starts_with(vy_buf_bytes(&out->message), VY_LIT(ADMIN_TEXT_NOT_LEADER))
                   ? HEARD_REFERRAL
                   : HEARD_WORDS;
    }
    if (vy_buf_len(&out->message) == prefix) {
        vy_buf_printf(&out->message, "%s%s%s", err.what == NULL ? vy_code_text(err.code) : err.what,
                      err.sys == 0 ? "" : ": ", err.sys == 0 ? "" : strerror(err.sys));
    }
    out->status = vy_code_grpc_status(err.code);
    grpc_client_free(client->open);
    client->open = NULL;
    return is_open ? HEARD_SILENCE : HEARD_NOTHING;
}

/* ---- all of them ---- */

static bool is_worth_repeating(int status)
{
    return status == STATUS_UNAVAILABLE || status == STATUS_DEADLINE || status == STATUS_ABORTED;
}

static void go_to_next(struct ctl_client *client)
{
    if (client->server_count > 1) {
        grpc_client_free(client->open);
        client->open = NULL;
    }
    client->next = (client->next + 1) % client->server_count;
}

/* Words of a server that answered say more than a refused connection to another one, or than a last
 * try that the time did not suffice for. */
static void keep_answer(struct ctl_answer *out, struct ctl_answer *answer, bool is_better)
{
    if (is_better || !is_worth_repeating(answer->status)) {
        const struct ctl_answer before = *out;
        *out = *answer;
        *answer = before;
    }
    ctl_answer_deinit(answer);
}

/* True: *out is the answer. best: the most that was heard so far. */
static bool ask_round(struct ctl_client *client, const char *path, struct vy_bytes request,
                      uint64_t deadline_ms, enum heard *best, struct ctl_answer *out)
{
    for (size_t i = 0; i < client->server_count; i++) {
        struct ctl_answer answer;
        const uint64_t now_ms = vy_clock_mono_ms(client->config.clock);
        if (now_ms >= deadline_ms) {
            return true; /* with what the last one said */
        }
        ctl_answer_init(&answer);
        const enum heard heard = ask_server(
            client, path, request, (uint32_t)VY_MIN(deadline_ms - now_ms, ATTEMPT_MS), &answer);
        keep_answer(out, &answer, heard >= *best);
        *best = VY_MAX(*best, heard);
        if (!is_worth_repeating(out->status)) {
            return true;
        }
        go_to_next(client);
    }
    return false;
}

void ctl_client_call(struct ctl_client *client, const struct vy_pb_method *method,
                     struct vy_bytes request, struct ctl_answer *out)
{
    const uint64_t deadline_ms = vy_clock_mono_ms(client->config.clock) + client->config.timeout_ms;
    char path[PATH_BYTES_MAX];
    enum heard best = HEARD_NOTHING;
    (void)snprintf(path, sizeof(path), "/%s/%s", method->service, method->method);
    for (unsigned round = 0; best != HEARD_NOTHING || round < UNHEARD_ROUNDS; round++) {
        if (ask_round(client, path, request, deadline_ms, &best, out)) {
            return;
        }
        (void)poll(NULL, 0, PAUSE_MS);
    }
}
