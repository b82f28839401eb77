/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/transcript/smtp_backend.h"

#include "base/assert.h"
#include "proto/meta.pb.h"
#include "proto/shard.pb.h"
#include <stdlib.h>

#define ARENA_BYTES_MAX (512U * 1024U * 1024U)
#define ALIAS_MANY 1000U

/* SHA-256 of "secret" */
static const uint8_t secret_hash[32] = {
    0x2b, 0xb8, 0x0d, 0x53, 0x7b, 0x1d, 0xa3, 0xe3, 0x8b, 0xd3, 0x03, 0x61, 0xaa, 0x85, 0x56, 0x86,
    0xbd, 0xe0, 0xea, 0xcd, 0x71, 0x62, 0xfe, 0xf6, 0xa2, 0x5f, 0xe9, 0x7b, 0xf5, 0x27, 0xa2, 0x5b};

/* clang-format off */
static const struct {
    const char *address;
    enum resolve_result result;
    uint64_t accounts[2];
    bool is_only_fresh;
} addresses[] = {
    { "dev@dev.test",           RESOLVE_RESULT_LOCAL,           { 1, 0 }, false },
    { "two@dev.test",           RESOLVE_RESULT_LOCAL,           { 2, 0 }, false },
    { "far@dev.test",           RESOLVE_RESULT_LOCAL,           { 3, 0 }, false },
    { "third@dev.test",         RESOLVE_RESULT_LOCAL,           { 10, 0 }, false },
    { "full@dev.test",          RESOLVE_RESULT_LOCAL,           { 4, 0 }, false },
    { "gone@dev.test",          RESOLVE_RESULT_LOCAL,           { 5, 0 }, false },
    { "refused@dev.test",       RESOLVE_RESULT_LOCAL,           { 6, 0 }, false },
    { "late@dev.test",          RESOLVE_RESULT_LOCAL,           { 8, 0 }, true },
    { "j\xc3\xbcrgen@dev.test", RESOLVE_RESULT_LOCAL,           { 9, 0 }, false },
    { "both@dev.test",          RESOLVE_RESULT_LOCAL,           { 1, 2 }, false },
    { "pair@dev.test",          RESOLVE_RESULT_LOCAL,           { 1, 3 }, false },
    { "mixed@dev.test",         RESOLVE_RESULT_LOCAL,           { 1, 4 }, false },
    { "alias@dev.test",         RESOLVE_RESULT_LOCAL,           { 1, 0 }, false },
    { "postmaster@mx.dev.test", RESOLVE_RESULT_LOCAL,           { 1, 0 }, false },
    { "loop@dev.test",          RESOLVE_RESULT_EXPANSION_LIMIT, { 0, 0 }, false },
    { "closed@dev.test",        RESOLVE_RESULT_DISABLED,        { 0, 0 }, false },
};
/* clang-format on */

struct smtp_backend *smtp_backend_new(void)
{
    struct smtp_backend *b = calloc(1, sizeof(*b));
    VY_ASSERT(b != NULL);
    vy_arena_init(&b->arena, ARENA_BYTES_MAX);
    b->copies = calloc(SMTP_BACKEND_COPIES_MAX, sizeof(*b->copies));
    b->decisions = calloc(SMTP_BACKEND_COPIES_MAX, sizeof(*b->decisions));
    VY_ASSERT(b->copies != NULL && b->decisions != NULL);
    return b;
}

void smtp_backend_free(struct smtp_backend *backend)
{
    vy_arena_deinit(&backend->arena);
    free(backend->copies);
    free(backend->decisions);
    free(backend);
}

uint64_t smtp_backend_group_of(void *arg, uint64_t account_id)
{
    (void)arg;
    return account_id >= 100000 || account_id == 10 ? 3 : account_id == 3 ? 2 : 1;
}

/* ---- recipients ---- */

