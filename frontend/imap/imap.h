/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of the IMAP core share: the session, the command being run, the rows of the
 * command table, and how a handler calls a shard and ends. A handler is started by its row and goes
 * on in `resume` when its call has ended; it ends by imap_end_*(), after which the session tells
 * what changed in the mailbox and then the tagged line.
 */
#include "base/arena.h"
#include "base/list.h"
#include "frontend/imap/imap_session.h"
#include "frontend/imap/parser.h"
#include "frontend/imap/reader.h"
#include "frontend/imap/view.h"
#include "frontend/imap/writer.h"
#include "mail/seqset.h"
#include "mail/uidset.h"
#include "proto/event_stream.h"
#include "proto/meta.pb.h"
#include "proto/shard.pb.h"

/* Output made in one go before the shell is given a chance to send it. */
#define IMAP_OUT_WINDOW_BYTES 65536U
#define IMAP_OUT_BYTES_MAX 8388608U /* P16 */
#define IMAP_CMD_ARENA_BYTES_MAX 8388608U
/* FETCH and APPEND last as long as their client takes; the shell watches that it moves at all. */
#define IMAP_STREAM_DEADLINE_MS 3600000U

struct imap_session;

enum imap_state {
    IMAP_STATE_GREETING,        /* nothing sent yet */
    IMAP_STATE_UNAUTHENTICATED, /* waits for LOGIN, AUTHENTICATE or STARTTLS */
    IMAP_STATE_AUTHENTICATED,   /* an account, no mailbox */
    IMAP_STATE_SELECTED,        /* view is there */
    IMAP_STATE_LOGOUT,          /* nothing is read any more */
    IMAP_STATE_COUNT
};
#define IMAP_IN(state) (1U << IMAP_STATE_##state)
#define IMAP_IN_ANY (IMAP_IN(UNAUTHENTICATED) | IMAP_IN(AUTHENTICATED) | IMAP_IN(SELECTED))
#define IMAP_IN_ACCOUNT (IMAP_IN(AUTHENTICATED) | IMAP_IN(SELECTED))

enum imap_trait {
    IMAP_USES_SEQ =
        1,            /* sequence numbers must stand still until its end (RFC 3501 section 7.4.1) */
    IMAP_BY_UID = 2,  /* the UID form of a command */
    IMAP_SYNC = 4,    /* asks the shard for changes even when no hint spoke of any */
    IMAP_NO_SYNC = 8, /* tells no changes at its end */
    IMAP_CHANGES = 16 /* refused on a mailbox opened by EXAMINE */
};

struct imap_command {
    const char *name; /* "UID MOVE" */
    uint32_t states;  /* IMAP_IN(...) */
    uint32_t traits;  /* enum imap_trait */
    /* Arguments behind the name, with the space in front of them, to their end. NULL: there are
     * none. */
    struct vy_err (*parse)(struct imap_session *s, struct imap_parser *p);
    void (*start)(struct imap_session *s);
    /* Its call has ended: reply is the decoded message, NULL when err says failed. */
    void (*resume)(struct imap_session *s, struct vy_err err, const void *reply);
};

struct imap_extension {
    const char *capability;     /* as in CAPABILITY; NULL: nothing to announce */
    uint32_t capability_states; /* where it is announced */
    const char *enable_name;    /* for ENABLE; NULL: cannot be enabled */
    uint32_t enable_bit;        /* of session->enabled */
    const struct imap_command *commands;
    size_t command_count;
};
#define IMAP_COMMANDS(rows) .commands = (rows), .command_count = sizeof(rows) / sizeof((rows)[0])

#define IMAP_ENABLED_CONDSTORE 1U

/* One command from its tag to its tagged line. All but the row lives in cmd_arena. */
struct imap_run {
    const struct imap_command *row; /* NULL: none is running */
    struct vy_bytes tag;
    void *args;       /* made by parse */
    void *state;      /* made by start */
    uint64_t call_id; /* the call it waits for; 0: none */
    const struct vy_pb_desc *reply_desc;
    /* Set by a handler that takes part in the flow of bytes; NULL otherwise. */
    size_t (*on_data)(struct imap_session *s, struct vy_bytes data); /* of its call */
    void (*on_writable)(struct imap_session *s, size_t bytes);       /* of its call */
    void (*on_line)(struct imap_session *s,
                    struct vy_bytes line); /* the client's next line is for it */
    size_t (*on_body)(struct imap_session *s,
                      struct vy_bytes bytes); /* the client's next bytes are for it */
    void (*produce)(
        struct imap_session *s); /* writes some output; called again until it ends the command */
    /* Instead of the row's resume, with the reply as it came. */
    void (*on_answer)(struct imap_session *s, struct vy_err err, struct vy_bytes reply,
                      uint32_t retry_after_ms);
    void (*on_free)(struct imap_session *s); /* gives back heap memory of args and state */
    struct vy_buf text;        /* owned; the command as sent: arguments borrow from it */
    struct vy_bytes last_line; /* tagged line without its tag; set by imap_end_* */
    uint64_t started_ms;
    uint64_t hold_ms; /* its answer waits until then; 0: for nothing */
    bool is_over;
    bool is_synced;
    bool wants_sync; /* as if the row had IMAP_SYNC */
    bool closes;     /* the connection ends with it */
};

