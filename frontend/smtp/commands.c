/* SPDX-License-Identifier: Apache-2.0 */
/* The command table and what stands in front of every command: recognising it, PIPE-1, legality. */
#include "base/assert.h"
#include "frontend/smtp/smtp_private.h"

#define HELO SMTP_NEEDS_HELO
#define SIGN_IN SMTP_NEEDS_SIGN_IN
#define MAIL SMTP_NEEDS_MAIL
#define NO_MAIL SMTP_NEEDS_NO_MAIL
#define RCPT SMTP_NEEDS_RCPT
#define NO_BDAT SMTP_NEEDS_NO_BDAT
#define NO_SIGN_IN SMTP_NEEDS_NO_SIGN_IN
#define PLAINTEXT SMTP_NEEDS_PLAINTEXT
#define LAST SMTP_LAST_IN_BATCH
#define JUNK SMTP_IS_JUNK
#define ARG SMTP_TAKES_ARGUMENT
#define LINE SMTP_LINE_BYTES_MAX
#define LONG SMTP_LINE_EXTENDED_BYTES_MAX
#define AUTH_LINE SMTP_LINE_BUFFER_BYTES
/* Its own syntax check says 501 to what is too long (S19). */
#define ANY_LINE SMTP_LINE_BUFFER_BYTES

/* clang-format off */
static const struct smtp_command commands[] = {
    /* name       services        needs                                 traits            line       start                resume */
    { "EHLO",     SMTP_FOR_SMTP,  NO_MAIL,                              LAST | ARG,       ANY_LINE,  smtp_start_ehlo,     NULL },
    { "HELO",     SMTP_FOR_SMTP,  NO_MAIL,                              LAST | ARG,       ANY_LINE,  smtp_start_helo,     NULL },
    { "LHLO",     SMTP_FOR_LMTP,  NO_MAIL,                              LAST | ARG,       ANY_LINE,  smtp_start_ehlo,     NULL },
    { "MAIL",     SMTP_FOR_ALL,   HELO | SIGN_IN | NO_MAIL,             ARG,              LONG,      smtp_start_mail,     smtp_resume_mail },
    { "RCPT",     SMTP_FOR_ALL,   HELO | MAIL | NO_BDAT,                ARG,              LONG,      smtp_start_rcpt,     smtp_resume_rcpt },
    { "DATA",     SMTP_FOR_ALL,   HELO | MAIL | RCPT | NO_BDAT,         LAST,             LINE,      smtp_start_data,     NULL },
    { "BDAT",     SMTP_FOR_ALL,   0,                                    ARG,              LINE,      smtp_start_bdat,     NULL },
    { "RSET",     SMTP_FOR_ALL,   0,                                    JUNK,             LINE,      smtp_start_rset,     NULL },
    { "NOOP",     SMTP_FOR_ALL,   0,                                    LAST | JUNK | ARG, LINE,     smtp_start_noop,     NULL },
    { "VRFY",     SMTP_FOR_ALL,   0,                                    LAST | JUNK | ARG, LINE,     smtp_start_vrfy,     NULL },
    { "EXPN",     SMTP_FOR_ALL,   0,                                    JUNK | ARG,       LINE,      smtp_start_expn,     NULL },
    { "HELP",     SMTP_FOR_ALL,   0,                                    JUNK | ARG,       LINE,      smtp_start_help,     NULL },
    { "QUIT",     SMTP_FOR_ALL,   0,                                    0,                LINE,      smtp_start_quit,     NULL },
    { "STARTTLS", SMTP_FOR_ALL,   HELO | PLAINTEXT | NO_SIGN_IN | NO_MAIL, 0,             LINE,      smtp_start_starttls, NULL },
    { "AUTH",     SMTP_FOR_SUBMISSION, HELO | NO_SIGN_IN | NO_MAIL,     ARG,              AUTH_LINE, smtp_start_auth,     smtp_resume_auth },
    { "AUTH",     SMTP_FOR_MX | SMTP_FOR_LMTP, 0,                       JUNK | ARG,       AUTH_LINE, smtp_start_no_auth,  NULL },
    /* A stranger's claim to speak for another (S34). */
    { "XCLIENT",  SMTP_FOR_ALL,   0,                                    JUNK | ARG,       ANY_LINE,  smtp_start_proxied,  NULL },
    { "XFORWARD", SMTP_FOR_ALL,   0,                                    JUNK | ARG,       ANY_LINE,  smtp_start_proxied,  NULL },
    { "PROXY",    SMTP_FOR_ALL,   0,                                    JUNK | ARG,       ANY_LINE,  smtp_start_proxied,  NULL },
    /* A browser that was led here. */
    { "GET",      SMTP_FOR_ALL,   0,                                    ARG,              ANY_LINE,  smtp_start_foreign,  NULL },
    { "POST",     SMTP_FOR_ALL,   0,                                    ARG,              ANY_LINE,  smtp_start_foreign,  NULL },
    { "CONNECT",  SMTP_FOR_ALL,   0,                                    ARG,              ANY_LINE,  smtp_start_foreign,  NULL },
};
/* In the order in which they are told. */
static const struct {
    unsigned need;
    const char *code;
    const char *text;
} refusals[] = {
    { SMTP_NEEDS_HELO,       "503 5.5.1", "Introduce yourself first" },
    { SMTP_NEEDS_PLAINTEXT,  "503 5.5.1", "TLS is up already" },
    { SMTP_NEEDS_NO_SIGN_IN, "503 5.5.1", "Signed in already" },
    { SMTP_NEEDS_SIGN_IN,    "530 5.7.0", "Authentication required" },
    { SMTP_NEEDS_NO_BDAT,    "503 5.5.1", "A message in chunks is under way: BDAT or RSET" },
    { SMTP_NEEDS_NO_MAIL,    "503 5.5.1", "A mail transaction is open" },
    { SMTP_NEEDS_MAIL,       "503 5.5.1", "MAIL first" },
    { SMTP_NEEDS_RCPT,       "503 5.5.1", "RCPT first" },
};
/* clang-format on */

