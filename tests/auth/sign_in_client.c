/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/auth/sign_in_client.h"

#include "base/assert.h"
#include "base/codec.h"
#include "frontend/imap/imap_session.h"
#include "frontend/smtp/smtp_session.h"
#include "meta/password.h"
#include "tests/lib/scram_client.h"
#include "tests/lib/test.h"
#include <stdio.h>

#define LATE_MS_MAX 60000U

static const uint8_t exporter[32] = "the exporter of this connection";
static const uint8_t end_point[32] = "the hash of the certificate ...";

struct mechanism {
    const char *name;
    const char *gs2; /* of SCRAM */
    struct vy_bytes binding;
};
static const struct mechanism mechanisms[SIGN_IN_MECHANISMS] = {
    [SIGN_IN_PLAIN] = {.name = "PLAIN"                  },
    [SIGN_IN_LOGIN] = {.name = "LOGIN"                  },
    [SIGN_IN_SCRAM] = {.name = "SCRAM-SHA-256",           .gs2 = "n,,"},
    [SIGN_IN_PLUS_EXPORTER] = {.name = "SCRAM-SHA-256-PLUS",
                       .gs2 = "p=tls-exporter,,",
                       .binding = {exporter, sizeof(exporter)}},
    [SIGN_IN_PLUS_END_POINT] = {.name = "SCRAM-SHA-256-PLUS",
                       .gs2 = "p=tls-server-end-point,,",
                       .binding = {end_point, sizeof(end_point)}},
    [SIGN_IN_COMMAND] = {.name = "the command LOGIN"                                },
    [SIGN_IN_OAUTHBEARER] = {.name = "OAUTHBEARER"},
};

bool sign_in_has(enum sign_in_protocol protocol, enum sign_in_mechanism mechanism)
{
    return mechanism != SIGN_IN_OAUTHBEARER &&
           (mechanism != SIGN_IN_COMMAND || protocol == SIGN_IN_IMAP);
}

const char *sign_in_text(enum sign_in_protocol protocol, enum sign_in_mechanism mechanism)
{
    static char text[64];
    (void)snprintf(text, sizeof(text), "%s, %s", protocol == SIGN_IN_SMTP ? "SMTP" : "IMAP",
                   mechanisms[mechanism].name);
    return text;
}

/* ---- the shell ---- */

struct client {
    struct meta_local *local;
    const struct sign_in_try *try;
    struct sign_in_heard *heard;
    struct session *session;
    struct smtp_limits smtp_limits;
    struct smtp_profile smtp_profile;
    struct imap_limits imap_limits;
    struct vy_buf out; /* not looked at yet */
    uint64_t now_ms;
    uint64_t timer_ms; /* 0: none */
};

static uint64_t group_of(void *arg, uint64_t account_id)
{
    (void)arg;
    (void)account_id;
    return META_LOCAL_GROUP_ID;
}

static void answer_call(struct client *c, const struct session_action *action)
{
    struct vy_buf request;
    struct vy_bytes reply = {.len = 0};
    struct vy_err err = vy_error(VY_CODE_UNAVAILABLE, "there are no shards");
    vy_buf_init(&request, 1U << 20);
    assert_false(vy_failed(vy_pb_encode(action->request_desc, action->request, &request)));
    if (action->target == SESSION_TO_META) {
        err = meta_local_call_bytes(c->local, action->method, vy_buf_bytes(&request), &reply);
    }
    c->session->ops->call_ended(c->session, action->call_id, err,
                                vy_failed(err) ? vy_bytes("", 0) : reply, 0);
    vy_buf_deinit(&request);
}

static void answer_hash(struct client *c, const struct session_action *action)
{
    uint8_t tag[PASSWORD_TAG_BYTES] = {0};
    if (c->try->hashes) {
        assert_false(vy_failed(password_argon2(action->password, action->salt, tag)));
    }
    c->session->ops->hash_done(c->session, action->call_id, vy_ok(), vy_bytes(tag, sizeof(tag)));
}

static void perform(struct client *c, const struct session_action *action)
{
    switch (action->kind) {
    case SESSION_SEND:
        vy_buf_append(&c->out, action->bytes);
        break;
    case SESSION_CALL:
        answer_call(c, action);
        break;
    case SESSION_HASH:
        answer_hash(c, action);
        break;
    case SESSION_TIMER:
        c->timer_ms = c->now_ms + action->delay_ms;
        break;
    case SESSION_LOG:
        assert_true(action->level >= VY_LOG_INFO); /* AUTH-2: a client's try is no error */
        break;
    case SESSION_READ_STOP:
    case SESSION_READ_START:
    case SESSION_COMMAND:
    case SESSION_CLOSE:
        break;
    case SESSION_CALL_SEND:
    case SESSION_CALL_END:
    case SESSION_CALL_CANCEL:
    case SESSION_START_TLS:
        fail_msg("an action that no sign-in needs: %d", (int)action->kind);
        break;
    }
}

