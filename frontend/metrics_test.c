/* SPDX-License-Identifier: Apache-2.0 */
/* How long the page of a frontend in full use is. */
#include "frontend/metrics.h"

#include "base/assert.h"
#include "frontend/session.h"
#include "proto/methods.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* operations.md 1.7: at most 2,000 series in a process. Of an all-in-one, the rest has 500 of them.
 */
#define LINES_MAX 1500U

static const char *const imap_commands[] = {
    "CAPABILITY", "NOOP",       "LOGOUT",      "STARTTLS",  "LOGIN",    "AUTHENTICATE",
    "SELECT",     "EXAMINE",    "CREATE",      "DELETE",    "RENAME",   "SUBSCRIBE",
    "LIST",       "LSUB",       "UNSUBSCRIBE", "STATUS",    "APPEND",   "CHECK",
    "CLOSE",      "UNSELECT",   "EXPUNGE",     "SEARCH",    "FETCH",    "STORE",
    "COPY",       "MOVE",       "ID",          "ENABLE",    "IDLE",     "NAMESPACE",
    "GETQUOTA",   "UID SEARCH", "UID FETCH",   "UID STORE", "UID COPY", "UID MOVE"};
static const char *const smtp_commands[] = {"EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA",
                                            "BDAT", "RSET", "NOOP", "QUIT", "AUTH", "STARTTLS"};

static void observe_commands(const struct frontend_metrics *metrics, enum frontend_proto proto,
                             const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct session_action action = {.kind = SESSION_COMMAND, .command = names[i]};
        action.outcome = SESSION_OUTCOME_OK;
        frontend_observe_command(metrics, proto, &action, 5);
    }
}

static void observe_calls(const struct frontend_metrics *metrics, enum vy_code code)
{
    static const uint32_t methods[] = {
#define X(name, id, request, reply, roles, stream) id,
        SHARD_METHODS(X) META_METHODS(X)
#undef X
    };
    for (size_t i = 0; i < VY_COUNT_OF(methods); i++) {
        frontend_observe_call(metrics, methods[i], code, 1000000);
    }
}

static size_t count_lines(struct vy_metrics *registry)
{
    struct vy_buf page;
    size_t lines = 0;
    vy_buf_init(&page, 4U << 20);
    vy_metrics_write(registry, &page);
    const struct vy_bytes text = vy_buf_bytes(&page);
    for (size_t i = 0; i < text.len; i++) {
        lines += text.data[i] == '\n' ? 1 : 0;
    }
    vy_buf_deinit(&page);
    return lines;
}

static void a_frontend_in_full_use_stays_under_2000_series(void **state)
{
    (void)state;
    struct vy_metrics *registry = NULL;
    struct frontend_metrics metrics;
    assert_false(vy_failed(vy_metrics_new(&registry)));
    assert_false(vy_failed(frontend_metrics_init(registry, &metrics)));
    const size_t idle = count_lines(registry);
    assert_in_range(idle, 1, 300);
    observe_commands(&metrics, FRONTEND_PROTO_IMAP, imap_commands, VY_COUNT_OF(imap_commands));
    observe_commands(&metrics, FRONTEND_PROTO_SMTP, smtp_commands, VY_COUNT_OF(smtp_commands));
    observe_calls(&metrics, VY_CODE_OK);
    assert_in_range(count_lines(registry), idle + 500, LINES_MAX);
    vy_metrics_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frontend_in_full_use_stays_under_2000_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