static bool is_met(const struct smtp_session *s, unsigned need)
{
    switch ((enum smtp_needs)need) {
    case SMTP_NEEDS_HELO:
        return s->has_helo;
    case SMTP_NEEDS_SIGN_IN:
        return s->is_signed_in || s->profile->service != SMTP_SERVICE_SUBMISSION;
    case SMTP_NEEDS_MAIL:
        return s->tx != NULL;
    case SMTP_NEEDS_NO_MAIL:
        return s->tx == NULL;
    case SMTP_NEEDS_RCPT:
        return s->tx != NULL && s->tx->rcpts_count > 0;
    case SMTP_NEEDS_NO_BDAT:
        return s->tx == NULL || !s->tx->has_chunk;
    case SMTP_NEEDS_NO_SIGN_IN:
        return !s->is_signed_in;
    case SMTP_NEEDS_PLAINTEXT:
        return !s->is_secured;
    }
    return false;
}

static const struct smtp_command *find_command(const struct smtp_session *s, struct vy_bytes name)
{
    for (size_t i = 0; i < VY_COUNT_OF(commands); i++) {
        const bool is_here = (commands[i].services & (1U << s->profile->service)) != 0;
        if (is_here && vy_bytes_equal_nocase(name, vy_cstr(commands[i].name))) {
            return &commands[i];
        }
    }
    return NULL;
}

/* Rows that only say no are not told. */
static bool is_offered(const struct smtp_session *s, const struct smtp_command *command)
{
    return (command->services & (1U << s->profile->service)) != 0 &&
           command->start != smtp_start_proxied && command->start != smtp_start_foreign &&
           command->start != smtp_start_no_auth;
}

struct vy_bytes smtp_command_names(const struct smtp_session *s, struct vy_buf *scratch)
{
    for (size_t i = 0; i < VY_COUNT_OF(commands); i++) {
        if (is_offered(s, &commands[i])) {
            vy_buf_append_cstr(scratch, commands[i].name);
            vy_buf_append_byte(scratch, ' ');
        }
    }
    return vy_bytes_trim(vy_buf_bytes(scratch));
}

void smtp_count_junk(struct smtp_session *s)
{
    s->junk_count++;
}

