/* SPDX-License-Identifier: Apache-2.0 */
/* The flow: which input goes where, which action is next, what time does. */
#include "base/assert.h"
#include "base/secret.h"
#include "frontend/smtp/smtp_private.h"
#include <stdlib.h>

#define LOGS_RESERVE 3U /* room for what one step may log */

#define TO(state) (1U << SMTP_STATE_##state)
static const uint32_t smtp_state_next[SMTP_STATE_COUNT] = {
    [SMTP_STATE_GREETING] = TO(COMMAND) | TO(CLOSED),
    [SMTP_STATE_COMMAND] = TO(COMMAND) | TO(LOOKUP) | TO(SASL) | TO(DATA) | TO(CHUNK) | TO(COMMIT) |
                           TO(DELAY) | TO(TLS) | TO(CLOSED),
    [SMTP_STATE_LOOKUP] = TO(LOOKUP) | TO(COMMAND) | TO(SASL) | TO(DELAY) | TO(CLOSED),
    [SMTP_STATE_SASL] = TO(SASL) | TO(LOOKUP) | TO(COMMAND) | TO(DELAY) | TO(CLOSED),
    [SMTP_STATE_DATA] = TO(COMMIT) | TO(COMMAND) | TO(CLOSED),
    [SMTP_STATE_CHUNK] = TO(COMMIT) | TO(COMMAND) | TO(CLOSED),
    [SMTP_STATE_COMMIT] = TO(COMMAND) | TO(CLOSED),
    [SMTP_STATE_DELAY] = TO(COMMAND) | TO(CLOSED),
    [SMTP_STATE_TLS] = TO(COMMAND) | TO(CLOSED),
    [SMTP_STATE_CLOSED] = 0,
};

static struct smtp_session *as_smtp(struct session *session)
{
    return VY_CONTAINER_OF(session, struct smtp_session, base);
}

/* ---- states ---- */

static void check_invariant(const struct smtp_session *s)
{
    const bool has_message = s->tx != NULL && s->tx->delivery.is_begun;
    VY_ASSERT(s->state != SMTP_STATE_DATA || has_message);
    VY_ASSERT(s->state != SMTP_STATE_COMMIT || has_message);
    VY_ASSERT(s->state != SMTP_STATE_SASL || s->sasl != NULL);
    VY_ASSERT(s->state != SMTP_STATE_LOOKUP || s->command != NULL);
}

void smtp_move(struct smtp_session *s, enum smtp_state next)
{
    VY_ASSERT((smtp_state_next[s->state] & (1U << next)) != 0);
    s->state = next;
    s->base.is_held = next == SMTP_STATE_DELAY;
    check_invariant(s);
}

void smtp_wait(struct smtp_session *s, enum smtp_state next, uint64_t delay_ms)
{
    smtp_move(s, next);
    s->wait_until_ms = s->base.now_ms + delay_ms;
}

/* The command has its answer: the last line of the output, whose first digit says how it went. */
static void note_ended(struct smtp_session *s)
{
    const struct vy_bytes out = vy_buf_bytes(&s->out);
    size_t at = out.len < 2 ? 0 : out.len - 2;
    while (at > 0 && out.data[at - 1] != '\n') {
        at--;
    }
    if (s->command != NULL && out.len > 0 && s->ended_count < SMTP_ENDED_MAX) {
        const uint8_t digit = out.data[at];
        s->ended[s->ended_count++] = (struct smtp_ended){
            .name = s->command->name,
            .started_ms = s->command_started_ms,
            .outcome = digit < '4'    ? SESSION_OUTCOME_OK
                       : digit == '4' ? SESSION_OUTCOME_NO
                                      : SESSION_OUTCOME_BAD,
        };
    }
    s->command = NULL;
}

void smtp_close(struct smtp_session *s, const char *reason)
{
    if (s->state == SMTP_STATE_CLOSED) {
        return;
    }
    note_ended(s);
    smtp_move(s, SMTP_STATE_CLOSED);
    s->wants_close = true;
    s->close_reason = reason;
}