enum imap_sync_step {
    IMAP_SYNC_NONE,
    IMAP_SYNC_CALL, /* MAILBOX_SYNC is on its way */
    IMAP_SYNC_AGAIN /* and there is more behind it */
};

struct imap_sync {
    enum imap_sync_step step;
    uint64_t call_id;
};

struct imap_watch {
    uint64_t call_id;  /* 0: not open */
    uint64_t retry_ms; /* when to open it again, monotonic; 0: not wanted */
    uint32_t failures;
    struct event_reader reader;
};

struct imap_account {
    uint64_t id;
    uint64_t epoch;
    struct vy_buf token;      /* session token, opaque */
    struct vy_buf name;       /* main address */
    struct shard_actor actor; /* borrows token */
};

struct imap_session {
    struct session base;              /* first */
    const struct imap_limits *limits; /* borrowed */
    struct vy_bytes hostname;         /* borrowed */
    struct session_peer peer;
    enum imap_state state;
    bool is_tls;
    bool is_starting_tls;
    bool is_closing; /* CLOSE is queued: nothing else is done */
    bool is_draining;
    bool is_account_over; /* BYE at the next safe point: the account has a newer epoch */
    bool is_eof;          /* the client sends no more */
    bool is_read_stopped;
    uint32_t enabled; /* IMAP_ENABLED_* */
    uint32_t bad_commands;
    uint32_t login_failures;
    uint64_t next_call_id;
    uint64_t rng[4];
    uint64_t started_ms;
    uint64_t active_ms; /* when the client last sent something */
    uint64_t timer_ms;  /* when the armed timer fires; 0: none */
    struct imap_reader reader;
    struct vy_buf input; /* bytes behind the command being run */
    struct vy_buf out;
    size_t out_given;          /* of out: handed to the shell by the last SEND */
    struct vy_list actions;    /* struct imap_action, in order */
    struct imap_action *given; /* the last one handed out */
    struct vy_arena cmd_arena;
    struct imap_run run;
    struct imap_sync sync;
    struct imap_watch watch;
    struct imap_account account;
    struct imap_view *view;     /* owned; SELECTED only */
    struct sasl_exchange *sasl; /* owned; during LOGIN and AUTHENTICATE */
};

/* An action on its way to the shell. */
struct imap_action {
    struct vy_list link;
    struct session_action action;
    struct vy_log_field fields[6];
    max_align_t payload[]; /* the request struct, or bytes */
};

/* ---- session.c: the flow ---- */
void imap_session_move(struct imap_session *s, enum imap_state next);
/* BYE has been written or will never be: flush and close. reason: literal, for the log. */
void imap_session_close(struct imap_session *s, const char *reason);
/* "* BYE text", then close. */
void imap_session_bye(struct imap_session *s, const char *text, const char *reason);
uint64_t imap_session_random(struct imap_session *s);
/* Should whatever writes output now pause? */
bool imap_session_is_full(const struct imap_session *s);
/* Closes the view and leaves the mailbox. */
void imap_session_leave_mailbox(struct imap_session *s);

/* ---- call.c: calls and other actions ---- */
/* The action is queued when there is memory; NULL and a closed session otherwise. */
struct imap_action *imap_action_new(struct imap_session *s, enum session_action_kind kind,
                                    size_t payload_bytes);
/* Starts the call the command waits for: its row's resume is next. */
void imap_call(struct imap_session *s, uint32_t method, const void *request, bool is_write);
/* The same with a deadline of its own (streams). */
void imap_call_stream(struct imap_session *s, uint32_t method, const void *request, bool is_write);
/* A call that no command waits for. Returns its id; 0: the session is closing. */
uint64_t imap_call_apart(struct imap_session *s, uint32_t method, const void *request,
                         bool is_write);
void imap_call_cancel(struct imap_session *s, uint64_t call_id);
const struct vy_pb_desc *imap_method_reply_desc(uint32_t method);
/* At most 6 fields; they are copied. */
void imap_log(struct imap_session *s, enum vy_log_level level, const char *event,
              const struct vy_log_field *fields, size_t count);

