/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/transcript/smtp_driver.h"

#include "base/assert.h"
#include <stdio.h>

#define BODY_BYTES_MAX (256U * 1024U * 1024U)
#define RECEIVE_BYTES_MAX 65536U

void smtp_driver_init(struct smtp_driver *d, enum smtp_service service)
{
    smtp_driver_init_with(d, service, smtp_backend_new());
    d->is_backend_shared = false;
}

void smtp_driver_init_with(struct smtp_driver *d, enum smtp_service service,
                           struct smtp_backend *backend)
{
    *d = (struct smtp_driver){
        .backend = backend, .is_backend_shared = true, .now_ms = 1000, .credit_bytes = 65536};
    d->limits = smtp_limits_default();
    d->profile = smtp_profile_default(service);
    d->profile.greet_delay_ms = 0;
    d->profile.hostname = VY_LIT("mx.dev.test");
    d->profile.group_of = smtp_backend_group_of;
    d->peer = (struct session_peer){
        .remote_ip = VY_LIT("192.0.2.1"),
        .local_ip = VY_LIT("192.0.2.2"),
        .is_trusted = true,
        .can_start_tls = true,
        .trace_id = {1,  2},
        .seed = { 1, 2, 3, 4},
        .now_ms = d->now_ms,
        .wall_ms = 1700000000000,
    };
    vy_buf_init(&d->out, BODY_BYTES_MAX);
}

void smtp_driver_start(struct smtp_driver *d)
{
    d->profile.limits = &d->limits;
    const struct vy_err err = smtp_session_new(&d->peer, &d->profile, &d->session);
    VY_ASSERT(!vy_failed(err));
    smtp_driver_settle(d);
}

static void call_free(struct smtp_driver_call *call)
{
    vy_buf_deinit(&call->request);
    vy_buf_deinit(&call->body);
    *call = (struct smtp_driver_call){.id = 0};
}

void smtp_driver_deinit(struct smtp_driver *d)
{
    for (size_t i = 0; i < SMTP_DRIVER_CALLS_MAX; i++) {
        call_free(&d->calls[i]);
    }
    if (d->session != NULL) {
        d->session->ops->free(d->session);
    }
    if (!d->is_backend_shared) {
        smtp_backend_free(d->backend);
    }
    vy_buf_deinit(&d->out);
}

static struct smtp_driver_call *find_call(struct smtp_driver *d, uint64_t id)
{
    for (size_t i = 0; i < SMTP_DRIVER_CALLS_MAX; i++) {
        if (d->calls[i].id == id) {
            return &d->calls[i];
        }
    }
    return NULL;
}

/* ---- actions ---- */

static void start_call(struct smtp_driver *d, const struct session_action *action)
{
    struct smtp_driver_call *call = find_call(d, 0);
    const bool is_delivery = action->method == METHOD_SHARD_MESSAGE_DELIVER;
    VY_ASSERT(call != NULL && action->call_id != 0);
    VY_ASSERT(!is_delivery || (action->has_key && action->is_write && action->deadline_ms > 0));
    *call = (struct smtp_driver_call){.id = action->call_id,
                                      .method = action->method,
                                      .is_over = !is_delivery,
                                      .credit_bytes =
                                          is_delivery && !d->holds_credit ? d->credit_bytes : 0};
    memcpy(call->key, action->idempotency_key, sizeof(call->key));
    vy_buf_init(&call->request, BODY_BYTES_MAX);
    vy_buf_init(&call->body, BODY_BYTES_MAX);
    d->started_deliveries += is_delivery;
    const struct vy_err err = vy_pb_encode(action->request_desc, action->request, &call->request);
    VY_ASSERT(!vy_failed(err));
}

static void take_body(struct smtp_driver *d, const struct session_action *action)
{
    struct smtp_driver_call *call = find_call(d, action->call_id);
    VY_ASSERT(call != NULL && !call->is_over);
    vy_buf_append(&call->body, action->bytes);
    call->credit_bytes += d->holds_credit ? 0 : action->bytes.len;
}

static void cancel_call(struct smtp_driver *d, uint64_t id)
{
    struct smtp_driver_call *call = find_call(d, id);
    VY_ASSERT(call != NULL); /* a call that has ended is not cancelled */
    d->cancels_count++;
    call_free(call);
}

static void hash(struct smtp_driver *d, uint64_t id)
{
    static const uint8_t tag[32];
    d->session->ops->hash_done(d->session, id, vy_ok(), vy_bytes(tag, sizeof(tag)));
}

