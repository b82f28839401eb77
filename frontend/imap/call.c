/* SPDX-License-Identifier: Apache-2.0 */
/* Actions of an IMAP session on their way to the shell, calls above all. */
#include "base/assert.h"
#include "frontend/imap/imap.h"
#include <stdlib.h>

struct method_descs {
    const struct vy_pb_desc *request;
    const struct vy_pb_desc *reply;
};

static struct method_descs find_descs(uint32_t method)
{
    switch (method) {
#define X(name, id, request, reply, roles, stream)                                                 \
    case METHOD_##name:                                                                            \
        return (struct method_descs){&request##_desc, &reply##_desc};
        SHARD_METHODS(X)
        META_METHODS(X)
#undef X
    default:
        break;
    }
    VY_ASSERT(false && "no such method");
    return (struct method_descs){.request = NULL};
}

struct imap_action *imap_action_new(struct imap_session *s, enum session_action_kind kind,
                                    size_t payload_bytes)
{
    struct imap_action *const action = calloc(1, sizeof(*action) + payload_bytes);
    if (action == NULL) {
        imap_session_close(s, "no memory");
        return NULL;
    }
    action->action.kind = kind;
    vy_list_push_back(&s->actions, &action->link);
    return action;
}

/* The request struct is copied; what it points to lives until the shell has taken the action. */
static uint64_t start_call(struct imap_session *s, uint32_t method, const void *request,
                           bool is_write, uint32_t deadline_ms)
{
    const struct method_descs descs = find_descs(method);
    if (s->is_closing) {
        return 0;
    }
    struct imap_action *const item = imap_action_new(s, SESSION_CALL, descs.request->struct_bytes);
    if (item == NULL) {
        return 0;
    }
    memcpy(item->payload, request, descs.request->struct_bytes);
    item->action.call_id = ++s->next_call_id;
    item->action.target = method >> 16 == 2 ? SESSION_TO_META : SESSION_TO_SHARD;
    item->action.account_id = s->account.id;
    item->action.method = method;
    item->action.request_desc = descs.request;
    item->action.request = item->payload;
    item->action.deadline_ms = deadline_ms;
    item->action.is_write = is_write;
    return item->action.call_id;
}

void imap_call(struct imap_session *s, uint32_t method, const void *request, bool is_write)
{
    VY_ASSERT(s->run.call_id == 0);
    s->run.call_id = start_call(s, method, request, is_write, 0);
    s->run.reply_desc = find_descs(method).reply;
}

void imap_call_stream(struct imap_session *s, uint32_t method, const void *request, bool is_write)
{
    VY_ASSERT(s->run.call_id == 0);
    s->run.call_id = start_call(s, method, request, is_write, IMAP_STREAM_DEADLINE_MS);
    s->run.reply_desc = find_descs(method).reply;
}

uint64_t imap_call_apart(struct imap_session *s, uint32_t method, const void *request,
                         bool is_write)
{
    return start_call(s, method, request, is_write, 0);
}

void imap_call_cancel(struct imap_session *s, uint64_t call_id)
{
    struct imap_action *const item =
        call_id == 0 ? NULL : imap_action_new(s, SESSION_CALL_CANCEL, 0);
    if (item != NULL) {
        item->action.call_id = call_id;
    }
}

const struct vy_pb_desc *imap_method_reply_desc(uint32_t method)
{
    return find_descs(method).reply;
}

/* Strings are copied: a log line outlives the command it speaks of. */
void imap_log(struct imap_session *s, enum vy_log_level level, const char *event,
              const struct vy_log_field *fields, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += fields[i].kind == VY_LOG_KIND_STR ? fields[i].str.len : 0;
    }
    struct imap_action *const item = imap_action_new(s, SESSION_LOG, bytes);
    if (item == NULL) {
        return;
    }
    VY_ASSERT(count <= VY_COUNT_OF(item->fields));
    uint8_t *at = (uint8_t *)item->payload;
    for (size_t i = 0; i < count; i++) {
        item->fields[i] = fields[i];
        if (fields[i].kind == VY_LOG_KIND_STR && fields[i].str.len > 0) {
            memcpy(at, fields[i].str.data, fields[i].str.len);
            item->fields[i].str.data = at;
            at += fields[i].str.len;
        }
    }
    item->action.level = level;
    item->action.event = event;
    item->action.fields = item->fields;
    item->action.fields_count = count;
}