static struct vy_err resolve(struct smtp_backend *b, struct vy_bytes in, struct vy_buf *out)
{
    struct resolve_request request;
    struct resolve_target targets[ALIAS_MANY];
    struct resolve_reply reply = {.result = RESOLVE_RESULT_FOREIGN, .targets = targets};
    VY_TRY(vy_pb_decode(&resolve_request_desc, &b->arena, in, &request));
    b->resolve_calls++;
    if (vy_bytes_ends_with(request.address, VY_LIT("@dev.test")) ||
        vy_bytes_ends_with(request.address, VY_LIT("@mx.dev.test"))) {
        reply.result = RESOLVE_RESULT_UNKNOWN;
    }
    for (size_t i = 0; i < VY_COUNT_OF(addresses); i++) {
        if (!vy_bytes_equal(request.address, vy_cstr(addresses[i].address)) ||
            (addresses[i].is_only_fresh && !request.fresh)) {
            continue;
        }
        reply.result = addresses[i].result;
        for (size_t k = 0; k < 2 && addresses[i].accounts[k] != 0; k++) {
            targets[reply.targets_count++] =
                (struct resolve_target){.account_id = addresses[i].accounts[k], .account_epoch = 7};
        }
    }
    if (vy_bytes_equal(request.address, VY_LIT("many@dev.test"))) {
        reply.result = RESOLVE_RESULT_LOCAL;
        for (; reply.targets_count < ALIAS_MANY; reply.targets_count++) {
            targets[reply.targets_count] =
                (struct resolve_target){.account_id = 100000 + reply.targets_count};
        }
    }
    return vy_pb_encode(&resolve_reply_desc, &reply, out);
}

static struct vy_err check_sender(struct smtp_backend *b, struct vy_bytes in, struct vy_buf *out)
{
    struct sender_check_request request;
    VY_TRY(vy_pb_decode(&sender_check_request_desc, &b->arena, in, &request));
    const struct sender_check_reply reply = {
        .allowed =
            request.account_id == 1 && (vy_bytes_equal(request.address, VY_LIT("dev@dev.test")) ||
                                        vy_bytes_equal(request.address, VY_LIT("alias@dev.test")))};
    return vy_pb_encode(&sender_check_reply_desc, &reply, out);
}

/* ---- delivery ---- */

static enum deliver_outcome outcome_of(uint64_t account_id)
{
    switch (account_id) {
    case 4:
        return DELIVER_OUTCOME_OVER_QUOTA;
    case 5:
        return DELIVER_OUTCOME_NO_ACCOUNT;
    case 6:
        return DELIVER_OUTCOME_REFUSED;
    default:
        return DELIVER_OUTCOME_STORED;
    }
}

static bool has_copy(const struct smtp_backend *b, uint64_t account_id, const uint8_t *key)
{
    for (size_t i = 0; key != NULL && i < b->copies_count; i++) {
        if (b->copies[i].account_id == account_id && memcmp(b->copies[i].key, key, 16) == 0) {
            return true;
        }
    }
    return false;
}

static struct vy_err store(struct smtp_backend *b, const struct message_deliver_request *request,
                           uint64_t account_id, struct vy_bytes body, const uint8_t *key)
{
    VY_ASSERT(b->copies_count < SMTP_BACKEND_COPIES_MAX);
    if (has_copy(b, account_id, key)) {
        return vy_ok();
    }
    struct smtp_copy *copy = &b->copies[b->copies_count++];
    copy->account_id = account_id;
    copy->is_held = request->hold;
    if (key != NULL) {
        memcpy(copy->key, key, sizeof(copy->key));
    }
    if (request->delivery_id.len == sizeof(copy->delivery_id)) {
        memcpy(copy->delivery_id, request->delivery_id.data, sizeof(copy->delivery_id));
    }
    VY_TRY(vy_arena_dup(&b->arena, body, &copy->body));
    VY_TRY(vy_arena_dup(&b->arena, request->trace_headers, &copy->trace));
    return vy_arena_dup(&b->arena, request->reverse_path, &copy->reverse_path);
}