void smtp_tx_end(struct smtp_session *s)
{
    if (s->tx == NULL) {
        return;
    }
    smtp_delivery_list_open(&s->tx->delivery, &s->cancels);
    smtp_delivery_deinit(&s->tx->delivery);
    vy_arena_deinit(&s->tx->arena);
    free(s->tx);
    s->tx = NULL;
    if (vy_failed(vy_buf_error(&s->cancels))) {
        smtp_close(s, "out of memory"); /* which forgets all calls */
    }
}

bool smtp_is_lenient(const struct smtp_session *s)
{
    return s->peer.is_trusted;
}

static void say_goodbye(struct smtp_session *s)
{
    if (s->is_account_over) {
        smtp_reply(s, "421 4.7.0", "Session is over, sign in again");
        smtp_close(s, "account epoch is over");
    } else {
        smtp_reply(s, "421 4.3.2", "Service is shutting down, try again");
        smtp_close(s, "shutdown");
    }
}

void smtp_command_done(struct smtp_session *s, uint64_t delay_ms)
{
    note_ended(s);
    if (s->is_draining) {
        say_goodbye(s);
    } else if (delay_ms > 0 && s->base.is_tarpit_full) {
        smtp_reply(s, "421 4.7.0", "Too many refused commands at once, closing");
        smtp_close(s, "no place in the tarpit");
    } else if (delay_ms > 0) {
        smtp_wait(s, SMTP_STATE_DELAY, delay_ms);
    } else {
        smtp_wait(s, SMTP_STATE_COMMAND, s->limits->idle_ms);
    }
}

struct vy_bytes smtp_helo(const struct smtp_session *s)
{
    return vy_bytes(s->helo, s->helo_len);
}

void smtp_lookup(struct smtp_session *s, uint32_t method, const struct vy_pb_desc *desc,
                 const void *request, bool is_write)
{
    s->call_id = s->next_call_id++;
    s->lookup = (struct session_action){
        .kind = SESSION_CALL,
        .call_id = s->call_id,
        .target = SESSION_TO_META,
        .method = method,
        .request_desc = desc,
        .request = request,
        .deadline_ms = s->limits->lookup_ms,
        .is_write = is_write,
    };
    s->has_lookup = true;
    smtp_move(s, SMTP_STATE_LOOKUP);
}

/* ---- speaking out of turn ---- */

enum smtp_pipelining_policy smtp_policy(const struct smtp_session *s)
{
    const bool is_trusted = s->profile->is_lenient_to_trusted && s->peer.is_trusted;
    return s->is_signed_in || is_trusted ? SMTP_PIPELINING_IGNORE : s->profile->pipelining_policy;
}

bool smtp_out_of_turn(struct smtp_session *s, const char *command, bool is_last_in_batch,
                      struct vy_bytes unread)
{
    if (!smtp_pipelining_check(&s->pipelining, command, s->is_esmtp, is_last_in_batch, unread)) {
        return false;
    }
    smtp_log(s, VY_LOG_INFO, "smtp.pipelining.unauthorized", VY_CSTR("smtp.command", command),
             VY_STR("smtp.input", vy_bytes(s->pipelining.unread, s->pipelining.unread_len)));
    if (smtp_policy(s) != SMTP_PIPELINING_DISCONNECT) {
        return false;
    }
    smtp_reply(s, "554 5.5.0", "Commands out of turn: wait for the answer");
    smtp_close(s, "unauthorized pipelining");
    return true;
}

/* ---- input ---- */

static void send_banner(struct smtp_session *s)
{
    const bool is_lmtp = s->profile->service == SMTP_SERVICE_LMTP;
    vy_buf_printf(&s->out, "220 %.*s %s Volary (id %016llx%016llx)\r\n",
                  VY_PRI(s->profile->hostname), is_lmtp ? "LMTP" : "ESMTP",
                  (unsigned long long)s->peer.trace_id[0], (unsigned long long)s->peer.trace_id[1]);
    smtp_command_done(s, 0);
}

