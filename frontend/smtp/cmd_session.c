/* SPDX-License-Identifier: Apache-2.0 */
/* EHLO, HELO, LHLO, STARTTLS and the commands that only answer. */
#include "frontend/smtp/path.h"
#include "frontend/smtp/smtp_private.h"

#define HELP_BYTES_MAX 512U

/* Keeps the name for Received. False: refused (S19). */
static bool take_name(struct smtp_session *s, struct vy_bytes name)
{
    if (!smtp_helo_is_fine(name)) {
        smtp_reply(s, "501 5.5.4", "A domain or an address literal is expected");
        return false;
    }
    memcpy(s->helo, name.data, name.len);
    s->helo_len = name.len;
    s->has_helo = true;
    return true;
}

void smtp_start_helo(struct smtp_session *s, struct vy_bytes argument)
{
    if (take_name(s, argument)) {
        smtp_reply_line(s, "250", true, s->profile->hostname);
    }
}

static void offer_auth(struct smtp_session *s)
{
    char names[SASL_MECHANISMS_BYTES_MAX];
    struct sasl_peer peer;
    smtp_auth_peer(s, &peer);
    const struct vy_bytes mechanisms = sasl_mechanisms(&peer, names);
    if (s->profile->service == SMTP_SERVICE_SUBMISSION && !s->is_signed_in && mechanisms.len > 0) {
        vy_buf_printf(&s->out, "250-AUTH %.*s\r\n", VY_PRI(mechanisms));
    }
}

void smtp_start_ehlo(struct smtp_session *s, struct vy_bytes argument)
{
    static const char *const extensions[] = {"PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING",
                                             "ENHANCEDSTATUSCODES"};
    if (!take_name(s, argument)) {
        return;
    }
    s->is_esmtp = true;
    smtp_reply_line(s, "250", false, s->profile->hostname);
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
        smtp_reply_line(s, "250", false, vy_cstr(extensions[i]));
    }
    vy_buf_printf(&s->out, "250-SIZE %llu\r\n", (unsigned long long)s->limits->message_bytes_max);
    if (s->peer.can_start_tls && !s->is_secured) {
        smtp_reply_line(s, "250", false, VY_LIT("STARTTLS"));
    }
    offer_auth(s);
    smtp_reply_line(s, "250", true, VY_LIT("DSN"));
}

/* What lies behind the command would be plaintext that passes for protected input (S15). */
void smtp_start_starttls(struct smtp_session *s, struct vy_bytes argument)
{
    (void)argument;
    if (!s->peer.can_start_tls) {
        smtp_reply(s, "454 4.7.0", "TLS is not available");
        return;
    }
    if (s->unread.len > 0) {
        smtp_log(s, VY_LOG_INFO, "smtp.starttls.injected", VY_STR("smtp.input", s->unread));
        smtp_reply(s, "501 5.5.1", "Nothing may follow STARTTLS before the handshake");
        smtp_close(s, "input behind STARTTLS");
        return;
    }
    smtp_reply(s, "220 2.0.0", "Ready to start TLS");
    s->wants_tls = true;
    smtp_move(s, SMTP_STATE_TLS);
}

void smtp_start_rset(struct smtp_session *s, struct vy_bytes argument)
{
    (void)argument;
    smtp_tx_end(s);
    smtp_reply(s, "250 2.0.0", "Ok");
}

void smtp_start_noop(struct smtp_session *s, struct vy_bytes argument)
{
    (void)argument;
    smtp_reply(s, "250 2.0.0", "Ok");
}

/* The same for every name (S25). */
void smtp_start_vrfy(struct smtp_session *s, struct vy_bytes argument)
{
    if (argument.len == 0) {
        smtp_reply(s, "501 5.5.4", "A name is expected");
        return;
    }
    smtp_reply(s, "252 2.5.0", "Cannot say, but mail for it will be tried");
}

void smtp_start_expn(struct smtp_session *s, struct vy_bytes argument)
{
    (void)argument;
    smtp_reply(s, "502 5.5.1", "Lists are not told");
}

void smtp_start_help(struct smtp_session *s, struct vy_bytes argument)
{
    (void)argument;
    struct vy_buf names;
    vy_buf_init(&names, HELP_BYTES_MAX);
    smtp_reply_line(s, "214 2.0.0", true, smtp_command_names(s, &names));
    vy_buf_deinit(&names);
}

void smtp_start_quit(struct smtp_session *s, struct vy_bytes argument)
{
    (void)argument;
    smtp_tx_end(s);
    smtp_reply(s, "221 2.0.0", "Bye");
    smtp_close(s, "quit");
}

void smtp_start_proxied(struct smtp_session *s, struct vy_bytes argument)
{
    (void)argument;
    smtp_reply(s, "550 5.7.1", "Not a listed proxy");
}

void smtp_start_foreign(struct smtp_session *s, struct vy_bytes argument)
{
    (void)argument;
    smtp_reply(s, "554 5.5.0", "This is not an HTTP server");
    smtp_close(s, "another protocol");
}