/* ---- run.c: from a gathered command to its tagged line ---- */
/* reader holds a whole command: parses and starts it. */
void imap_run_begin(struct imap_session *s);
/* reader stopped at a literal: takes, streams or refuses it. */
void imap_run_literal(struct imap_session *s);
/* The reader refused a line. */
void imap_run_refuse(struct imap_session *s, const char *text);
/* Claims the run for a row; the reader's text becomes its. tag borrows from that text. */
void imap_run_claim(struct imap_session *s, const struct imap_command *row, struct vy_bytes tag);
/* "tag OK [code] text". code may be NULL. */
void imap_end_ok(struct imap_session *s, const char *code, const char *text);
void imap_end_no(struct imap_session *s, const char *code, const char *text);
void imap_end_bad(struct imap_session *s, const char *text);
/* The line as it is, "OK [APPENDUID 1 2] done": built in cmd_arena. */
void imap_end_line(struct imap_session *s, struct vy_bytes line);
/* NO (or BAD for SYNTAX) with the code and text of the error's row. */
void imap_end_error(struct imap_session *s, struct vy_err err);
/* Runs the command's last steps when is_over; true when it is gone. */
bool imap_run_complete(struct imap_session *s);
void imap_run_clear(struct imap_session *s);

/* Memory of the command; NULL: none, and the command has been ended with NO [LIMIT]. */
void *imap_alloc(struct imap_session *s, size_t size);
#define IMAP_NEW(s, type) ((type *)imap_alloc((s), sizeof(type)))

/* ---- sync.c: telling changes of the selected mailbox ---- */
void imap_sync_start(struct imap_session *s);
void imap_sync_ended(struct imap_session *s, struct vy_err err, struct vy_bytes reply);
void imap_watch_open(struct imap_session *s);
size_t imap_watch_data(struct imap_session *s, struct vy_bytes data);
void imap_watch_ended(struct imap_session *s, struct vy_err err);
void imap_watch_close(struct imap_session *s);

/* ---- cmd_append.c ---- */
/* Is the literal that the reader stopped at the message of an APPEND? Then it has been started or
 * refused. */
bool imap_append_begin(struct imap_session *s);
/* ---- cmd_auth.c ---- */
void imap_auth_hashed(struct imap_session *s, struct vy_err err, struct vy_bytes tag);

/* ---- commands.c: the table ---- */
const struct imap_command *imap_find_command(struct imap_parser *p);
void imap_write_capabilities(struct imap_session *s, struct vy_buf *out);
/* The enable bit of a capability name; 0: cannot be enabled. */
uint32_t imap_find_enable(struct vy_bytes name);
struct vy_bytes imap_enable_name(uint32_t bit);

/* ---- flags.c ---- */
struct imap_flag_set {
    uint32_t flags; /* bits of mail/flags.h */
    size_t keyword_count;
    struct vy_bytes *keywords; /* names, in cmd_arena */
};
/* flag-list in parentheses, or (bare_allowed) flags without them. @errors SYNTAX, LIMIT over
 * IMAP_KEYWORDS_MAX */
VY_CHECKED struct vy_err imap_parse_flags(struct imap_parser *p, bool bare_allowed,
                                          struct imap_flag_set *out);
/* "(\Seen $Junk)" with the view's keyword names; recent adds \Recent. */
void imap_write_flags(struct vy_buf *out, const struct imap_view *view, uint32_t flags,
                      struct vy_bytes keyword_bits, bool is_recent);
/* "* FLAGS (...)" and PERMANENTFLAGS: at SELECT and when keywords were added. */
void imap_write_flags_known(struct imap_session *s);

/* ---- sets.c: sets of messages on the way between client, view and shard ---- */
/* A sequence-set argument: numbers still to be read as places or UIDs. @errors SYNTAX; LIMIT (I13)
 */
VY_CHECKED struct vy_err imap_parse_set(struct imap_parser *p, struct seqset *out);
/* The UIDs of the view that a set names, into an initialised set. @errors NOMEM */
VY_CHECKED struct vy_err imap_set_resolve(const struct seqset *set, const struct imap_view *view,
                                          bool by_uid, struct uidset *out);
/* The same as a uid_set in cmd_arena; no bytes when the set names nothing. @errors NOMEM, LIMIT */
VY_CHECKED struct vy_err imap_set_encode(struct imap_session *s, const struct seqset *set,
                                         bool by_uid, struct vy_bytes *out);
/* uid_set of the link, in the arena. @errors LIMIT */
VY_CHECKED struct vy_err imap_uids_encode(struct vy_arena *arena, const struct uidset *uids,
                                          struct vy_bytes *out);
