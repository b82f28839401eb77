/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The session as its files share it. session.c owns the flow; each command has its file. */
#include "base/secret.h"
#include "frontend/auth/sasl.h"
#include "frontend/smtp/delivery.h"
#include "frontend/smtp/line.h"
#include "frontend/smtp/pipelining.h"
#include "frontend/smtp/smtp_session.h"

#define SMTP_LINE_BYTES_MAX 512U           /* RFC 5321 section 4.5.3.1.4 */
#define SMTP_LINE_EXTENDED_BYTES_MAX 4096U /* MAIL and RCPT with their parameters (S6) */
#define SMTP_LINE_BUFFER_BYTES (SASL_LINE_BYTES_MAX + 64U) /* AUTH with an initial response */
#define SMTP_LINE_DISCARD_BYTES_MAX (256U * 1024U)         /* of a line without end; then closed */
#define SMTP_INPUT_HIGH_BYTES (64U * 1024U)                /* unread input at which reading stops */
#define SMTP_INPUT_BYTES_MAX (192U * 1024U) /* the mark and what is handed in at once */
#define SMTP_OUT_BYTES_MAX (64U * 1024U)
#define SMTP_OUT_HIGH_BYTES (32U * 1024U) /* unsent replies at which commands wait */
#define SMTP_RATE_WINDOW_MS 60000U        /* body_rate_min is measured over this */
#define SMTP_HELO_BYTES_MAX 255U
#define SMTP_TX_ARENA_BYTES_MAX (512U * 1024U)
#define SMTP_CANCELS_BYTES_MAX (64U * 1024U)
#define SMTP_ENDED_MAX 8U
#define SMTP_LOGS_MAX 8U
#define SMTP_LOG_FIELDS_MAX 8U
#define SMTP_LOG_ARENA_BYTES_MAX (32U * 1024U)

enum smtp_state {
    SMTP_STATE_GREETING, /* the banner waits for greet_delay; woken by tick, or by an early talker
                          */
    SMTP_STATE_COMMAND,  /* waits for a command line */
    SMTP_STATE_LOOKUP,   /* a command waits for meta or for a hash */
    SMTP_STATE_SASL,     /* waits for a line of the SASL exchange */
    SMTP_STATE_DATA,     /* the dotted message arrives */
    SMTP_STATE_CHUNK,    /* bytes of a BDAT chunk arrive */
    SMTP_STATE_COMMIT,   /* the message is complete; waits for the shards */
    SMTP_STATE_DELAY,    /* the answer is held back; woken by tick */
    SMTP_STATE_TLS,      /* waits for the handshake */
    SMTP_STATE_CLOSED,   /* nothing is done any more */
    SMTP_STATE_COUNT
};

struct smtp_session;
struct smtp_message;

/* Where a command is legal: each bit is a condition with its own refusal (commands.c). */
enum smtp_needs {
    SMTP_NEEDS_HELO = 1U << 0,
    SMTP_NEEDS_SIGN_IN = 1U << 1, /* submission: signed in */
    SMTP_NEEDS_MAIL = 1U << 2,    /* a transaction is open */
    SMTP_NEEDS_NO_MAIL = 1U << 3, /* none is */
    SMTP_NEEDS_RCPT = 1U << 4,    /* with a recipient */
    SMTP_NEEDS_NO_BDAT = 1U << 5, /* no chunk was taken yet */
    SMTP_NEEDS_NO_SIGN_IN = 1U << 6,
    SMTP_NEEDS_PLAINTEXT = 1U << 7 /* TLS is not up */
};
enum smtp_traits {
    SMTP_LAST_IN_BATCH = 1U << 0, /* PIPE-1: nothing may be sent behind it before its answer */
    SMTP_IS_JUNK = 1U << 1,       /* does no work (S24) */
    SMTP_TAKES_ARGUMENT = 1U << 2 /* others refuse one with 501 */
};
enum smtp_services {
    SMTP_FOR_MX = 1U << SMTP_SERVICE_MX,
    SMTP_FOR_LMTP = 1U << SMTP_SERVICE_LMTP,
    SMTP_FOR_SUBMISSION = 1U << SMTP_SERVICE_SUBMISSION,
    SMTP_FOR_SMTP = SMTP_FOR_MX | SMTP_FOR_SUBMISSION,
    SMTP_FOR_ALL = SMTP_FOR_SMTP | SMTP_FOR_LMTP
};

struct smtp_command {
    const char *name;
    unsigned services;
    unsigned needs;
    unsigned traits;
    size_t line_bytes_max;
    void (*start)(struct smtp_session *s, struct vy_bytes argument);
    /* Its call to meta has ended. */
    void (*resume)(struct smtp_session *s, struct vy_err err, struct vy_bytes reply,
                   uint32_t retry_after_ms);
};