/* ---- one decision for several groups ---- */

static const struct smtp_decision *find_decision(const struct smtp_backend *b, const uint8_t *id)
{
    for (size_t i = 0; i < b->decisions_count; i++) {
        if (memcmp(b->decisions[i].delivery_id, id, 16) == 0) {
            return &b->decisions[i];
        }
    }
    return NULL;
}

/* The first word holds. */
static bool decide(struct smtp_backend *b, const uint8_t *id, bool is_yes)
{
    const struct smtp_decision *known = find_decision(b, id);
    if (known != NULL) {
        return known->is_yes;
    }
    VY_ASSERT(b->decisions_count < SMTP_BACKEND_COPIES_MAX);
    struct smtp_decision *decision = &b->decisions[b->decisions_count++];
    memcpy(decision->delivery_id, id, sizeof(decision->delivery_id));
    decision->is_yes = is_yes;
    return is_yes;
}

static enum deliver_outcome end_copy(struct smtp_backend *b, const uint8_t *id, uint64_t account_id,
                                     bool is_commit)
{
    for (size_t i = 0; i < b->copies_count; i++) {
        struct smtp_copy *copy = &b->copies[i];
        if (copy->account_id == account_id && memcmp(copy->delivery_id, id, 16) == 0) {
            copy->account_id = copy->is_held && !is_commit ? 0 : copy->account_id;
            copy->is_held = false;
            return DELIVER_OUTCOME_STORED;
        }
    }
    /* What was there before this delivery has ended with it. */
    return b->knows_retries && smtp_backend_copies(b, account_id) > 0 ? DELIVER_OUTCOME_STORED
                                                                      : DELIVER_OUTCOME_NO_ACCOUNT;
}

static struct vy_err end_delivery(struct smtp_backend *b, struct vy_bytes in, struct vy_buf *out)
{
    struct delivery_end_request request;
    VY_TRY(vy_pb_decode(&delivery_end_request_desc, &b->arena, in, &request));
    struct deliver_result *results =
        VY_ARENA_ARRAY(&b->arena, request.accounts_count, struct deliver_result);
    VY_ASSERT(results != NULL && request.delivery_id.len == 16);
    for (size_t i = 0; i < request.accounts_count; i++) {
        results[i].account_id = request.accounts[i].account_id;
        results[i].outcome =
            end_copy(b, request.delivery_id.data, results[i].account_id, request.commit);
    }
    const struct delivery_end_reply reply = {.results_count = request.accounts_count,
                                             .results = results};
    return vy_pb_encode(&delivery_end_reply_desc, &reply, out);
}

static struct vy_err ask_delivery(struct smtp_backend *b, struct vy_bytes in, struct vy_buf *out)
{
    struct delivery_ask_request request;
    VY_TRY(vy_pb_decode(&delivery_ask_request_desc, &b->arena, in, &request));
    VY_ASSERT(request.delivery_id.len == 16);
    const struct delivery_ask_reply reply = {.committed =
                                                 decide(b, request.delivery_id.data, false)};
    return vy_pb_encode(&delivery_ask_reply_desc, &reply, out);
}

void smtp_backend_settle(struct smtp_backend *backend)
{
    for (size_t i = 0; i < backend->copies_count; i++) {
        struct smtp_copy *copy = &backend->copies[i];
        if (copy->is_held) {
            (void)end_copy(backend, copy->delivery_id, copy->account_id,
                           decide(backend, copy->delivery_id, false));
        }
    }
}

size_t smtp_backend_held(const struct smtp_backend *backend)
{
    size_t count = 0;
    for (size_t i = 0; i < backend->copies_count; i++) {
        count += backend->copies[i].is_held;
    }
    return count;
}

