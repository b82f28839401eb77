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
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_VALUE_BYTES_MAX 512U /* escaped, as written (C9) */
#define LOG_LINE_BYTES_MAX 16384U
/* Kept free for the mark of a line that lost fields, and for its end. */
#define LOG_LINE_BYTES_RESERVED 32U
/* A blocked reader may hold a line up this long, then it is dropped and counted (C10). */
#define LOG_PIPE_WAIT_MS 50
/* A pipe that polls writable takes this much without blocking (pipe(7): PIPE_BUF). */
#define LOG_PIPE_WRITE_BYTES 4096U

static const char *const level_names[] = {"error", "warn", "info", "debug"};

struct line {
    char text[LOG_LINE_BYTES_MAX];
    size_t len;
    size_t limit; /* of len */
    enum vy_log_format format;
    bool is_first;
    bool is_full; /* something did not fit: the field is taken back */
};

static void put(struct line *line, const char *text, size_t len)
{
    if (len > line->limit - line->len) {
        line->is_full = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
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

/* Characters that could change how a terminal or a log viewer shows the line: controls, line
 * separators, directions. */
static bool is_hidden(uint32_t codepoint)
{
    return codepoint < 0x20 || (codepoint >= 0x7F && codepoint < 0xA0) ||
           (codepoint >= 0x200B && codepoint <= 0x200F) ||
           (codepoint >= 0x2028 && codepoint <= 0x202E) ||
           (codepoint >= 0x2066 && codepoint <= 0x2069) || codepoint == 0xFEFF;
}

/* One character as it may stand inside quotes: at most 6 bytes into `out`. */
static size_t escape(struct vy_bytes raw, uint32_t codepoint, char out[8])
{
    const bool is_bad = codepoint == 0xFFFD && raw.len == 1; /* not UTF-8 */
    if (codepoint == '"' || codepoint == '\\') {
        out[0] = '\\';
        out[1] = (char)codepoint;
        return 2;
    }
    if (is_bad || is_hidden(codepoint)) {
        return (size_t)snprintf(out, 8, "\\u%04x", codepoint & 0xFFFFU);
    }
    memcpy(out, raw.data, raw.len);
    return raw.len;
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

/* The value, escaped; what does not fit into the limit gives way to "..." at a character's end. */
static void put_text(struct line *line, struct vy_bytes text)
{
    static const char dots[] = "...";
    char out[LOG_VALUE_BYTES_MAX];
    size_t len = 0;
    size_t len_with_dots = 0; /* where the dots would begin */
    size_t at = 0;
    uint32_t codepoint = 0;
    const bool is_quoted =
        line->format == VY_LOG_JSON || needs_quotes(vy_bytes_slice(text, 0, LOG_VALUE_BYTES_MAX));
    for (size_t from = 0; vy_utf8_next(text, &at, &codepoint); from = at) {
        char one[8];
        const size_t n = escape(vy_bytes_slice(text, from, at - from), codepoint, one);
        if (n > sizeof(out) - len) {
            memcpy(out + len_with_dots, dots, sizeof(dots) - 1);
            len = len_with_dots + sizeof(dots) - 1;
            break;
        }
        memcpy(out + len, one, n);
        len += n;
        len_with_dots = len <= sizeof(out) - (sizeof(dots) - 1) ? len : len_with_dots;
    }
    put(line, "\"", is_quoted ? 1 : 0);
    put(line, out, len);
    put(line, "\"", is_quoted ? 1 : 0);
}

static void put_id(struct line *line, const uint8_t *id)
{
    char text[40];
    (void)snprintf(text, sizeof(text),
                   line->format == VY_LOG_JSON ? "\"%016llx%016llx\"" : "%016llx%016llx",
                   (unsigned long long)(id == NULL ? 0 : vy_get_be64(id)),
                   (unsigned long long)(id == NULL ? 0 : vy_get_be64(id + 8)));
    put_cstr(line, text);
}

static void put_field(struct line *line, const struct vy_log_field *field)
{
    char number[32];
    put_key(line, field->key);
    switch (field->kind) {
    case VY_LOG_KIND_STR:
        put_text(line, field->str);
        return;
    case VY_LOG_KIND_ID:
        put_id(line, field->str.data);
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

/* Whole or not at all, so that a full line is still well formed. */
static void put_whole_field(struct line *line, const struct vy_log_field *field)
{
    const size_t len = line->len;
    const bool is_first = line->is_first;
    if (line->is_full) {
        return;
    }
    put_field(line, field);
    if (line->is_full) {
        line->len = len;
        line->is_first = is_first;
    }
}

static void put_time(struct line *line, uint64_t wall_ms)
{
    const time_t seconds = (time_t)(wall_ms / 1000U);
    struct tm tm;
    char text[64];
    (void)gmtime_r(&seconds, &tm);
    const size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + len, sizeof(text) - len, ".%03uZ", (unsigned)(wall_ms % 1000U));
    put_field(line, &VY_CSTR("ts", text));
}

static void put_end(struct line *line)
{
    const bool is_cut = line->is_full;
    line->limit = sizeof(line->text);
    line->is_full = false;
    if (is_cut) {
        put_field(line, &VY_FLAG("log.cut", true));
    }
    put_cstr(line, line->format == VY_LOG_JSON ? "}" : "");
}

void vy_log_write(const struct vy_log *log, enum vy_log_level level, const char *event,
                  const struct vy_log_field *fields, size_t count)
{
    if (log == NULL || log->sink == NULL ||
        level > __atomic_load_n(&log->level, __ATOMIC_RELAXED)) {
        return;
    }
    struct line line;
    line.len = 0;
    line.limit = sizeof(line.text) - LOG_LINE_BYTES_RESERVED;
    line.format = log->format;
    line.is_first = true;
    line.is_full = false;
    put_time(&line, log->clock == NULL ? 0 : vy_clock_wall_ms(log->clock));
    put_field(&line, &VY_CSTR("level", level_names[level]));
    put_field(&line, &VY_CSTR("event", event));
    for (size_t i = 0; i < log->context_count; i++) {
        put_whole_field(&line, &log->context[i]);
    }
    for (size_t i = 0; i < count; i++) {
        put_whole_field(&line, &fields[i]);
    }
    put_end(&line);
    log->sink->write(log->sink->arg, level, line.text, line.len);
}

void vy_log_set_level(struct vy_log *log, enum vy_log_level level)
{
    __atomic_store_n(&log->level, level, __ATOMIC_RELAXED);
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

/* ---- descriptors ---- */

void vy_log_fd_init(struct vy_log_fd *out, int fd)
{
    struct stat st;
    *out = (struct vy_log_fd){
        .sink = {.write = vy_log_fd_write, .arg = out},
          .fd = fd
    };
    (void)pthread_mutex_init(&out->lock, NULL);
    out->may_block = fstat(fd, &st) != 0 || !S_ISREG(st.st_mode);
}

/* Our end may be in blocking mode, and it is not ours to change (the shell shares it): so ask
 * first, and write no more than is sure to fit. */
static bool is_ready(const struct vy_log_fd *out)
{
    struct pollfd ready = {.fd = out->fd, .events = POLLOUT};
    /* After one line was lost, the next do not wait again: the service goes on at full speed. */
    const int wait_ms = out->is_stuck ? 0 : LOG_PIPE_WAIT_MS;
    return poll(&ready, 1, wait_ms) == 1 && (ready.revents & POLLOUT) != 0;
}

static bool write_whole(struct vy_log_fd *out, const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        if (out->may_block && !is_ready(out)) {
            break;
        }
        const size_t size =
            out->may_block ? VY_MIN(len - at, (size_t)LOG_PIPE_WRITE_BYTES) : len - at;
        const ssize_t wrote = write(out->fd, text + at, size);
        if (wrote <= 0 && errno != EINTR) {
            break;
        }
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    out->is_torn = at == len ? false : out->is_torn || at > 0;
    return at == len;
}

void vy_log_fd_write(void *arg, enum vy_log_level level, const char *line, size_t len)
{
    (void)level;
    struct vy_log_fd *out = arg;
    char text[LOG_LINE_BYTES_MAX + 2];
    VY_ASSERT(len <= LOG_LINE_BYTES_MAX);
    (void)pthread_mutex_lock(&out->lock);
    const size_t lead = out->is_torn ? 1 : 0; /* ends what is left of a line that was cut short */
    text[0] = '\n';
    memcpy(text + lead, line, len);
    text[lead + len] = '\n';
    const bool wrote = write_whole(out, text, lead + len + 1);
    out->is_stuck = !wrote;
    if (!wrote) {
        (void)atomic_fetch_add(&out->dropped_count, 1);
    }
    (void)pthread_mutex_unlock(&out->lock);
}

uint64_t vy_log_fd_dropped_count(const struct vy_log_fd *out)
{
    return atomic_load(&out->dropped_count);
}

static struct vy_log_fd stderr_out;

static void init_stderr(void)
{
    vy_log_fd_init(&stderr_out, STDERR_FILENO);
}

static struct vy_log_fd *stderr_fd(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_stderr);
    return &stderr_out;
}

const struct vy_log_sink *vy_log_sink_stderr(void)
{
    return &stderr_fd()->sink;
}

uint64_t vy_log_dropped_count(void)
{
    return vy_log_fd_dropped_count(stderr_fd());
}