struct smtp_rcpt {
    struct vy_bytes address; /* as given, without brackets */
    struct vy_bytes orcpt;   /* DSN, kept */
    uint32_t notify;         /* enum smtp_notify bits, kept */
    uint32_t *targets;       /* indexes into the delivery's targets */
    size_t targets_count;
};

/* A mail transaction: from MAIL to its end. */
#define SMTP_TOKEN_BYTES_MAX 4096U /* opaque here; meta makes them of 256 at most */
struct smtp_tx {
    struct vy_arena arena;
    struct vy_bytes sender; /* reverse path without brackets; empty for <> */
    struct vy_bytes envid;  /* DSN, kept */
    struct smtp_rcpt *rcpts;
    size_t rcpts_count;
    bool has_refused_rcpt;
    bool is_utf8;             /* MAIL said SMTPUTF8 */
    bool wants_header;        /* DSN: RET=HDRS, kept */
    bool is_session_checked;  /* the sender's group was asked */
    bool has_chunk;           /* a BDAT came */
    const char *refusal_code; /* of a chunk: stands until LAST or RSET; NULL: none. Literals */
    const char *refusal_text;
    uint64_t deadline_ms;
    /* RCPT under way */
    struct smtp_rcpt rcpt;
    struct vy_bytes canonical;
    bool is_fresh;
    struct smtp_message *message; /* in arena; NULL: no byte of it yet (message.h) */
    struct smtp_delivery delivery;
};

/* The BDAT chunk under way. */
struct smtp_chunk {
    uint64_t left_bytes;
    uint64_t size_bytes;
    bool is_last;
    const char *refusal_code; /* NULL: it is wanted */
    const char *refusal_text;
};

struct smtp_log {
    enum vy_log_level level;
    const char *event;
    struct vy_log_field fields[SMTP_LOG_FIELDS_MAX];
    size_t fields_count;
};

/* A command that was answered, for the metrics. */
struct smtp_ended {
    const char *name; /* of its row */
    uint64_t started_ms;
    enum session_outcome outcome;
};

struct smtp_session {
    struct session base;
    const struct smtp_profile *profile;
    const struct smtp_limits *limits;
    struct session_peer peer;
    struct session_tls tls;
    enum smtp_state state;
    enum smtp_state delayed_state; /* behind DELAY */
    bool has_helo;
    bool is_esmtp; /* EHLO or LHLO was seen; a later HELO does not take it back (1.5) */
    bool is_secured;
    bool is_signed_in;
    bool is_eof;          /* the client sends no more; what it sent is still answered */
    bool is_draining;     /* 421 at the next safe point */
    bool is_account_over; /* for this reason: the account has a newer epoch */
    bool is_reading_stopped;
    bool wants_tls; /* actions that wait their turn */
    bool wants_close;
    bool is_line_bad; /* the line holds a bare CR or LF */
    bool has_line_nul;
    bool is_line_too_long;
    size_t line_discarded;
    const char *close_reason;
    struct smtp_line scan;
    struct vy_buf line;     /* the command line so far, without its end */
    struct vy_buf in;       /* not looked at yet */
    struct vy_buf out;      /* replies */
    size_t out_lent;        /* of out: handed to the shell, gone at the next call */
    struct vy_bytes unread; /* what lies behind the command that runs now; borrowed */
    char helo[SMTP_HELO_BYTES_MAX + 1];
    size_t helo_len;
    const struct smtp_command *command; /* until it is answered */
    uint64_t command_started_ms;
    struct smtp_ended ended[SMTP_ENDED_MAX]; /* not taken by the shell yet */
    size_t ended_count;
    size_t ended_taken;
    uint64_t call_id; /* of the lookup; 0: none */
    uint64_t next_call_id;
    struct session_action lookup; /* to be handed out */
    bool has_lookup;
    union {
        struct resolve_request resolve;
        struct sender_check_request sender_check;
        struct quota_request quota;
    } request;
    struct sasl_exchange *sasl; /* owned; while signing in */
    unsigned auth_failures;
    uint64_t account_id; /* signed in as */
    struct vy_buf account_name;
    struct vy_buf session_token; /* of that sign-in */
    struct shard_actor actor;    /* the same, for calls to its shard */
    struct smtp_tx *tx;          /* owned; NULL: none open */
    struct smtp_chunk chunk;
    uint64_t message_serial;
    struct vy_buf cancels; /* ids of calls to be forgotten, big-endian */
    unsigned junk_count;
    unsigned rcpt_refusals; /* of the whole session: guessing addresses must not pay (S25) */
    struct smtp_pipelining pipelining;
    uint64_t wait_until_ms; /* deadline of the state: idle, delay, transaction */
    uint64_t timer_at_ms;   /* what the shell's timer is set to; 0: none */
    uint64_t rate_from_ms;  /* the body's rate is measured from here */
    uint64_t rate_bytes;
    struct vy_arena log_arena;
    struct smtp_log *logs; /* SMTP_LOGS_MAX, in log_arena; NULL: nothing to log */
    size_t logs_count;
    size_t logs_taken;
};