/* An earlier attempt at the same: stored, or (BUSY) not decided yet. */
static struct vy_err find_retry(const struct smtp_backend *b,
                                const struct message_deliver_request *request, uint64_t account_id,
                                struct vy_bytes body, bool *out_found)
{
    for (size_t i = 0; b->knows_retries && i < b->copies_count; i++) {
        const struct smtp_copy *copy = &b->copies[i];
        if (copy->account_id != account_id || !vy_bytes_equal(copy->body, body) ||
            !vy_bytes_equal(copy->reverse_path, request->reverse_path)) {
            continue;
        }
        *out_found = true;
        const bool is_own = vy_bytes_equal(vy_bytes(copy->delivery_id, 16), request->delivery_id);
        return copy->is_held && !is_own ? vy_error(VY_CODE_BUSY, "not decided yet") : vy_ok();
    }
    return vy_ok();
}

static struct vy_err store_all(struct smtp_backend *b,
                               const struct message_deliver_request *request, struct vy_bytes body,
                               const uint8_t *key, struct deliver_result *results)
{
    const bool decides = request->delivery_id.len == 16 && !request->hold;
    if (decides && !decide(b, request->delivery_id.data, true)) {
        return vy_error(VY_CODE_PRECONDITION, "decided not to store");
    }
    for (size_t i = 0; i < request->recipients_count; i++) {
        const uint64_t account_id = request->recipients[i].account_id;
        bool is_there = false;
        VY_TRY(find_retry(b, request, account_id, body, &is_there));
        if (!is_there) {
            VY_TRY(store(b, request, account_id, body, key));
            results[i].outcome = request->hold ? DELIVER_OUTCOME_HELD : results[i].outcome;
        }
    }
    return vy_ok();
}

/* All or nothing. */
static struct vy_err deliver(struct smtp_backend *b, struct vy_bytes in, struct vy_bytes body,
                             const uint8_t *key, struct vy_buf *out)
{
    struct message_deliver_request request;
    VY_TRY(vy_pb_decode(&message_deliver_request_desc, &b->arena, in, &request));
    struct deliver_result *results =
        VY_ARENA_ARRAY(&b->arena, request.recipients_count, struct deliver_result);
    VY_ASSERT(results != NULL && request.recipients_count > 0);
    VY_ASSERT(request.size_bytes == 0 || request.size_bytes == body.len);
    b->deliver_calls++;
    b->last_body_bytes = body.len;
    bool is_refused = false;
    for (size_t i = 0; i < request.recipients_count; i++) {
        results[i].account_id = request.recipients[i].account_id;
        results[i].outcome = outcome_of(results[i].account_id);
        is_refused |= results[i].outcome != DELIVER_OUTCOME_STORED;
    }
    if (!is_refused) {
        VY_TRY(store_all(b, &request, body, key, results));
    }
    for (size_t i = 0; is_refused && i < request.recipients_count; i++) {
        if (results[i].outcome == DELIVER_OUTCOME_STORED) {
            results[i].outcome = DELIVER_OUTCOME_NONE;
        }
    }
    const struct message_deliver_reply reply = {.results_count = request.recipients_count,
                                                .results = results};
    return vy_pb_encode(&message_deliver_reply_desc, &reply, out);
}

/* ---- sign-in ---- */

static struct login_reply accept(void)
{
    return (struct login_reply){.result = LOGIN_RESULT_OK,
                                .account_id = 1,
                                .account_epoch = 7,
                                .session_token = VY_LIT("token"),
                                .account_name = VY_LIT("dev@dev.test")};
}

static struct login_reply answer_scram(const struct login_request *request)
{
    if (request->scram_client_first.len > 0) {
        return (struct login_reply){.result = LOGIN_RESULT_SCRAM_CONTINUE,
                                    .challenge = VY_LIT("opaque"),
                                    .server_message = VY_LIT("r=cs,s=c2FsdA==,i=4096")};
    }
    struct login_reply reply = {.result = LOGIN_RESULT_REFUSED};
    if (vy_bytes_ends_with(request->scram_client_final, VY_LIT(",p=cHJvb2Y=")) &&
        vy_bytes_equal(request->challenge, VY_LIT("opaque"))) {
        reply = accept();
        reply.server_message = VY_LIT("v=c2ln");
    }
    return reply;
}

