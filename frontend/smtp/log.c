/* SPDX-License-Identifier: Apache-2.0 */
/* Events wait here until the shell takes them: the values must outlive the transaction. */
#include "frontend/smtp/smtp_private.h"

#define LOG_VALUE_BYTES_MAX 512U

void smtp_log_fields(struct smtp_session *s, enum vy_log_level level, const char *event,
                     const struct vy_log_field *fields, size_t count)
{
    if (s->logs == NULL) {
        s->logs = VY_ARENA_ARRAY(&s->log_arena, SMTP_LOGS_MAX, struct smtp_log);
    }
    if (s->logs == NULL || s->logs_count == SMTP_LOGS_MAX) {
        return; /* more than the shell takes at once: the flow stops before it comes to that */
    }
    struct smtp_log *log = &s->logs[s->logs_count];
    *log = (struct smtp_log){.level = level, .event = event};
    for (size_t i = 0; i < VY_MIN(count, (size_t)SMTP_LOG_FIELDS_MAX); i++) {
        struct vy_log_field field = fields[i];
        const struct vy_bytes value = vy_bytes_slice(field.str, 0, LOG_VALUE_BYTES_MAX);
        if (vy_failed(vy_arena_dup(&s->log_arena, value, &field.str))) {
            continue;
        }
        log->fields[log->fields_count++] = field;
    }
    s->logs_count++;
}

bool smtp_log_next(struct smtp_session *s, struct session_action *out)
{
    if (s->logs_taken < s->logs_count) {
        const struct smtp_log *log = &s->logs[s->logs_taken++];
        *out = (struct session_action){.kind = SESSION_LOG,
                                       .level = log->level,
                                       .event = log->event,
                                       .fields = log->fields,
                                       .fields_count = log->fields_count};
        return true;
    }
    if (s->logs != NULL) {
        vy_arena_deinit(&s->log_arena);
        s->logs = NULL;
        s->logs_count = 0;
        s->logs_taken = 0;
    }
    return false;
}