static bool take_line(struct smtp_session *s, struct vy_bytes *in,
                      void (*run)(struct smtp_session *s))
{
    const size_t len_before = in->len;
    if (!smtp_reader_take(s, in)) {
        return in->len != len_before || s->state == SMTP_STATE_CLOSED;
    }
    if (vy_failed(vy_buf_error(&s->line))) {
        smtp_close(s, "out of memory"); /* a part of the command is missing */
        return true;
    }
    s->unread = *in;
    run(s);
    s->unread = vy_bytes(NULL, 0);
    smtp_reader_reset(s);
    return true;
}

/* One step of the input. False: it waits for more of it, or for something else. */
static bool step(struct smtp_session *s, struct vy_bytes *in)
{
    switch (s->state) {
    case SMTP_STATE_GREETING:
        return smtp_out_of_turn(s, "", true, *in);
    case SMTP_STATE_COMMAND:
        return take_line(s, in, smtp_command_run);
    case SMTP_STATE_SASL:
        return take_line(s, in, smtp_auth_line);
    case SMTP_STATE_DATA:
        return smtp_data_receive(s, in);
    case SMTP_STATE_CHUNK:
        return smtp_chunk_receive(s, in);
    case SMTP_STATE_LOOKUP:
    case SMTP_STATE_COMMIT:
    case SMTP_STATE_DELAY:
    case SMTP_STATE_TLS:
    case SMTP_STATE_CLOSED:
    case SMTP_STATE_COUNT:
        return false;
    }
    return false;
}

/* Whether the client has to be heard before anything else can happen. */
static bool waits_for_client(const struct smtp_session *s)
{
    return s->state == SMTP_STATE_COMMAND || s->state == SMTP_STATE_SASL ||
           s->state == SMTP_STATE_DATA || s->state == SMTP_STATE_CHUNK;
}

/* Output and events wait: input does too. */
static bool is_blocked(const struct smtp_session *s)
{
    return s->base.output_full || vy_buf_len(&s->out) - s->out_lent > SMTP_OUT_HIGH_BYTES ||
           s->logs_count + LOGS_RESERVE > SMTP_LOGS_MAX || s->ended_count == SMTP_ENDED_MAX;
}

/* True when it got somewhere. */
static bool run(struct smtp_session *s, struct vy_bytes *in)
{
    bool moved = false;
    while (!is_blocked(s) && step(s, in)) {
        moved = true;
    }
    if (s->is_eof && in->len == 0 && waits_for_client(s)) {
        smtp_close(s, "client closed");
        moved = true;
    }
    return moved;
}

static bool run_kept(struct smtp_session *s)
{
    struct vy_bytes in = vy_buf_bytes(&s->in);
    const size_t len = in.len;
    const bool moved = run(s, &in);
    vy_buf_consume(&s->in, len - in.len);
    vy_buf_release(&s->in);
    return moved;
}

static void return_lent(struct smtp_session *s)
{
    vy_buf_consume(&s->out, s->out_lent);
    s->out_lent = 0;
    vy_buf_release(&s->out);
}

static void session_receive(struct session *session, struct vy_bytes in, uint64_t now_ms)
{
    struct smtp_session *s = as_smtp(session);
    return_lent(s);
    s->base.now_ms = now_ms;
    if (s->state == SMTP_STATE_CLOSED || s->state == SMTP_STATE_TLS) {
        return; /* plaintext behind STARTTLS is nobody's (S15) */
    }
    if (vy_buf_len(&s->in) == 0) {
        (void)run(s, &in);
    }
    vy_buf_append(&s->in, in);
    if (vy_failed(vy_buf_error(&s->in))) {
        smtp_close(s, "input while reading was stopped");
        return;
    }
    (void)run_kept(s);
}

static void session_closed(struct session *session)
{
    struct smtp_session *s = as_smtp(session);
    return_lent(s);
    s->is_eof = true;
    (void)run_kept(s);
}

/* ---- answers ---- */

static void session_call_ended(struct session *session, uint64_t call_id, struct vy_err err,
                               struct vy_bytes reply, uint32_t retry_after_ms)
{
    struct smtp_session *s = as_smtp(session);
    return_lent(s);
    if (s->state == SMTP_STATE_LOOKUP && call_id == s->call_id) {
        s->call_id = 0;
        s->command->resume(s, err, reply, retry_after_ms);
    } else if (s->tx != NULL && smtp_delivery_ended(&s->tx->delivery, call_id, err, reply,
                                                    retry_after_ms, s->base.now_ms)) {
        smtp_delivery_check(s);
    }
    (void)run_kept(s);
}

