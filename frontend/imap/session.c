/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow of an IMAP session: input into commands, one command at a time, output and actions to
 * the shell, time. Everything the core does happens in session_run(), which every entry ends with.
 */
#include "base/assert.h"
#include "base/secret.h"
#include "frontend/auth/sasl.h"
#include "frontend/imap/imap.h"
#include "frontend/imap/imap_session.h"
#include <stdlib.h>

#define INPUT_STOP_BYTES 65536U /* commands waiting behind the one being run */
#define INPUT_BYTES_MAX 262144U /* that and what the shell had read already */
#define OUT_KEEP_BYTES 4096U

struct imap_limits imap_limits_default(void)
{
    return (struct imap_limits){
        .line_bytes_max = 65536,
        .literal_bytes_max = 8192,
        .command_literal_bytes_max = 65536,
        .append_bytes_max = 52428800,
        .pipelined_commands_max = 32,
        .bad_commands_max = 20,
        .login_timeout_ms = 60000,
        .auth_delay_ms = 1000,
        .idle_timeout_ms = 1800000,
    };
}

#define TO(state) (1U << IMAP_STATE_##state)
static const uint32_t imap_state_next[IMAP_STATE_COUNT] = {
    [IMAP_STATE_GREETING] = TO(UNAUTHENTICATED) | TO(LOGOUT),
    [IMAP_STATE_UNAUTHENTICATED] = TO(AUTHENTICATED) | TO(LOGOUT),
    [IMAP_STATE_AUTHENTICATED] = TO(SELECTED) | TO(LOGOUT),
    [IMAP_STATE_SELECTED] = TO(SELECTED) | TO(AUTHENTICATED) | TO(LOGOUT),
    [IMAP_STATE_LOGOUT] = 0,
};

static struct imap_session *session_of(struct session *base)
{
    return VY_CONTAINER_OF(base, struct imap_session, base);
}

void imap_session_move(struct imap_session *s, enum imap_state next)
{
    VY_ASSERT((imap_state_next[s->state] & (1U << next)) != 0);
    VY_ASSERT((next == IMAP_STATE_SELECTED) == (s->view != NULL) || next == IMAP_STATE_LOGOUT);
    s->state = next;
}

uint64_t imap_session_random(struct imap_session *s)
{
    /* splitmix64 over the seed that the shell drew */
    s->rng[0] += 0x9e3779b97f4a7c15ULL;
    uint64_t z = s->rng[0] ^ s->rng[1];
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return (z ^ (z >> 31)) + s->rng[2];
}

bool imap_session_is_full(const struct imap_session *s)
{
    return s->base.output_full || vy_buf_len(&s->out) - s->out_given >= IMAP_OUT_WINDOW_BYTES;
}

/* ---- end ---- */

void imap_session_close(struct imap_session *s, const char *reason)
{
    if (s->is_closing) {
        return;
    }
    s->is_closing = true;
    struct imap_action *const item = calloc(1, sizeof(*item));
    if (item == NULL) {
        return; /* nothing is answered any more: the client or a timer of the shell ends it */
    }
    item->action.kind = SESSION_CLOSE;
    item->action.reason = reason;
    vy_list_push_back(&s->actions, &item->link);
}

void imap_session_bye(struct imap_session *s, const char *text, const char *reason)
{
    if (s->is_closing) {
        return;
    }
    vy_buf_append_cstr(&s->out, "* BYE ");
    vy_buf_append_cstr(&s->out, text);
    vy_buf_append_cstr(&s->out, "\r\n");
    imap_session_close(s, reason);
}

void imap_session_leave_mailbox(struct imap_session *s)
{
    if (s->view == NULL) {
        return;
    }
    const struct mailbox_close_request request = {
        .actor = &s->account.actor,
        .mailbox_id = s->view->mailbox_id,
        .view_id = s->view->view_id,
    };
    imap_call_apart(s, METHOD_SHARD_MAILBOX_CLOSE, &request, false);
    imap_view_free(s->view);
    s->view = NULL;
    imap_session_move(s, IMAP_STATE_AUTHENTICATED);
}

