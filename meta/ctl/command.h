/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What volaryctl can do, as one table: noun, verb, arguments, options, the rpc behind it, and how
 * its answer is shown. Parsing, help, confirmation and output all read the row.
 */
#include "meta/ctl/table.h"
#include "proto/admin.pb.h"

enum ctl_option {
    /* of every command */
    CTL_OPTION_SERVER,
    CTL_OPTION_OUTPUT,
    CTL_OPTION_TIMEOUT,
    CTL_OPTION_TLS_CA,
    CTL_OPTION_TLS_CERTIFICATE,
    CTL_OPTION_TLS_KEY,
    CTL_OPTION_YES,
    CTL_OPTION_HELP,
    /* of every write */
    CTL_OPTION_DRY_RUN,
    CTL_OPTION_REASON,
    /* of single commands */
    CTL_OPTION_BYTES,
    CTL_OPTION_LIMIT,
    CTL_OPTION_PASSWORD_STDIN,
    CTL_OPTION_GENERATE,
    CTL_OPTION_RELEASE_ADDRESS,
    CTL_OPTION_QUOTA,
    CTL_OPTION_DOMAIN,
    CTL_OPTION_CATCH_ALL,
    CTL_OPTION_LABEL,
    CTL_OPTION_PROTOCOLS,
    CTL_OPTION_EXPIRES_DAYS,
    CTL_OPTION_TEXT,
    CTL_OPTION_FROM,
    CTL_OPTION_SOFT,
    CTL_OPTION_WAIT,
    CTL_OPTION_CASCADE,
    CTL_OPTION_NO_QR,
    CTL_OPTION_NETWORKS,
    CTL_OPTION_OVERRIDE,
    CTL_OPTION_KEEP_APP_PASSWORDS,
    CTL_OPTION_KEY,
    CTL_OPTION_RESULT,
    CTL_OPTION_SINCE,
    CTL_OPTION_IP,
    CTL_OPTION_GROUP,
    CTL_OPTION_LINK,
    CTL_OPTION_RAFT,
    CTL_OPTION_WITH,
    CTL_OPTION_TICKET,
    CTL_OPTION_COUNT
};
#define CTL_BIT(option) (1ULL << CTL_OPTION_##option)
#define CTL_OPTIONS_GLOBAL                                                                         \
    (CTL_BIT(SERVER) | CTL_BIT(OUTPUT) | CTL_BIT(TIMEOUT) | CTL_BIT(TLS_CA) |                      \
     CTL_BIT(TLS_CERTIFICATE) | CTL_BIT(TLS_KEY) | CTL_BIT(YES) | CTL_BIT(HELP))
#define CTL_OPTIONS_WRITE (CTL_BIT(DRY_RUN) | CTL_BIT(REASON))

struct ctl_option_row {
    const char *name;  /* "--server" */
    const char *value; /* what stands behind it; NULL: nothing */
    const char *help;
};
extern const struct ctl_option_row ctl_options[CTL_OPTION_COUNT];

enum ctl_shape {
    CTL_NOTHING,         /* an empty answer: the exit code says it all */
    CTL_RECORD,          /* one object */
    CTL_LIST,            /* a page of objects, asked for until there are no more */
    CTL_PART,            /* a repeated field of one answer, shown as a list */
    CTL_LINES,           /* as LIST, but one object of JSON a line unless --output json */
    CTL_DELETION,        /* confirmed first, then a record, or the certificate with --wait */
    CTL_DOMAIN_DELETION, /* the same for a domain with --cascade; without, as NOTHING */
    CTL_JOB,             /* one job, asked for until it is done */
    CTL_CHAIN,           /* a record about the audit chain, or the export of it that is named */
    CTL_CHECK,           /* a record about the file that is named; with --key without a server */
    CTL_SECRET,          /* of a second factor, with its QR code */
    CTL_CODES,           /* recovery codes, one a line */
    CTL_MEMBER, /* a plan for a member: its ticket into a file; with --wait followed to its end */
};
enum ctl_danger {
    CTL_HARMLESS,
    CTL_ASKS,    /* asked for on a terminal; scripts go on */
    CTL_CONFIRMS /* asked for on a terminal; scripts need --yes */
};

struct ctl_args;
/* What builders fill requests from. */
struct ctl_build {
    const struct ctl_args *args;
    struct vy_arena *arena;
    const struct admin_write_options *write;
    struct vy_bytes password;       /* from standard input, or empty */
    struct vy_bytes code;           /* "[CODE]": from the line or standard input, or empty */
    struct vy_bytes token;          /* of DELETION: what the server gave for it */
    struct vy_bytes file;           /* of CHECK: its content */
    uint64_t now_ms;                /* wall clock */
    struct admin_page_options page; /* of lists */
    uint64_t from_sequence;         /* of the audit's */
    struct vy_buf *problem;         /* what is wrong with an argument, for people */
};

struct ctl_command {
    const char *noun;
    const char *verb;
    const char *params;  /* "NAME", "ALIAS TARGET...", "NAME [CODE]", "" */
    uint64_t options;    /* CTL_BIT, besides the global ones */
    const char *service; /* NULL: there is no such method in this version */
    const char *method;
    struct vy_err (*build)(struct ctl_build *build, void *request); /* @errors ARGUMENT, LIMIT */
    enum ctl_shape shape;
    const char *list; /* LIST, LINES, PART: the repeated field */
    const struct ctl_column *columns;
    enum ctl_danger danger;
    const char *summary;
    const char *examples; /* whole lines */
};
extern const struct ctl_column ctl_step_columns[]; /* of who takes part in a job */
extern const struct ctl_command ctl_commands[];
extern const size_t ctl_command_count;

/* The row, or NULL. verb empty: the first of the noun. */
const struct ctl_command *ctl_command_find(struct vy_bytes noun, struct vy_bytes verb);
/* The method of a row; NULL: not in this version. */
const struct vy_pb_method *ctl_command_method(const struct ctl_command *command);
/* Does it change anything. */
bool ctl_command_writes(const struct ctl_command *command);

/* "10GiB", "500MiB", "0": bytes. False: it is none. */
bool ctl_parse_size(struct vy_bytes text, uint64_t *out);
/* A date, a time in UTC (RFC 3339), or how long ago: "90s", "15m", "2h", "7d". False: it is none.
 */
bool ctl_parse_since(struct vy_bytes text, uint64_t now_ms, uint64_t *out_ms);