static size_t session_call_data(struct session *session, uint64_t call_id, struct vy_bytes data)
{
    (void)session;
    (void)call_id;
    return data.len; /* no call of ours has a reply stream */
}

static void session_call_writable(struct session *session, uint64_t call_id, size_t bytes)
{
    struct smtp_session *s = as_smtp(session);
    return_lent(s);
    if (s->tx != NULL) {
        (void)smtp_delivery_writable(&s->tx->delivery, call_id, bytes);
    }
}

static void session_hash_done(struct session *session, uint64_t call_id, struct vy_err err,
                              struct vy_bytes tag)
{
    struct smtp_session *s = as_smtp(session);
    return_lent(s);
    if (s->state == SMTP_STATE_LOOKUP && call_id == s->call_id && s->sasl != NULL) {
        s->call_id = 0;
        smtp_auth_hashed(s, err, tag);
    }
    (void)run_kept(s);
}

static void session_output_drained(struct session *session)
{
    struct smtp_session *s = as_smtp(session);
    return_lent(s);
    s->base.output_full = false;
    (void)run_kept(s);
}

/* Everything said before is forgotten (RFC 3207 section 4.2; S16). */
static void session_tls_started(struct session *session, const struct session_tls *tls)
{
    struct smtp_session *s = as_smtp(session);
    return_lent(s);
    if (s->state != SMTP_STATE_TLS) {
        return;
    }
    s->tls = *tls;
    s->is_secured = true;
    s->has_helo = false;
    s->is_esmtp = false;
    s->helo_len = 0;
    s->scan = (struct smtp_line){.has_cr = false};
    smtp_tx_end(s);
    smtp_command_done(s, 0);
}

static void session_drain(struct session *session)
{
    struct smtp_session *s = as_smtp(session);
    return_lent(s);
    s->is_draining = true;
    if (s->state == SMTP_STATE_COMMAND || s->state == SMTP_STATE_SASL ||
        s->state == SMTP_STATE_GREETING || s->state == SMTP_STATE_DELAY) {
        say_goodbye(s);
    }
}

bool smtp_has_body_input(const struct smtp_session *s)
{
    return s->state == SMTP_STATE_DATA || s->state == SMTP_STATE_CHUNK;
}

/* A client connects again and signs in, or cannot. Inside a message too when it is certain: what is
 * not whole yet must not be sent by who was revoked (P18). */
static void session_account_over(struct session *session, bool is_certain)
{
    struct smtp_session *s = as_smtp(session);
    s->is_account_over = true;
    session_drain(session);
    if (is_certain && smtp_has_body_input(s)) {
        say_goodbye(s);
    }
}

/* ---- time ---- */

static void time_out(struct smtp_session *s, const char *reason)
{
    smtp_reply(s, "421 4.4.2", "Timeout, closing");
    smtp_close(s, reason);
}

/* Too little within the window, while it was the client's turn. */
static bool is_body_slow(struct smtp_session *s)
{
    if (!smtp_has_body_input(s) || s->base.now_ms < s->rate_from_ms + SMTP_RATE_WINDOW_MS) {
        return false;
    }
    const uint64_t least = (uint64_t)s->limits->body_rate_min * (SMTP_RATE_WINDOW_MS / 1000);
    const bool is_ours = vy_buf_len(&s->in) > 0; /* input waits for room: the shards are slow */
    const bool is_slow = s->rate_bytes < least && !is_ours;
    s->rate_from_ms = s->base.now_ms;
    s->rate_bytes = 0;
    return is_slow;
}

static void tick_client(struct smtp_session *s)
{
    const uint64_t now = s->base.now_ms;
    if (s->tx != NULL && waits_for_client(s) && now >= s->tx->deadline_ms) {
        time_out(s, "transaction took too long");
    } else if (is_body_slow(s)) {
        time_out(s, "body comes too slowly");
    } else if (!smtp_has_body_input(s) && waits_for_client(s) && now >= s->wait_until_ms) {
        time_out(s, "idle");
    } else if (s->state == SMTP_STATE_GREETING && now >= s->wait_until_ms) {
        send_banner(s);
    } else if (s->state == SMTP_STATE_DELAY && now >= s->wait_until_ms) {
        smtp_command_done(s, 0);
    }
}