static struct login_reply answer_password(const struct login_request *request)
{
    const struct vy_bytes name = request->context->typed_name;
    const bool is_right =
        vy_bytes_equal(request->password_hash, vy_bytes(secret_hash, sizeof(secret_hash)));
    if (vy_bytes_equal(name, VY_LIT("argon@dev.test"))) {
        if (request->argon2_tag.len > 0 && vy_bytes_equal(request->challenge, VY_LIT("opaque"))) {
            return accept();
        }
        return (struct login_reply){.result = LOGIN_RESULT_NEED_ARGON2,
                                    .salt = VY_LIT("0123456789abcdef"),
                                    .argon2_memory_kib = 64,
                                    .argon2_passes = 1,
                                    .argon2_lanes = 1,
                                    .challenge = VY_LIT("opaque")};
    }
    if (is_right && vy_bytes_equal(name, VY_LIT("disabled@dev.test"))) {
        return (struct login_reply){.result = LOGIN_RESULT_DISABLED,
                                    .text = VY_LIT("Ask the desk")};
    }
    if (vy_bytes_equal(name, VY_LIT("limited@dev.test"))) {
        return (struct login_reply){.result = LOGIN_RESULT_LIMITED, .retry_after_ms = 1000};
    }
    const bool is_known = vy_bytes_equal(name, VY_LIT("dev@dev.test"));
    return is_known && is_right ? accept() : (struct login_reply){.result = LOGIN_RESULT_REFUSED};
}

static struct vy_err login(struct smtp_backend *b, struct vy_bytes in, struct vy_buf *out)
{
    struct login_request request;
    VY_TRY(vy_pb_decode(&login_request_desc, &b->arena, in, &request));
    VY_ASSERT(request.context != NULL);
    if (vy_bytes_equal(request.context->typed_name, VY_LIT("down@dev.test"))) {
        return vy_error(VY_CODE_UNAVAILABLE, "no leader");
    }
    const bool is_scram = request.scram_client_first.len > 0 || request.scram_client_final.len > 0;
    const struct login_reply reply = is_scram ? answer_scram(&request) : answer_password(&request);
    return vy_pb_encode(&login_reply_desc, &reply, out);
}

struct vy_err smtp_backend_call(struct smtp_backend *backend, uint32_t method,
                                struct vy_bytes request, struct vy_bytes body, const uint8_t *key,
                                struct vy_buf *reply)
{
    switch (method) {
    case METHOD_META_RESOLVE:
        return resolve(backend, request, reply);
    case METHOD_META_SENDER_CHECK:
        return check_sender(backend, request, reply);
    case METHOD_META_LOGIN:
        return login(backend, request, reply);
    case METHOD_SHARD_MESSAGE_DELIVER:
        return deliver(backend, request, body, key, reply);
    case METHOD_SHARD_QUOTA:
        return vy_pb_encode(&quota_reply_desc, &(struct quota_reply){.used_bytes = 1}, reply);
    case METHOD_SHARD_DELIVERY_END:
        return end_delivery(backend, request, reply);
    case METHOD_SHARD_DELIVERY_ASK:
        return ask_delivery(backend, request, reply);
    default:
        return vy_error(VY_CODE_UNSUPPORTED, "not a method of SMTP");
    }
}

size_t smtp_backend_copies(const struct smtp_backend *backend, uint64_t account_id)
{
    size_t count = 0;
    for (size_t i = 0; i < backend->copies_count; i++) {
        count += backend->copies[i].account_id == account_id && !backend->copies[i].is_held;
    }
    return count;
}

const struct smtp_copy *smtp_backend_last(const struct smtp_backend *backend, uint64_t account_id)
{
    const struct smtp_copy *last = NULL;
    for (size_t i = 0; i < backend->copies_count; i++) {
        last = backend->copies[i].account_id == account_id ? &backend->copies[i] : last;
    }
    return last;
}