static void free_actions(struct imap_session *s)
{
    for (struct vy_list *item = vy_list_pop_front(&s->actions); item != NULL;
         item = vy_list_pop_front(&s->actions)) {
        free(VY_CONTAINER_OF(item, struct imap_action, link));
    }
    free(s->given);
    s->given = NULL;
}

static void session_free(struct session *base)
{
    if (base == NULL) {
        return;
    }
    struct imap_session *const s = session_of(base);
    imap_run_clear(s);
    free_actions(s);
    imap_reader_deinit(&s->reader);
    vy_buf_deinit(&s->input);
    vy_buf_deinit(&s->out);
    vy_arena_deinit(&s->cmd_arena);
    event_reader_deinit(&s->watch.reader);
    vy_buf_deinit(&s->account.token);
    vy_buf_deinit(&s->account.name);
    imap_view_free(s->view);
    sasl_free(s->sasl);
    free(s);
}

/* ---- time ---- */

/* A deadline at which tick() has something to do; UINT64_MAX: none. */
static uint64_t next_deadline(const struct imap_session *s)
{
    const bool is_waiting_for_client =
        s->run.row == NULL || s->run.on_line != NULL || s->run.on_body != NULL;
    uint64_t deadline = UINT64_MAX;
    if (s->state == IMAP_STATE_UNAUTHENTICATED) {
        deadline = s->started_ms + s->limits->login_timeout_ms;
    } else if (is_waiting_for_client) {
        deadline = s->active_ms + s->limits->idle_timeout_ms;
    }
    if (s->watch.call_id == 0 && s->watch.retry_ms != 0) {
        deadline = VY_MIN(deadline, s->watch.retry_ms);
    }
    return deadline;
}

/* When tick() is to be called: a deadline, or an answer that was held back. */
static uint64_t next_wake(const struct imap_session *s)
{
    const uint64_t deadline = next_deadline(s);
    return s->run.is_over && s->run.hold_ms > s->base.now_ms ? VY_MIN(deadline, s->run.hold_ms)
                                                             : deadline;
}

/* The timer is armed for the first deadline only: most deadlines move on before they are due, and
 * then the tick just arms it again. */
static void arm_timer(struct imap_session *s)
{
    const uint64_t deadline = next_wake(s);
    if (deadline == UINT64_MAX || (s->timer_ms != 0 && s->timer_ms <= deadline)) {
        return;
    }
    struct imap_action *const item = imap_action_new(s, SESSION_TIMER, 0);
    if (item != NULL) {
        item->action.delay_ms = deadline > s->base.now_ms ? deadline - s->base.now_ms : 0;
        s->timer_ms = VY_MAX(deadline, s->base.now_ms);
    }
}

/* ---- input ---- */

static size_t count_lines(struct vy_bytes bytes, size_t enough)
{
    size_t count = 0;
    size_t at = vy_bytes_find_byte(bytes, '\n', 0);
    while (at != SIZE_MAX && count < enough) {
        count++;
        at = vy_bytes_find_byte(bytes, '\n', at + 1);
    }
    return count;
}

/* Reading stops while more waits behind the running command than a client may send ahead. */
static void set_reading(struct imap_session *s)
{
    const struct vy_bytes waiting = vy_buf_bytes(&s->input);
    const size_t lines_max = s->limits->pipelined_commands_max;
    const bool stop =
        waiting.len >= INPUT_STOP_BYTES ||
        (s->run.on_body == NULL && waiting.len > 0 && count_lines(waiting, lines_max) >= lines_max);
    if (stop == s->is_read_stopped) {
        return;
    }
    s->is_read_stopped = stop;
    (void)imap_action_new(s, stop ? SESSION_READ_STOP : SESSION_READ_START, 0);
}

static bool take_line(struct imap_session *s)
{
    struct vy_bytes in = vy_buf_bytes(&s->input);
    const size_t before = in.len;
    const enum imap_read result = imap_reader_take_plain(&s->reader, &in);
    vy_buf_consume(&s->input, before - in.len);
    if (result == IMAP_READ_TOO_LONG) {
        imap_session_bye(s, "[TOOBIG] Line too long", "line too long");
        return false;
    }
    if (result != IMAP_READ_COMMAND) {
        return false;
    }
    s->run.on_line(s, imap_reader_text(&s->reader));
    imap_reader_reset(&s->reader);
    return true;
}