static void session_tick(struct session *session, uint64_t now_ms)
{
    struct smtp_session *s = as_smtp(session);
    return_lent(s);
    s->base.now_ms = now_ms;
    s->timer_at_ms = 0;
    if (s->tx != NULL && s->tx->delivery.is_begun) {
        smtp_delivery_tick(&s->tx->delivery, now_ms);
        smtp_delivery_check(s);
    }
    tick_client(s);
    (void)run_kept(s);
}

static bool session_next_action(struct session *session, struct session_action *out)
{
    struct smtp_session *s = as_smtp(session);
    do {
        return_lent(s);
        if (smtp_action_next(s, out)) {
            return true;
        }
    } while (run_kept(s));
    return false;
}

/* ---- life ---- */

static void session_free(struct session *session)
{
    struct smtp_session *s = as_smtp(session);
    smtp_tx_end(s);
    sasl_free(s->sasl);
    smtp_reader_reset(s);
    vy_buf_deinit(&s->line);
    vy_buf_deinit(&s->in);
    vy_buf_deinit(&s->out);
    vy_buf_deinit(&s->account_name);
    if (s->session_token.data != NULL) {
        vy_wipe(s->session_token.data, s->session_token.capacity);
    }
    vy_buf_deinit(&s->session_token);
    vy_buf_deinit(&s->cancels);
    vy_arena_deinit(&s->log_arena);
    free(s);
}

#define SMTP_OPS(name)                                                                             \
    {                                                                                              \
        .protocol = (name), .free = session_free, .receive = session_receive,                      \
        .closed = session_closed, .tls_started = session_tls_started, .tick = session_tick,        \
        .call_data = session_call_data, .call_ended = session_call_ended,                          \
        .call_writable = session_call_writable, .hash_done = session_hash_done,                    \
        .output_drained = session_output_drained, .drain = session_drain,                          \
        .account_over = session_account_over, .next_action = session_next_action,                  \
    }
static const struct session_ops smtp_ops[] = {
    [SMTP_SERVICE_MX] = SMTP_OPS("smtp"),
    [SMTP_SERVICE_LMTP] = SMTP_OPS("lmtp"),
    [SMTP_SERVICE_SUBMISSION] = SMTP_OPS("submission"),
};

static void greet(struct smtp_session *s)
{
    const uint32_t delay_ms = s->peer.is_tls ? 0 : s->profile->greet_delay_ms;
    s->wait_until_ms = s->base.now_ms + delay_ms;
    if (delay_ms == 0) {
        send_banner(s);
    }
}

struct vy_err smtp_session_new(const struct session_peer *peer, const struct smtp_profile *profile,
                               struct session **out)
{
    struct smtp_session *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return vy_error(VY_CODE_NOMEM, "SMTP session");
    }
    s->base = (struct session){
        .ops = &smtp_ops[profile->service], .now_ms = peer->now_ms, .wall_ms = peer->wall_ms};
    s->profile = profile;
    s->limits = profile->limits;
    s->peer = *peer;
    s->tls = peer->tls;
    s->is_secured = peer->is_tls;
    s->next_call_id = 1;
    vy_buf_init(&s->line, SMTP_LINE_BUFFER_BYTES);
    vy_buf_init(&s->in, SMTP_INPUT_BYTES_MAX);
    vy_buf_init(&s->out, SMTP_OUT_BYTES_MAX);
    vy_buf_init(&s->account_name, SASL_NAME_BYTES_MAX);
    vy_buf_init(&s->session_token, SMTP_TOKEN_BYTES_MAX);
    vy_buf_init(&s->cancels, SMTP_CANCELS_BYTES_MAX);
    vy_arena_init(&s->log_arena, SMTP_LOG_ARENA_BYTES_MAX);
    greet(s);
    *out = &s->base;
    return vy_ok();
}
