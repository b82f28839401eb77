/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMTP, LMTP and submission for the runner, over smtp_backend.h. Before the dialogue:
 *   service mx|lmtp|submission [policy=ignore|reject_at_data|disconnect] [greet=MS] [size=BYTES]
 * [rcpts=N] Afterwards, about what was stored: copies ACCOUNT N        the account has N copies
 *   body ACCOUNT TEXT       its newest copy is TEXT (escapes \r \n \0 \\)
 *   has ACCOUNT TEXT        its newest copy has TEXT in it
 *   trace ACCOUNT TEXT      the trace headers of its newest copy have TEXT in them
 *   lookups N               meta was asked N times about recipients
 */
#include "base/assert.h"
#include "tests/transcript/smtp_backend.h"
#include "tests/transcript/transcript.h"
#include <stdio.h>
#include <stdlib.h>

#define TEXT_BYTES_MAX (1024U * 1024U)

struct hook {
    struct smtp_backend *store;
    struct smtp_limits limits;
    struct smtp_profile profile;
};

static void *hook_new(void)
{
    struct hook *hook = calloc(1, sizeof(*hook));
    VY_ASSERT(hook != NULL);
    hook->store = smtp_backend_new();
    hook->limits = smtp_limits_default();
    hook->profile = smtp_profile_default(SMTP_SERVICE_MX);
    hook->profile.greet_delay_ms = 0;
    return hook;
}

static void hook_free(void *backend)
{
    struct hook *hook = backend;
    smtp_backend_free(hook->store);
    free(hook);
}

static struct vy_err hook_session_new(void *backend, const struct session_peer *peer,
                                      struct session **out)
{
    struct hook *hook = backend;
    hook->profile.limits = &hook->limits;
    hook->profile.hostname = VY_LIT("mx.dev.test");
    hook->profile.group_of = smtp_backend_group_of;
    return smtp_session_new(peer, &hook->profile, out);
}

static struct vy_err hook_call(void *backend, const struct transcript_call *call,
                               struct vy_buf *reply, struct vy_buf *stream, bool *stays_open)
{
    (void)stream;
    struct hook *hook = backend;
    *stays_open = false;
    return smtp_backend_call(hook->store, call->method, call->request, call->body, NULL, reply);
}

/* ---- directives ---- */

static bool set_service(struct hook *hook, struct vy_bytes name)
{
    static const char *const names[] = {
        [SMTP_SERVICE_MX] = "mx",
        [SMTP_SERVICE_LMTP] = "lmtp",
        [SMTP_SERVICE_SUBMISSION] = "submission",
    };
    for (size_t i = 0; i < VY_COUNT_OF(names); i++) {
        if (vy_bytes_equal(name, vy_cstr(names[i]))) {
            hook->profile = smtp_profile_default((enum smtp_service)i);
            hook->profile.greet_delay_ms = 0;
            return true;
        }
    }
    return false;
}

static bool set_option(struct hook *hook, struct vy_bytes word)
{
    const struct vy_bytes key = vy_bytes_cut(&word, '=');
    if (vy_bytes_equal(key, VY_LIT("policy"))) {
        return smtp_pipelining_policy_parse(word, &hook->profile.pipelining_policy);
    }
    if (vy_bytes_equal(key, VY_LIT("greet"))) {
        return vy_parse_u32(word, &hook->profile.greet_delay_ms);
    }
    if (vy_bytes_equal(key, VY_LIT("rcpts"))) {
        return vy_parse_u32(word, &hook->limits.recipients_max);
    }
    return vy_bytes_equal(key, VY_LIT("size")) &&
           vy_parse_u64(word, &hook->limits.message_bytes_max);
}

static bool set_up(struct hook *hook, struct vy_bytes words)
{
    const struct vy_bytes name = vy_bytes_cut(&words, ' ');
    bool is_fine = set_service(hook, name);
    while (is_fine && words.len > 0) {
        is_fine = set_option(hook, vy_bytes_cut(&words, ' '));
    }
    return is_fine;
}

static void unescape(struct vy_bytes text, struct vy_buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '\\' && i + 1 < text.len) {
            c = text.data[++i];
            c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : c == '0' ? '\0' : c;
        }
        vy_buf_append_byte(out, c);
    }
}

static bool check_copy(struct hook *hook, struct vy_bytes kind, struct vy_bytes words)
{
    uint64_t account_id = 0;
    struct vy_buf text;
    if (!vy_parse_u64(vy_bytes_cut(&words, ' '), &account_id)) {
        return false;
    }
    const struct smtp_copy *copy = smtp_backend_last(hook->store, account_id);
    vy_buf_init(&text, TEXT_BYTES_MAX);
    unescape(words, &text);
    const struct vy_bytes wanted = vy_buf_bytes(&text);
    bool is_fine = copy != NULL;
    if (is_fine && vy_bytes_equal(kind, VY_LIT("body"))) {
        is_fine = vy_bytes_equal(copy->body, wanted);
    } else if (is_fine) {
        const bool is_trace = vy_bytes_equal(kind, VY_LIT("trace"));
        is_fine = vy_bytes_find(is_trace ? copy->trace : copy->body, wanted, 0) != SIZE_MAX;
    }
    if (!is_fine && copy != NULL) {
        (void)fprintf(stderr, "stored: %.*s%.*s\n", VY_PRI(copy->trace), VY_PRI(copy->body));
    }
    vy_buf_deinit(&text);
    return is_fine;
}

static bool check_count(size_t is, struct vy_bytes wanted)
{
    uint64_t count = 0;
    const bool is_fine = vy_parse_u64(wanted, &count) && is == count;
    if (!is_fine) {
        (void)fprintf(stderr, "there are %zu\n", is);
    }
    return is_fine;
}

static bool hook_directive(void *backend, struct transcript *transcript, struct vy_bytes line)
{
    (void)transcript;
    struct hook *hook = backend;
    uint64_t account_id = 0;
    struct vy_bytes rest = line;
    const struct vy_bytes word = vy_bytes_cut(&rest, ' ');
    if (vy_bytes_equal(word, VY_LIT("service"))) {
        return set_up(hook, rest);
    }
    if (vy_bytes_equal(word, VY_LIT("lookups"))) {
        return check_count(hook->store->resolve_calls, rest);
    }
    if (vy_bytes_equal(word, VY_LIT("copies"))) {
        return vy_parse_u64(vy_bytes_cut(&rest, ' '), &account_id) &&
               check_count(smtp_backend_copies(hook->store, account_id), rest);
    }
    const bool is_about_copy = vy_bytes_equal(word, VY_LIT("body")) ||
                               vy_bytes_equal(word, VY_LIT("has")) ||
                               vy_bytes_equal(word, VY_LIT("trace"));
    return is_about_copy && check_copy(hook, word, rest);
}

const struct transcript_protocol transcript_smtp = {
    .folder = "smtp",
    .backend_new = hook_new,
    .backend_free = hook_free,
    .session_new = hook_session_new,
    .call = hook_call,
    .directive = hook_directive,
};