static void perform(struct smtp_driver *d, const struct session_action *action)
{
    switch (action->kind) {
    case SESSION_SEND:
        vy_buf_append(&d->out, action->bytes);
        break;
    case SESSION_CALL:
        start_call(d, action);
        break;
    case SESSION_CALL_SEND:
        take_body(d, action);
        break;
    case SESSION_CALL_END:
        VY_ASSERT(find_call(d, action->call_id) != NULL);
        find_call(d, action->call_id)->is_over = true;
        break;
    case SESSION_CALL_CANCEL:
        cancel_call(d, action->call_id);
        break;
    case SESSION_HASH:
        hash(d, action->call_id);
        break;
    case SESSION_START_TLS:
        d->wants_tls = true;
        break;
    case SESSION_TIMER:
        d->timer_at_ms = d->now_ms + action->delay_ms;
        break;
    case SESSION_READ_STOP:
        d->is_reading_stopped = true;
        break;
    case SESSION_READ_START:
        d->is_reading_stopped = false;
        break;
    case SESSION_LOG:
        VY_ASSERT(action->level >= VY_LOG_WARN); /* AUTH-2: nothing a client does is an error */
        (void)snprintf(d->last_event, sizeof(d->last_event), "%s", action->event);
        break;
    case SESSION_COMMAND:
        break;
    case SESSION_CLOSE:
        d->is_closed = true;
        break;
    }
}

/* ---- answers ---- */

static void answer(struct smtp_driver *d, struct smtp_driver_call *call, struct vy_err err)
{
    struct vy_buf reply;
    struct smtp_driver_call ended = *call;
    *call = (struct smtp_driver_call){.id = 0};
    vy_buf_init(&reply, BODY_BYTES_MAX);
    if (!vy_failed(err) || d->failure_is_stored) {
        const struct vy_err stored =
            smtp_backend_call(d->backend, ended.method, vy_buf_bytes(&ended.request),
                              vy_buf_bytes(&ended.body), ended.key, &reply);
        err = vy_failed(err) ? err : stored;
    }
    const bool is_empty = vy_failed(err) || vy_buf_len(&reply) == 0;
    d->session->ops->call_ended(d->session, ended.id, err,
                                is_empty ? vy_bytes("", 0) : vy_buf_bytes(&reply), 0);
    vy_buf_deinit(&reply);
    call_free(&ended);
}

static bool is_of_shard(const struct smtp_driver_call *call)
{
    return call->method == METHOD_SHARD_MESSAGE_DELIVER ||
           call->method == METHOD_SHARD_DELIVERY_END || call->method == METHOD_SHARD_DELIVERY_ASK;
}

/* Done without anybody hearing of it. */
static void do_unheard(struct smtp_driver *d, const struct smtp_driver_call *call)
{
    struct vy_buf reply;
    vy_buf_init(&reply, BODY_BYTES_MAX);
    vy_ignore(smtp_backend_call(d->backend, call->method, vy_buf_bytes(&call->request),
                                vy_buf_bytes(&call->body), call->key, &reply),
              "nobody hears it");
    vy_buf_deinit(&reply);
}

/* False: this call is not hit. */
static bool hit_call(struct smtp_driver *d, struct smtp_driver_call *call)
{
    const size_t number = ++d->shard_calls;
    if (d->fault == SMTP_FAULT_NONE || number < d->fault_at ||
        (number > d->fault_at && !d->fault_stays)) {
        return false;
    }
    if (d->fault == SMTP_FAULT_LOST || d->fault == SMTP_FAULT_SILENT ||
        d->fault == SMTP_FAULT_DIES) {
        do_unheard(d, call);
    }
    d->is_dead = d->fault == SMTP_FAULT_DIES || d->fault == SMTP_FAULT_DIES_BEFORE;
    call->is_silent = d->fault == SMTP_FAULT_SILENT || d->fault == SMTP_FAULT_DEAF;
    if (!d->is_dead && !call->is_silent) {
        const bool is_undone = d->fault == SMTP_FAULT_UNDONE;
        answer(d, call, vy_error(is_undone ? VY_CODE_UNAVAILABLE : VY_CODE_UNKNOWN, "fault"));
    }
    return true;
}