/* ---- session.c ---- */
void smtp_move(struct smtp_session *s, enum smtp_state next);
/* Moves to a state that waits, with its deadline. */
void smtp_wait(struct smtp_session *s, enum smtp_state next, uint64_t delay_ms);
void smtp_close(struct smtp_session *s, const char *reason); /* after what `out` holds */
void smtp_tx_end(struct smtp_session *s);                    /* RSET: forgets the transaction */
bool smtp_is_lenient(const struct smtp_session *s);          /* no penalties */
enum smtp_pipelining_policy smtp_policy(const struct smtp_session *s);
/* Input lay behind `command` out of turn. True: the session is over, the answer given. */
bool smtp_out_of_turn(struct smtp_session *s, const char *command, bool is_last_in_batch,
                      struct vy_bytes unread);
/* Starts a call to meta for the current command; request must live in the session. */
void smtp_lookup(struct smtp_session *s, uint32_t method, const struct vy_pb_desc *desc,
                 const void *request, bool is_write);
/* Back to COMMAND once the answer is in `out`; at once, or after delay_ms. */
void smtp_command_done(struct smtp_session *s, uint64_t delay_ms);
struct vy_bytes smtp_helo(const struct smtp_session *s);

bool smtp_has_body_input(const struct smtp_session *s); /* bytes of a message are awaited */

/* ---- actions.c ---- */
/* What the state asks for; false: nothing, until more happens. */
bool smtp_action_next(struct smtp_session *s, struct session_action *out);

/* ---- log.c ---- */
/* Queues an event; values are copied. */
void smtp_log_fields(struct smtp_session *s, enum vy_log_level level, const char *event,
                     const struct vy_log_field *fields, size_t count);
#define smtp_log(s, level, event, ...)                                                             \
    do {                                                                                           \
        const struct vy_log_field smtp_fields[] = {{.key = NULL}, ##__VA_ARGS__};                  \
        smtp_log_fields((s), (level), (event), smtp_fields + 1,                                    \
                        sizeof(smtp_fields) / sizeof(smtp_fields[0]) - 1);                         \
    } while (0)
bool smtp_log_next(struct smtp_session *s, struct session_action *out);

/* ---- reply.c ---- */
void smtp_reply(struct smtp_session *s, const char *code, const char *text);
/* A failure of ours: always 4xx, with the trace id that the log has too. */
void smtp_reply_failure(struct smtp_session *s, struct vy_err err);
/* As smtp_reply_failure, for what a client may also have to be refused for good. */
const char *smtp_failure_code(struct vy_err err);
void smtp_reply_trace_id(struct smtp_session *s, const char *code, const char *text);
void smtp_reply_line(struct smtp_session *s, const char *code, bool is_last, struct vy_bytes text);

/* ---- reader.c: command lines ---- */
/* Takes input up to a line's end. True: s->line holds a whole line. */
bool smtp_reader_take(struct smtp_session *s, struct vy_bytes *in);
void smtp_reader_reset(struct smtp_session *s);

/* ---- commands.c ---- */
/* Runs the line in s->line. */
void smtp_command_run(struct smtp_session *s);
void smtp_count_junk(struct smtp_session *s);
struct vy_bytes smtp_command_names(const struct smtp_session *s, struct vy_buf *scratch);

/* ---- cmd_*.c ---- */
void smtp_start_helo(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_ehlo(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_starttls(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_rset(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_noop(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_vrfy(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_expn(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_help(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_quit(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_proxied(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_foreign(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_no_auth(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_auth(struct smtp_session *s, struct vy_bytes argument);
void smtp_resume_auth(struct smtp_session *s, struct vy_err err, struct vy_bytes reply,
                      uint32_t retry_after_ms);
void smtp_auth_line(struct smtp_session *s); /* s->line holds the client's answer */
void smtp_auth_hashed(struct smtp_session *s, struct vy_err err, struct vy_bytes tag);
void smtp_auth_peer(const struct smtp_session *s, struct sasl_peer *out);
void smtp_start_mail(struct smtp_session *s, struct vy_bytes argument);
void smtp_resume_mail(struct smtp_session *s, struct vy_err err, struct vy_bytes reply,
                      uint32_t retry_after_ms);
void smtp_start_rcpt(struct smtp_session *s, struct vy_bytes argument);
void smtp_resume_rcpt(struct smtp_session *s, struct vy_err err, struct vy_bytes reply,
                      uint32_t retry_after_ms);
void smtp_start_data(struct smtp_session *s, struct vy_bytes argument);
void smtp_start_bdat(struct smtp_session *s, struct vy_bytes argument);
/* Message bytes in DATA or CHUNK. False: nothing more to do with this input now. */
bool smtp_data_receive(struct smtp_session *s, struct vy_bytes *in);
bool smtp_chunk_receive(struct smtp_session *s, struct vy_bytes *in);
/* The delivery may have come to its end: answers if so. */
void smtp_delivery_check(struct smtp_session *s);
