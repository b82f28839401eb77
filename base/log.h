/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Logs are data: a registered event name ("subsystem.object.outcome") and registered keys, one line
 * an event, logfmt or JSON, into a sink that is handed in. Every event and key has a line in
 * docs/log-keys; tests/lint compares. Values are escaped and cut at 512 bytes; there is no way to
 * print a vy_secret. Safe from any thread (the sink locks).
 */
#include "base/bytes.h"
#include <pthread.h>
#include <stdatomic.h>

enum vy_log_level { VY_LOG_ERROR, VY_LOG_WARN, VY_LOG_INFO, VY_LOG_DEBUG };
enum vy_log_format { VY_LOG_LOGFMT, VY_LOG_JSON };

enum vy_log_kind {
    VY_LOG_KIND_STR,
    VY_LOG_KIND_U64,
    VY_LOG_KIND_I64,
    VY_LOG_KIND_HEX,
    VY_LOG_KIND_BOOL,
    VY_LOG_KIND_ID
};
struct vy_log_field {
    const char *key; /* string literal */
    enum vy_log_kind kind;
    struct vy_bytes str;
    uint64_t number;
};
#define VY_STR(k, v) ((struct vy_log_field){.key = (k), .kind = VY_LOG_KIND_STR, .str = (v)})
#define VY_CSTR(k, v) VY_STR(k, vy_cstr(v))
#define VY_U64(k, v)                                                                               \
    ((struct vy_log_field){.key = (k), .kind = VY_LOG_KIND_U64, .number = (uint64_t)(v)})
#define VY_I64(k, v)                                                                               \
    ((struct vy_log_field){.key = (k), .kind = VY_LOG_KIND_I64, .number = (uint64_t)(int64_t)(v)})
#define VY_HEX(k, v)                                                                               \
    ((struct vy_log_field){.key = (k), .kind = VY_LOG_KIND_HEX, .number = (uint64_t)(v)})
/* 16 bytes, written as 32 hex digits when the line is; borrowed until then. NULL: all zero. */
#define VY_ID(k, v)                                                                                \
    ((struct vy_log_field){.key = (k), .kind = VY_LOG_KIND_ID, .str = vy_bytes((v), 16)})
#define VY_FLAG(k, v)                                                                              \
    ((struct vy_log_field){.key = (k), .kind = VY_LOG_KIND_BOOL, .number = (v) ? 1 : 0})

/* One finished line without its newline. */
struct vy_log_sink {
    void (*write)(void *arg, enum vy_log_level level, const char *line, size_t len);
    void *arg;
};
struct vy_clock;
struct vy_log {
    const struct vy_log_sink *sink; /* borrowed; NULL drops everything */
    struct vy_clock *clock;         /* borrowed; timestamps (RFC 3339 UTC, ms) */
    enum vy_log_level level;
    enum vy_log_format format;
    const struct vy_log_field *context; /* borrowed; in front of every line's own fields */
    size_t context_count;
};

void vy_log_write(const struct vy_log *log, enum vy_log_level level, const char *event,
                  const struct vy_log_field *fields, size_t count);
/* vy_log(log, VY_LOG_INFO, "imap.login.ok", VY_STR("u.name", user)); with or without fields. */
#define vy_log(log, level, event, ...)                                                             \
    do {                                                                                           \
        const struct vy_log_field vy_log_fields[] = {{.key = NULL}, ##__VA_ARGS__};                \
        vy_log_write((log), (level), (event), vy_log_fields + 1,                                   \
                     sizeof(vy_log_fields) / sizeof(vy_log_fields[0]) - 1);                        \
    } while (0)
/* The three fields of an error: err.code, err.what, err.sys. */
#define VY_LOG_ERR(err)                                                                            \
    VY_CSTR("err.code", vy_code_name((err).code)),                                                 \
        VY_CSTR("err.what", (err).what == NULL ? "" : (err).what), VY_I64("err.sys", (err).sys)
/* Also while other threads log. Copies made of the struct before keep their level. */
void vy_log_set_level(struct vy_log *log, enum vy_log_level level);
bool vy_log_parse_level(struct vy_bytes text, enum vy_log_level *out);

/*
 * A sink over a descriptor: each line by one write(2) (longer ones than a pipe takes at once, by
 * several). Never waits longer than 50 ms for a blocked reader: then the line is dropped and
 * counted, and so is every further one until the reader is back (C10). The descriptor's mode is not
 * changed.
 */
struct vy_log_fd {
    struct vy_log_sink sink;
    pthread_mutex_t lock;
    atomic_uint_fast64_t dropped_count;
    int fd;
    bool may_block;
    bool is_stuck; /* the last line was lost */
    bool is_torn;  /* and a part of it had been written */
};
void vy_log_fd_init(struct vy_log_fd *out, int fd); /* fd borrowed; `out` must not move */
void vy_log_fd_write(void *arg, enum vy_log_level level, const char *line, size_t len);
uint64_t vy_log_fd_dropped_count(const struct vy_log_fd *out); /* @thread any */
const struct vy_log_sink *vy_log_sink_stderr(void);            /* process lifetime */
uint64_t vy_log_dropped_count(void);                           /* lines that stderr lost */