static void run(struct client *c)
{
    struct session_action action;
    c->session->now_ms = c->now_ms;
    c->session->wall_ms = c->local->clock.wall_ms;
    while (c->session->ops->next_action(c->session, &action)) {
        perform(c, &action);
    }
}

/* ---- lines ---- */

static bool take_line(struct client *c, char line[SIGN_IN_BYTES_MAX])
{
    const struct vy_bytes out = vy_buf_bytes(&c->out);
    const size_t end = vy_bytes_find(out, VY_LIT("\r\n"), 0);
    if (end == SIZE_MAX) {
        return false;
    }
    (void)snprintf(line, SIGN_IN_BYTES_MAX, "%.*s", (int)end, (const char *)out.data);
    vy_buf_consume(&c->out, end + 2);
    return true;
}

/* The next line; time passes when it is late. */
static void read_line(struct client *c, char line[SIGN_IN_BYTES_MAX])
{
    const uint64_t latest_ms = c->now_ms + LATE_MS_MAX;
    run(c);
    while (!take_line(c, line)) {
        if (c->timer_ms == 0 || c->timer_ms > latest_ms) {
            fail_msg("no answer");
            return;
        }
        c->now_ms = VY_MAX(c->now_ms, c->timer_ms);
        c->timer_ms = 0;
        c->session->now_ms = c->now_ms;
        c->session->ops->tick(c->session, c->now_ms);
        run(c);
    }
}

static void say(struct client *c, const char *line)
{
    char whole[SIGN_IN_BYTES_MAX];
    (void)snprintf(whole, sizeof(whole), "%s\r\n", line);
    c->session->now_ms = c->now_ms;
    c->session->ops->receive(c->session, vy_cstr(whole), c->now_ms);
}

static void note(struct client *c, const char *line)
{
    const size_t used = strlen(c->heard->dialogue);
    (void)snprintf(c->heard->dialogue + used, sizeof(c->heard->dialogue) - used, "%s\n", line);
}

static void encode(char out[SIGN_IN_BYTES_MAX], struct vy_bytes text)
{
    struct vy_buf buf;
    vy_buf_init(&buf, SIGN_IN_BYTES_MAX);
    vy_base64_encode(&buf, text);
    (void)snprintf(out, SIGN_IN_BYTES_MAX, "%.*s", VY_PRI(vy_buf_bytes(&buf)));
    vy_buf_deinit(&buf);
}

static void say_encoded(struct client *c, struct vy_bytes text)
{
    char line[SIGN_IN_BYTES_MAX];
    encode(line, text);
    say(c, line);
}

/* ---- the exchange ---- */

/* "r=nonce,s=salt,i=count" with nonce and salt crossed out; other messages as they are. */
static void mask(char *message)
{
    bool is_secret = false;
    if (message[0] != 'r' || message[1] != '=') {
        return;
    }
    for (size_t i = 0; message[i] != '\0'; i++) {
        if (message[i + 1] == '=' && (i == 0 || message[i - 1] == ',')) {
            is_secret = message[i] == 'r' || message[i] == 's';
            i++;
        } else if (message[i] != ',' && is_secret) {
            message[i] = 'x';
        }
    }
}

/* A challenge, decoded into out; false: the last answer came instead. */
static bool read_challenge(struct client *c, char out[SIGN_IN_BYTES_MAX])
{
    const char *prefix = c->try->protocol == SIGN_IN_SMTP ? "334 " : "+ ";
    char line[SIGN_IN_BYTES_MAX];
    struct vy_arena arena;
    struct vy_bytes message = {.len = 0};
    read_line(c, line);
    if (strncmp(line, prefix, strlen(prefix)) != 0) {
        note(c, line);
        (void)snprintf(c->heard->last, sizeof(c->heard->last), "%s",
                       c->try->protocol == SIGN_IN_IMAP && line[0] == 'a' ? line + 2 : line);
        return false;
    }
    vy_arena_init(&arena, SIGN_IN_BYTES_MAX);
    assert_false(vy_failed(vy_base64_decode(&arena, vy_cstr(line + strlen(prefix)), &message)));
    (void)snprintf(out, SIGN_IN_BYTES_MAX, "%.*s", VY_PRI(message));
    vy_arena_deinit(&arena);
    char shown[SIGN_IN_BYTES_MAX];
    (void)snprintf(shown, sizeof(shown), "%s", out);
    mask(shown);
    note(c, shown);
    return true;
}

static void begin(struct client *c)
{
    char line[128];
    (void)snprintf(line, sizeof(line), "%s %s",
                   c->try->protocol == SIGN_IN_SMTP ? "AUTH" : "a AUTHENTICATE",
                   mechanisms[c->try->mechanism].name);
    say(c, line);
}

static void go_plain(struct client *c)
{
    const struct sign_in_try *try = c->try;
    char question[SIGN_IN_BYTES_MAX];
    char message[1024];
    const int len =
        snprintf(message, sizeof(message), "%s%c%s%c%s", try->authzid == NULL ? "" : try->authzid,
                 0, try->name, 0, try->secret);
    begin(c);
    if (read_challenge(c, question)) {
        say_encoded(c, vy_bytes(message, (size_t)len));
        assert_false(read_challenge(c, question));
    }
}