static bool step_call(struct smtp_driver *d, struct smtp_driver_call *call)
{
    if (call->is_silent) {
        return false;
    }
    const bool is_delivery = call->method == METHOD_SHARD_MESSAGE_DELIVER;
    if (is_delivery && d->failures > 0 && (call->is_over || d->fails_early)) {
        d->failures--;
        answer(d, call, vy_error(d->failure_code, "as the test says"));
        return true;
    }
    if (call->credit_bytes > 0 && !call->is_over) {
        const size_t bytes = call->credit_bytes;
        call->credit_bytes = 0;
        d->session->ops->call_writable(d->session, call->id, bytes);
        return true;
    }
    if (call->is_over && !(is_delivery && d->holds_deliveries)) {
        if (is_of_shard(call) && hit_call(d, call)) {
            return true;
        }
        answer(d, call, vy_ok());
        return true;
    }
    return false;
}

static void perform_all(struct smtp_driver *d)
{
    struct session_action action;
    while (!d->is_closed && d->session->ops->next_action(d->session, &action)) {
        perform(d, &action);
    }
}

void smtp_driver_settle(struct smtp_driver *d)
{
    bool moved = true;
    while (moved && !d->is_closed && !d->is_dead) {
        d->session->now_ms = d->now_ms;
        d->session->wall_ms = d->peer.wall_ms + d->now_ms;
        perform_all(d);
        moved = false;
        for (size_t i = 0; i < SMTP_DRIVER_CALLS_MAX && !moved && !d->is_closed && !d->is_dead;
             i++) {
            moved = d->calls[i].id != 0 && step_call(d, &d->calls[i]);
        }
    }
}

void smtp_driver_receive(struct smtp_driver *d, struct vy_bytes in)
{
    while (in.len > 0 && !d->is_closed) {
        const struct vy_bytes piece = vy_bytes_slice(in, 0, RECEIVE_BYTES_MAX);
        if (d->is_reading_stopped) {
            return; /* the rest waits in the socket; tests that stop reading look at it themselves
                     */
        }
        in = vy_bytes_from(in, piece.len);
        d->session->now_ms = d->now_ms;
        d->session->ops->receive(d->session, piece, d->now_ms);
        smtp_driver_settle(d);
    }
}

void smtp_driver_say(struct smtp_driver *d, const char *text)
{
    smtp_driver_receive(d, vy_cstr(text));
}

void smtp_driver_pass(struct smtp_driver *d, uint64_t ms)
{
    const uint64_t end_ms = d->now_ms + ms;
    while (!d->is_closed && d->timer_at_ms != 0 && d->timer_at_ms <= end_ms) {
        d->now_ms = VY_MAX(d->now_ms, d->timer_at_ms);
        d->timer_at_ms = 0;
        d->session->now_ms = d->now_ms;
        d->session->ops->tick(d->session, d->now_ms);
        smtp_driver_settle(d);
    }
    d->now_ms = end_ms;
}

void smtp_driver_end_one(struct smtp_driver *d, struct vy_err err)
{
    for (size_t i = 0; i < SMTP_DRIVER_CALLS_MAX; i++) {
        struct smtp_driver_call *call = &d->calls[i];
        if (call->id != 0 && call->method == METHOD_SHARD_MESSAGE_DELIVER && call->is_over) {
            answer(d, call, err);
            smtp_driver_settle(d);
            return;
        }
    }
    VY_ASSERT(false); /* there was none */
}

void smtp_driver_credit(struct smtp_driver *d, size_t bytes)
{
    for (size_t i = 0; i < SMTP_DRIVER_CALLS_MAX; i++) {
        if (d->calls[i].id != 0 && !d->calls[i].is_over) {
            d->session->ops->call_writable(d->session, d->calls[i].id, bytes);
        }
    }
    smtp_driver_settle(d);
}

void smtp_driver_tls(struct smtp_driver *d)
{
    static const uint8_t exporter[32] = {1};
    const struct session_tls tls = {.info = VY_LIT("TLSv1.3 TLS_AES_128_GCM_SHA256"),
                                    .exporter = vy_bytes(exporter, sizeof(exporter))};
    d->wants_tls = false;
    d->session->ops->tls_started(d->session, &tls);
    smtp_driver_settle(d);
}

struct vy_bytes smtp_driver_heard(struct smtp_driver *d)
{
    const struct vy_bytes heard = vy_buf_bytes(&d->out);
    vy_buf_consume(&d->out, heard.len);
    return heard; /* the memory stays until the next append */
}