static bool take_body(struct imap_session *s)
{
    const size_t taken = s->run.on_body(s, vy_buf_bytes(&s->input));
    vy_buf_consume(&s->input, taken);
    return taken > 0;
}

static bool take_command(struct imap_session *s)
{
    struct vy_bytes in = vy_buf_bytes(&s->input);
    const size_t before = in.len;
    const enum imap_read result = imap_reader_take(&s->reader, &in);
    vy_buf_consume(&s->input, before - in.len);
    switch (result) {
    case IMAP_READ_MORE:
        return false;
    case IMAP_READ_COMMAND:
        imap_run_begin(s);
        return true;
    case IMAP_READ_LITERAL:
        imap_run_literal(s);
        return true;
    case IMAP_READ_SKIPPED:
        imap_reader_reset(&s->reader);
        return true;
    case IMAP_READ_TOO_LONG:
        imap_run_refuse(s, "[TOOBIG] Command line too long");
        imap_session_bye(s, "[TOOBIG] Command line too long", "line too long");
        return false;
    case IMAP_READ_BAD:
        imap_run_refuse(s, s->reader.what);
        return true;
    case IMAP_READ_BAD_SIZE: /* I1 */
        imap_run_refuse(s, s->reader.what);
        imap_session_bye(s, "Bad literal", "bad literal");
        return false;
    }
    return false;
}

/* ---- the flow ---- */

/* What the running command can go on with; false: it waits. */
static bool step_run(struct imap_session *s)
{
    if (s->run.is_over) {
        return imap_run_complete(s);
    }
    if (s->run.produce != NULL) {
        if (imap_session_is_full(s)) {
            return false;
        }
        s->run.produce(s);
        return true;
    }
    if (s->run.on_body != NULL) {
        return take_body(s);
    }
    return s->run.on_line != NULL && take_line(s);
}

static bool step(struct imap_session *s)
{
    if (s->is_starting_tls) {
        return false;
    }
    if (s->run.row != NULL) {
        return step_run(s);
    }
    return !imap_session_is_full(s) && take_command(s);
}

/* Between commands, or where only the client could go on. */
static bool is_waiting_for_client(const struct imap_session *s)
{
    const bool is_served = s->run.row == NULL || s->run.on_line != NULL || s->run.on_body != NULL;
    return is_served && vy_buf_len(&s->input) == 0 && s->sync.step == IMAP_SYNC_NONE;
}

static void end_when_asked(struct imap_session *s)
{
    const bool is_idling = s->run.row == NULL || s->run.on_line != NULL;
    if (s->is_account_over && is_idling) {
        imap_session_bye(s, "[UNAVAILABLE] Session is over, sign in again",
                         "account epoch is over");
    } else if (s->is_eof && is_waiting_for_client(s)) {
        imap_session_close(s, "client closed");
    } else if (s->is_draining && is_idling) {
        imap_session_bye(s, "[UNAVAILABLE] Server is shutting down, connect again", "drained");
    }
}

static void session_run(struct imap_session *s)
{
    while (!s->is_closing && step(s)) {
    }
    if (s->out.failed) {
        vy_buf_reset(&s->out);
        s->out_given = 0;
        imap_session_close(s, "output over its limit");
    }
    if (s->is_closing) {
        return;
    }
    end_when_asked(s);
    if (s->is_closing) {
        return;
    }
    set_reading(s);
    arm_timer(s);
    if (s->state == IMAP_STATE_UNAUTHENTICATED && vy_buf_len(&s->input) == 0 &&
        s->input.data != NULL) {
        vy_wipe(s->input.data, s->input.capacity); /* a password may have come this way */
    }
    vy_buf_release(&s->input);
}

static void session_receive(struct session *base, struct vy_bytes in, uint64_t now_ms)
{
    struct imap_session *const s = session_of(base);
    if (s->is_closing || s->is_starting_tls) {
        return; /* plaintext behind STARTTLS is never looked at (I7) */
    }
    s->active_ms = now_ms;
    vy_buf_append(&s->input, in);
    if (s->input.failed) {
        imap_session_close(s, "input over its limit");
        return;
    }
    session_run(s);
}

