/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Logs are data: a registered event name ("subsystem.object.outcome") and registered keys, one line
 * an event, logfmt or JSON, into a sink that is handed in. Every event and key has a line in
 * docs/log-keys; tests/lint compares. Values are escaped and cut at 512 bytes; there is no way to
 * print a vy_secret. Safe from any thread (the sink locks).
 */
#include "base/bytes.h"

enum vy_log_level { VY_LOG_ERROR, VY_LOG_WARN, VY_LOG_INFO, VY_LOG_DEBUG };
enum vy_log_format { VY_LOG_LOGFMT, VY_LOG_JSON };

enum vy_log_kind {
    VY_LOG_KIND_STR,
    VY_LOG_KIND_U64,
    VY_LOG_KIND_I64,
    VY_LOG_KIND_HEX,
    VY_LOG_KIND_BOOL
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
bool vy_log_parse_level(struct vy_bytes text, enum vy_log_level *out);
/* A sink that writes whole lines to a file descriptor; a full pipe drops and counts. Process
 * lifetime. */
const struct vy_log_sink *vy_log_sink_stderr(void);