/* Answers; the session ends after too many, and slows down before (S24). */
static void end_command(struct smtp_session *s)
{
    const struct smtp_limits *limits = s->limits;
    if (s->state != SMTP_STATE_COMMAND) {
        return; /* the command goes on, or the session is over */
    }
    if (s->junk_count > limits->junk_max) {
        smtp_reply(s, "421 4.7.0", "Too many commands without work, closing");
        smtp_close(s, "junk commands");
    } else if (s->junk_count > limits->junk_slow_count && !smtp_is_lenient(s)) {
        smtp_command_done(s, limits->tarpit_ms);
    } else {
        smtp_command_done(s, 0);
    }
}

static void refuse(struct smtp_session *s, const char *code, const char *text)
{
    smtp_reply(s, code, text);
    smtp_count_junk(s);
}

/* What is wrong with the line itself. True: answered. */
static bool refuse_line(struct smtp_session *s, const struct smtp_command *command)
{
    const size_t max = command == NULL ? SMTP_LINE_BYTES_MAX : command->line_bytes_max;
    /* The limits count the CRLF. */
    if (s->is_line_too_long || vy_buf_len(&s->line) + 2 > max) {
        const bool has_501 = command != NULL && command->line_bytes_max == ANY_LINE;
        refuse(s, has_501 ? "501 5.5.4" : "500 5.5.2", "Line too long");
        return true;
    }
    if (command == NULL || s->has_line_nul) {
        refuse(s, "500 5.5.2", "Command not recognised");
        return true;
    }
    if (s->is_line_bad) {
        refuse(s, "501 5.5.2", "Bare CR or LF in a command: lines end with CRLF");
        return true;
    }
    return false;
}

static bool refuse_state(struct smtp_session *s, const struct smtp_command *command)
{
    for (size_t i = 0; i < VY_COUNT_OF(refusals); i++) {
        const unsigned need = refusals[i].need;
        if ((command->needs & need) == 0 || is_met(s, need)) {
            continue;
        }
        if (need == SMTP_NEEDS_RCPT && s->tx->has_refused_rcpt &&
            s->profile->service != SMTP_SERVICE_LMTP) {
            refuse(s, "554 5.5.1", "No recipient was accepted");
        } else {
            refuse(s, refusals[i].code, refusals[i].text);
        }
        return true;
    }
    return false;
}

static struct vy_bytes command_argument(const struct smtp_session *s, struct vy_bytes *name)
{
    struct vy_bytes rest = vy_buf_bytes(&s->line);
    *name = vy_bytes_cut(&rest, ' ');
    return vy_bytes_trim(rest);
}

/* The payload of BDAT lies behind it by right (PIPE-5); STARTTLS has its own answer (S15). */
static bool refuse_out_of_turn(struct smtp_session *s, const struct smtp_command *command)
{
    if (command != NULL &&
        (command->start == smtp_start_bdat || command->start == smtp_start_starttls)) {
        return false;
    }
    const bool is_last = command != NULL && (command->traits & SMTP_LAST_IN_BATCH) != 0;
    return smtp_out_of_turn(s, command == NULL ? "unknown" : command->name, is_last, s->unread);
}

static void run_command(struct smtp_session *s, const struct smtp_command *command,
                        struct vy_bytes argument)
{
    s->command = command;
    s->command_started_ms = s->base.now_ms;
    s->junk_count += (command->traits & SMTP_IS_JUNK) != 0;
    if ((command->traits & SMTP_TAKES_ARGUMENT) == 0 && argument.len > 0) {
        smtp_reply(s, "501 5.5.4", "No argument is expected");
        return;
    }
    command->start(s, argument);
}

/* A client that did not wait for 354 sends its message now, whatever the answer was: that must not
 * be read as commands. */
static void end_refused_data(struct smtp_session *s, const struct smtp_command *command)
{
    const bool is_data = command != NULL && command->start == smtp_start_data;
    if (is_data && s->state == SMTP_STATE_COMMAND && s->unread.len > 0) {
        smtp_close(s, "input behind a DATA that was refused");
    }
}

void smtp_command_run(struct smtp_session *s)
{
    struct vy_bytes name = {.data = NULL};
    const struct vy_bytes argument = command_argument(s, &name);
    const struct smtp_command *command = find_command(s, name);
    if (refuse_out_of_turn(s, command)) {
        return;
    }
    if (!refuse_line(s, command) && !refuse_state(s, command)) {
        run_command(s, command, argument);
    }
    end_refused_data(s, command);
    end_command(s);
}