static void session_closed(struct session *base)
{
    struct imap_session *const s = session_of(base);
    s->is_eof = true;
    imap_watch_close(s);
    if (!s->is_closing) {
        session_run(s);
    }
}

static void session_tls_started(struct session *base, const struct session_tls *tls)
{
    struct imap_session *const s = session_of(base);
    s->is_starting_tls = false;
    s->is_tls = true;
    s->peer.is_tls = true;
    s->peer.tls = *tls;
    s->peer.tls_info = tls->info;
    session_run(s);
}

static void session_tick(struct session *base, uint64_t now_ms)
{
    struct imap_session *const s = session_of(base);
    s->timer_ms = 0;
    if (s->is_closing) {
        return;
    }
    if (s->watch.call_id == 0 && s->watch.retry_ms != 0 && now_ms >= s->watch.retry_ms) {
        imap_watch_open(s);
    }
    const uint64_t deadline = next_deadline(s);
    if (now_ms >= deadline) {
        imap_session_bye(
            s, s->state == IMAP_STATE_UNAUTHENTICATED ? "Too slow to log in" : "Idle for too long",
            "idle");
    }
    session_run(s);
}

static size_t session_call_data(struct session *base, uint64_t call_id, struct vy_bytes data)
{
    struct imap_session *const s = session_of(base);
    size_t taken = data.len; /* of a call that is over for us */
    if (!s->is_closing && call_id == s->run.call_id && s->run.on_data != NULL) {
        taken = s->run.on_data(s, data);
    } else if (!s->is_closing && call_id == s->watch.call_id) {
        taken = imap_watch_data(s, data);
    }
    session_run(s);
    return taken;
}

/* Hands the decoded reply to the handler that waits for it. */
static void resume_run(struct imap_session *s, struct vy_err err, struct vy_bytes reply)
{
    const struct vy_pb_desc *const desc = s->run.reply_desc;
    void *message = NULL;
    if (!vy_failed(err)) {
        message = vy_arena_alloc(&s->cmd_arena, desc->struct_bytes);
        struct vy_bytes kept = {.data = NULL}; /* strings of the message borrow from its bytes */
        err = message == NULL ? vy_error(VY_CODE_LIMIT, "reply is too large")
                              : vy_arena_dup(&s->cmd_arena, reply, &kept);
        if (!vy_failed(err)) {
            err = vy_pb_decode(desc, &s->cmd_arena, kept, message);
        }
    }
    s->run.row->resume(s, err, vy_failed(err) ? NULL : message);
}

static void session_call_ended(struct session *base, uint64_t call_id, struct vy_err err,
                               struct vy_bytes reply, uint32_t retry_after_ms)
{
    struct imap_session *const s = session_of(base);
    if (s->is_closing || call_id == 0) {
        return;
    }
    if (err.code == VY_CODE_STALE && s->state != IMAP_STATE_UNAUTHENTICATED) {
        imap_session_bye(s, "[UNAVAILABLE] Session is over, sign in again",
                         "account epoch is over");
        return;
    }
    if (call_id == s->run.call_id) {
        s->run.call_id = 0;
        if (s->run.on_answer != NULL) {
            s->run.on_answer(s, err, reply, retry_after_ms);
        } else {
            resume_run(s, err, reply);
        }
    } else if (call_id == s->sync.call_id) {
        imap_sync_ended(s, err, reply);
    } else if (call_id == s->watch.call_id) {
        imap_watch_ended(s, err);
    }
    session_run(s);
}

static void session_call_writable(struct session *base, uint64_t call_id, size_t bytes)
{
    struct imap_session *const s = session_of(base);
    if (!s->is_closing && call_id == s->run.call_id && s->run.on_writable != NULL) {
        s->run.on_writable(s, bytes);
        session_run(s);
    }
}

static void session_hash_done(struct session *base, uint64_t call_id, struct vy_err err,
                              struct vy_bytes tag)
{
    struct imap_session *const s = session_of(base);
    if (!s->is_closing && call_id == s->run.call_id && s->sasl != NULL) {
        s->run.call_id = 0;
        imap_auth_hashed(s, err, tag);
        session_run(s);
    }
}

