/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/codec.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOG_VALUE_BYTES_MAX 512U
#define LOG_LINE_BYTES_MAX 16384U
#define LOG_PIPE_WAIT_MS                                                                           \
    50 /* a blocked reader may hold a line up this long, then it is dropped and counted (C10) */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

struct line {
    char text[LOG_LINE_BYTES_MAX];
    size_t len;
    enum vy_log_format format;
    bool is_first;
};

static void put(struct line *line, const char *text, size_t len)
{
    const size_t room = sizeof(line->text) - line->len;
    const size_t n = VY_MIN(len, room);
    memcpy(line->text + line->len, text, n);
    line->len += n;
}

static void put_cstr(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_key(struct line *line, const char *key)
{
    if (line->format == VY_LOG_JSON) {
        put_cstr(line, line->is_first ? "{\"" : ",\"");
        put_cstr(line, key);
        put_cstr(line, "\":");
    } else {
        put_cstr(line, line->is_first ? "" : " ");
        put_cstr(line, key);
        put_cstr(line, "=");
    }
    line->is_first = false;
}

/* One character as it may stand inside quotes; controls, bad UTF-8 and line separators never pass
 * raw (C9). */
static void put_escaped(struct line *line, struct vy_bytes text, size_t from, size_t to,
                        uint32_t codepoint)
{
    char escape[16];
    const bool is_bad = codepoint == 0xFFFD && to - from == 1;
    if (codepoint == '"' || codepoint == '\\') {
        const char pair[2] = {'\\', (char)codepoint};
        put(line, pair, sizeof(pair));
    } else if (codepoint < 0x20 || (codepoint >= 0x7F && codepoint < 0xA0) || codepoint == 0x2028 ||
               codepoint == 0x2029) {
        (void)snprintf(escape, sizeof(escape), "\\u%04x", codepoint);
        put_cstr(line, escape);
    } else if (is_bad) {
        put_cstr(line, "\\ufffd");
    } else {
        put(line, (const char *)text.data + from, to - from);
    }
}

static bool needs_quotes(struct vy_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\') {
            return true;
        }
    }
    return text.len == 0;
}

static void put_text(struct line *line, struct vy_bytes text)
{
    const struct vy_bytes cut = vy_bytes_slice(text, 0, LOG_VALUE_BYTES_MAX);
    if (line->format == VY_LOG_LOGFMT && !needs_quotes(cut)) {
        put(line, (const char *)cut.data, cut.len);
        return;
    }
    put_cstr(line, "\"");
    size_t at = 0;
    uint32_t codepoint = 0;
    for (size_t from = 0; vy_utf8_next(cut, &at, &codepoint); from = at) {
        put_escaped(line, cut, from, at, codepoint);
    }
    put_cstr(line, text.len > cut.len ? "...\"" : "\"");
}

static void put_field(struct line *line, const struct vy_log_field *field)
{
    char number[32];
    put_key(line, field->key);
    switch (field->kind) {
    case VY_LOG_KIND_STR:
        put_text(line, field->str);
        return;
    case VY_LOG_KIND_U64:
        (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)field->number);
        break;
    case VY_LOG_KIND_I64:
        (void)snprintf(number, sizeof(number), "%lld", (long long)field->number);
        break;
    case VY_LOG_KIND_HEX:
        (void)snprintf(number, sizeof(number),
                       line->format == VY_LOG_JSON ? "\"%016llx\"" : "%016llx",
                       (unsigned long long)field->number);
        break;
    case VY_LOG_KIND_BOOL:
        (void)snprintf(number, sizeof(number), "%s", field->number != 0 ? "true" : "false");
        break;
    }
    put_cstr(line, number);
}

static void put_time(struct line *line, uint64_t wall_ms)
{
    const time_t seconds = (time_t)(wall_ms / 1000U);
    struct tm tm;
    char text[64];
    (void)gmtime_r(&seconds, &tm);
    const size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + len, sizeof(text) - len, ".%03uZ", (unsigned)(wall_ms % 1000U));
    put_key(line, "ts");
    if (line->format == VY_LOG_JSON) {
        put_text(line, vy_cstr(text));
    } else {
        put_cstr(line, text);
    }
}

void vy_log_write(const struct vy_log *log, enum vy_log_level level, const char *event,
                  const struct vy_log_field *fields, size_t count)
{
    if (log == NULL || log->sink == NULL || level > log->level) {
        return;
    }
    struct line line;
    line.len = 0;
    line.format = log->format;
    line.is_first = true;
    put_time(&line, log->clock == NULL ? 0 : vy_clock_wall_ms(log->clock));
    put_field(&line, &VY_CSTR("level", level_names[level]));
    put_field(&line, &VY_CSTR("event", event));
    for (size_t i = 0; i < log->context_count; i++) {
        put_field(&line, &log->context[i]);
    }
    for (size_t i = 0; i < count; i++) {
        put_field(&line, &fields[i]);
    }
    if (line.format == VY_LOG_JSON) {
        line.len = VY_MIN(line.len, sizeof(line.text) - 1);
        put_cstr(&line, "}");
    }
    log->sink->write(log->sink->arg, level, line.text, line.len);
}

bool vy_log_parse_level(struct vy_bytes text, enum vy_log_level *out)
{
    for (size_t i = 0; i < VY_COUNT_OF(level_names); i++) {
        if (vy_bytes_equal(text, vy_cstr(level_names[i]))) {
            *out = (enum vy_log_level)i;
            return true;
        }
    }
    return false;
}

/* ---- stderr ---- */

static pthread_mutex_t stderr_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_ulong dropped_count;

static bool write_whole(const char *text, size_t len)
{
    while (len > 0) {
        const ssize_t wrote = write(STDERR_FILENO, text, len);
        if (wrote > 0) {
            text += wrote;
            len -= (size_t)wrote;
            continue;
        }
        struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
        if (wrote == 0 ||
            (errno != EINTR && (errno != EAGAIN || poll(&ready, 1, LOG_PIPE_WAIT_MS) != 1))) {
            return false;
        }
    }
    return true;
}

static void stderr_write(void *arg, enum vy_log_level level, const char *line, size_t len)
{
    (void)arg;
    (void)level;
    char text[LOG_LINE_BYTES_MAX + 1];
    VY_ASSERT(len < sizeof(text));
    memcpy(text, line, len);
    text[len] = '\n';
    (void)pthread_mutex_lock(&stderr_lock);
    if (!write_whole(text, len + 1)) {
        (void)atomic_fetch_add(&dropped_count, 1);
    }
    (void)pthread_mutex_unlock(&stderr_lock);
}

const struct vy_log_sink *vy_log_sink_stderr(void)
{
    static const struct vy_log_sink sink = {.write = stderr_write};
    return &sink;
}