static void go_login(struct client *c)
{
    char question[SIGN_IN_BYTES_MAX];
    begin(c);
    if (!read_challenge(c, question)) {
        return;
    }
    say_encoded(c, vy_cstr(c->try->name));
    assert_true(read_challenge(c, question));
    say_encoded(c, vy_cstr(c->try->secret));
    assert_false(read_challenge(c, question));
}

static void go_command(struct client *c)
{
    char line[SIGN_IN_BYTES_MAX];
    (void)snprintf(line, sizeof(line), "a LOGIN \"%s\" \"%s\"", c->try->name, c->try->secret);
    say(c, line);
    assert_false(read_challenge(c, line));
}

static void go_scram(struct client *c)
{
    const struct mechanism *mechanism = &mechanisms[c->try->mechanism];
    char server[SIGN_IN_BYTES_MAX];
    char bare[1024];
    char message[4096];
    begin(c);
    if (!read_challenge(c, server)) {
        return;
    }
    (void)snprintf(bare, sizeof(bare), "n=%s,r=nonce-of-the-client", c->try->name);
    (void)snprintf(message, sizeof(message), "%s%s", mechanism->gs2, bare);
    say_encoded(c, vy_cstr(message));
    if (!read_challenge(c, server)) {
        return;
    }
    scram_client_final(mechanism->gs2, bare, vy_cstr(server), mechanism->binding, c->try->secret,
                       message, sizeof(message));
    say_encoded(c, vy_cstr(message));
    if (read_challenge(c, server)) { /* the server's own proof */
        assert_memory_equal(server, "v=", 2);
        say(c, "");
        assert_false(read_challenge(c, server));
    }
}

static void go_oauth(struct client *c)
{
    char line[SIGN_IN_BYTES_MAX];
    begin(c);
    assert_false(read_challenge(c, line));
}

/* ---- a try ---- */

static void open_session(struct client *c)
{
    const bool is_tls = !c->try->is_plaintext;
    const struct session_peer peer = {
        .remote_ip = VY_LIT("192.0.2.1"),
        .local_ip = VY_LIT("192.0.2.2"),
        .is_tls = is_tls,
        .tls_info = is_tls ? VY_LIT("TLSv1.3") : vy_bytes(NULL, 0),
        .tls = {.info = is_tls ? VY_LIT("TLSv1.3") : vy_bytes(NULL, 0),
                .exporter = vy_bytes(exporter,        is_tls ? sizeof(exporter) : 0),
                .end_point = vy_bytes(end_point, is_tls ? sizeof(end_point) : 0)},
        .seed = {1,                   2,                     3, 4           },
        .now_ms = c->now_ms,
        .wall_ms = c->local->clock.wall_ms,
        .can_start_tls = !is_tls,
    };
    char line[SIGN_IN_BYTES_MAX];
    struct vy_err err = vy_ok();
    if (c->try->protocol == SIGN_IN_SMTP) {
        c->smtp_limits = smtp_limits_default();
        c->smtp_profile = smtp_profile_default(SMTP_SERVICE_SUBMISSION);
        c->smtp_profile.greet_delay_ms = 0;
        c->smtp_profile.limits = &c->smtp_limits;
        c->smtp_profile.hostname = VY_LIT("mx.d.test");
        c->smtp_profile.group_of = group_of;
        err = smtp_session_new(&peer, &c->smtp_profile, &c->session);
    } else {
        c->imap_limits = imap_limits_default();
        err = imap_session_new(&peer, &c->imap_limits, VY_LIT("mx.d.test"), &c->session);
    }
    assert_false(vy_failed(err));
    read_line(c, line);
    if (c->try->protocol == SIGN_IN_SMTP) {
        say(c, "EHLO client.test");
        do {
            read_line(c, line);
        } while (line[3] == '-');
    }
}

void sign_in(struct meta_local *local, const struct sign_in_try *try, struct sign_in_heard *out)
{
    struct client c = {.local = local, .try = try, .heard = out, .now_ms = 1000};
    *out = (struct sign_in_heard){.last = ""};
    vy_buf_init(&c.out, 1U << 20);
    open_session(&c);
    switch (try->mechanism) {
    case SIGN_IN_PLAIN:
        go_plain(&c);
        break;
    case SIGN_IN_LOGIN:
        go_login(&c);
        break;
    case SIGN_IN_SCRAM:
    case SIGN_IN_PLUS_EXPORTER:
    case SIGN_IN_PLUS_END_POINT:
        go_scram(&c);
        break;
    case SIGN_IN_COMMAND:
        go_command(&c);
        break;
    case SIGN_IN_OAUTHBEARER:
        go_oauth(&c);
        break;
    case SIGN_IN_MECHANISMS:
        break;
    }
    c.session->ops->free(c.session);
    vy_buf_deinit(&c.out);
}