static void session_output_drained(struct session *base)
{
    session_run(session_of(base));
}

static void session_drain(struct session *base)
{
    struct imap_session *const s = session_of(base);
    s->is_draining = true;
    session_run(s);
}

/* When events were missed nothing is done: the shard refuses an old epoch with every call. */
static void session_account_over(struct session *base, bool is_certain)
{
    struct imap_session *const s = session_of(base);
    s->is_account_over = s->is_account_over || is_certain;
    session_run(s);
}

static void forget_given(struct imap_session *s)
{
    free(s->given);
    s->given = NULL;
    vy_buf_consume(&s->out, s->out_given);
    s->out_given = 0;
    if (vy_buf_len(&s->out) == 0 && s->out.capacity > OUT_KEEP_BYTES) {
        vy_buf_release(&s->out);
    }
}

static bool session_next_action(struct session *base, struct session_action *out)
{
    struct imap_session *const s = session_of(base);
    forget_given(s);
    if (vy_buf_len(&s->out) == 0) {
        session_run(s); /* what paused for a full window goes on */
    }
    if (vy_buf_len(&s->out) > 0 && !s->out.failed) {
        s->out_given = vy_buf_len(&s->out);
        *out = (struct session_action){.kind = SESSION_SEND, .bytes = vy_buf_bytes(&s->out)};
        return true;
    }
    struct vy_list *const item = vy_list_pop_front(&s->actions);
    if (item == NULL) {
        vy_buf_release(&s->out);
        return false;
    }
    s->given = VY_CONTAINER_OF(item, struct imap_action, link);
    *out = s->given->action;
    return true;
}

/* ---- start ---- */

static const struct session_ops imap_session_ops = {
    .protocol = "imap",
    .free = session_free,
    .receive = session_receive,
    .closed = session_closed,
    .tls_started = session_tls_started,
    .tick = session_tick,
    .call_data = session_call_data,
    .call_ended = session_call_ended,
    .call_writable = session_call_writable,
    .hash_done = session_hash_done,
    .output_drained = session_output_drained,
    .drain = session_drain,
    .account_over = session_account_over,
    .next_action = session_next_action,
};

static void write_greeting(struct imap_session *s)
{
    vy_buf_append_cstr(&s->out, "* OK [CAPABILITY ");
    imap_write_capabilities(s, &s->out);
    vy_buf_printf(&s->out, "] %.*s Volary ready %016llx%016llx\r\n", VY_PRI(s->hostname),
                  (unsigned long long)s->peer.trace_id[0], (unsigned long long)s->peer.trace_id[1]);
}

struct vy_err imap_session_new(const struct session_peer *peer, const struct imap_limits *limits,
                               struct vy_bytes hostname, struct session **out)
{
    struct imap_session *const s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return vy_error(VY_CODE_NOMEM, "imap session");
    }
    s->base.ops = &imap_session_ops;
    s->base.now_ms = peer->now_ms;
    s->base.wall_ms = peer->wall_ms;
    s->limits = limits;
    s->hostname = hostname;
    s->peer = *peer;
    s->is_tls = peer->is_tls;
    s->started_ms = peer->now_ms;
    s->active_ms = peer->now_ms;
    memcpy(s->rng, peer->seed, sizeof(s->rng));
    imap_reader_init(&s->reader, limits->line_bytes_max);
    vy_buf_init(&s->input, INPUT_BYTES_MAX);
    vy_buf_init(&s->out, IMAP_OUT_BYTES_MAX);
    vy_list_init(&s->actions);
    vy_arena_init(&s->cmd_arena, IMAP_CMD_ARENA_BYTES_MAX);
    event_reader_init(&s->watch.reader);
    vy_buf_init(&s->account.token, 65536);
    vy_buf_init(&s->account.name, 4096);
    write_greeting(s);
    imap_session_move(s, IMAP_STATE_UNAUTHENTICATED);
    arm_timer(s);
    *out = &s->base;
    return vy_ok();
}
