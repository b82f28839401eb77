/* SPDX-License-Identifier: Apache-2.0 */
/* Which action is next: read off the session's state, so that no order of events can lose one. */
#include "frontend/smtp/smtp_private.h"

static uint64_t wake_ms(const struct smtp_session *s)
{
    uint64_t wake = UINT64_MAX;
    if (s->state == SMTP_STATE_CLOSED || s->state == SMTP_STATE_LOOKUP ||
        s->state == SMTP_STATE_TLS) {
        return wake; /* the calls and the handshake have deadlines of their own */
    }
    if (s->tx != NULL && s->tx->delivery.is_begun) {
        wake = smtp_delivery_wake_ms(&s->tx->delivery);
    }
    if (s->state == SMTP_STATE_COMMIT) {
        return wake;
    }
    if (s->tx != NULL) {
        wake = VY_MIN(wake, s->tx->deadline_ms);
    }
    return VY_MIN(wake, smtp_has_body_input(s) ? s->rate_from_ms + SMTP_RATE_WINDOW_MS
                                               : s->wait_until_ms);
}

static bool next_send(struct smtp_session *s, struct session_action *out)
{
    if (vy_buf_len(&s->out) == 0 || s->state == SMTP_STATE_DELAY) {
        return false;
    }
    *out = (struct session_action){.kind = SESSION_SEND, .bytes = vy_buf_bytes(&s->out)};
    s->out_lent = vy_buf_len(&s->out);
    return true;
}

static bool next_ended(struct smtp_session *s, struct session_action *out)
{
    if (s->ended_taken == s->ended_count) {
        s->ended_taken = 0;
        s->ended_count = 0;
        return false;
    }
    const struct smtp_ended *ended = &s->ended[s->ended_taken++];
    *out = (struct session_action){.kind = SESSION_COMMAND,
                                   .command = ended->name,
                                   .outcome = ended->outcome,
                                   .started_ms = ended->started_ms};
    return true;
}

static bool next_close(struct smtp_session *s, struct session_action *out)
{
    if (!s->wants_close) {
        return false;
    }
    s->wants_close = false;
    *out = (struct session_action){.kind = SESSION_CLOSE, .reason = s->close_reason};
    return true;
}

static bool next_tls(struct smtp_session *s, struct session_action *out)
{
    if (!s->wants_tls) {
        return false;
    }
    s->wants_tls = false;
    vy_buf_reset(&s->in);
    *out = (struct session_action){.kind = SESSION_START_TLS};
    return true;
}

static bool next_cancel(struct smtp_session *s, struct session_action *out)
{
    if (vy_buf_len(&s->cancels) == 0) {
        return false;
    }
    *out = (struct session_action){.kind = SESSION_CALL_CANCEL,
                                   .call_id = vy_get_be64(vy_buf_bytes(&s->cancels).data)};
    vy_buf_consume(&s->cancels, sizeof(uint64_t));
    vy_buf_release(&s->cancels);
    return true;
}

static bool next_call(struct smtp_session *s, struct session_action *out)
{
    if (s->has_lookup) {
        s->has_lookup = false;
        *out = s->lookup;
        return true;
    }
    return s->tx != NULL && s->tx->delivery.is_begun &&
           smtp_delivery_next_action(&s->tx->delivery, &s->next_call_id, s->base.now_ms, out);
}

static bool next_reading(struct smtp_session *s, struct session_action *out)
{
    const bool is_full = vy_buf_len(&s->in) >= SMTP_INPUT_HIGH_BYTES;
    if (is_full == s->is_reading_stopped) {
        return false;
    }
    s->is_reading_stopped = is_full;
    *out = (struct session_action){.kind = is_full ? SESSION_READ_STOP : SESSION_READ_START};
    return true;
}

static bool next_timer(struct smtp_session *s, struct session_action *out)
{
    const uint64_t wake = wake_ms(s);
    if (wake == UINT64_MAX || (s->timer_at_ms != 0 && wake >= s->timer_at_ms)) {
        return false; /* a timer that fires early is set again then */
    }
    const uint64_t now = s->base.now_ms;
    s->timer_at_ms = wake;
    *out = (struct session_action){.kind = SESSION_TIMER, .delay_ms = wake > now ? wake - now : 1};
    return true;
}

/* A reply that found no memory: the client must not take the next one for it. */
static void check_out(struct smtp_session *s)
{
    if (vy_failed(vy_buf_error(&s->out))) {
        vy_buf_reset(&s->out);
        smtp_close(s, "out of memory");
    }
}

bool smtp_action_next(struct smtp_session *s, struct session_action *out)
{
    check_out(s);
    if (smtp_log_next(s, out) || next_send(s, out) || next_ended(s, out) || next_close(s, out)) {
        return true;
    }
    if (s->state == SMTP_STATE_CLOSED) {
        return false;
    }
    return next_tls(s, out) || next_cancel(s, out) || next_call(s, out) || next_reading(s, out) ||
           next_timer(s, out);
}
