/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_FIRST 65536U

uint64_t load_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

void load_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("error: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

unsigned load_number(const char *option, const char *text, unsigned min, unsigned max)
{
    unsigned long long value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && value <= max; at++) {
        value = value * 10 + (unsigned long long)(*at - '0');
    }
    if (at == text || *at != '\0' || value < min || value > max) {
        load_die("%s wants a number from %u to %u, not '%s'", option, min, max, text);
    }
    return (unsigned)value;
}

/* ---- the command line ---- */

static const char *value_name(enum load_kind kind)
{
    switch (kind) {
    case LOAD_TEXT:
        return " TEXT";
    case LOAD_NUMBER:
        return " N";
    case LOAD_VARIABLE:
        return " VARIABLE";
    case LOAD_FLAG:
        break;
    }
    return "";
}

_Noreturn static void usage_exit(const struct load_usage *usage, int code)
{
    FILE *out = code == 0 ? stdout : stderr;
    (void)fprintf(out, "usage: %s %s[options]\n", usage->program,
                  usage->mode_count > 0 ? "MODE " : "");
    for (size_t i = 0; i < usage->mode_count; i++) {
        (void)fprintf(out, "  %-10s %s\n", usage->modes[i].name, usage->modes[i].help);
    }
    for (size_t i = 0; i < usage->option_count; i++) {
        const struct load_option *option = &usage->options[i];
        char text[64];
        (void)snprintf(text, sizeof(text), "--%s%s", option->name, value_name(option->kind));
        (void)fprintf(out, "  %-24s %s%s\n", text, option->help,
                      option->is_required ? " (needed)" : "");
    }
    exit(code);
}

static const struct load_option *find_option(const struct load_usage *usage, const char *text)
{
    for (size_t i = 0; i < usage->option_count; i++) {
        if (strcmp(usage->options[i].name, text) == 0) {
            return &usage->options[i];
        }
    }
    (void)fprintf(stderr, "error: --%s is not an option\n", text);
    usage_exit(usage, 2);
}

static void set_option(const struct load_option *option, const char *value)
{
    switch (option->kind) {
    case LOAD_TEXT:
        *(const char **)option->to = value;
        break;
    case LOAD_NUMBER:
        *(unsigned *)option->to = load_number(option->name, value, option->min, option->max);
        break;
    case LOAD_VARIABLE:
        *(const char **)option->to = getenv(value);
        break;
    case LOAD_FLAG:
        *(bool *)option->to = true;
        break;
    }
}

static size_t find_mode(const struct load_usage *usage, const char *word)
{
    for (size_t i = 0; i < usage->mode_count; i++) {
        if (word != NULL && strcmp(usage->modes[i].name, word) == 0) {
            return i;
        }
    }
    if (usage->mode_count > 0) {
        usage_exit(usage, 2);
    }
    return 0;
}

static void check_required(const struct load_usage *usage)
{
    for (size_t i = 0; i < usage->option_count; i++) {
        const struct load_option *option = &usage->options[i];
        const bool is_text = option->kind == LOAD_TEXT || option->kind == LOAD_VARIABLE;
        if (option->is_required && is_text && *(const char **)option->to == NULL) {
            (void)fprintf(stderr, "error: --%s is needed\n", option->name);
            usage_exit(usage, 2);
        }
    }
}

size_t load_parse(const struct load_usage *usage, int argc, char **argv)
{
    const char *word = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            usage_exit(usage, 0);
        }
        if (strncmp(argv[i], "--", 2) != 0) {
            if (word != NULL || usage->mode_count == 0) {
                usage_exit(usage, 2);
            }
            word = argv[i];
            continue;
        }
        const struct load_option *option = find_option(usage, argv[i] + 2);
        if (option->kind != LOAD_FLAG && i + 1 == argc) {
            usage_exit(usage, 2);
        }
        set_option(option, option->kind == LOAD_FLAG ? NULL : argv[++i]);
    }
    check_required(usage);
    return find_mode(usage, word);
}

/* ---- latencies ---- */

void load_samples_add(struct load_samples *samples, uint64_t ns)
{
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity == 0 ? 4096 : samples->capacity * 2;
        samples->ns = realloc(samples->ns, samples->capacity * sizeof(*samples->ns));
        if (samples->ns == NULL) {
            load_die("out of memory");
        }
    }
    samples->ns[samples->count++] = ns;
}

static int compare_ns(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

double load_samples_ms(struct load_samples *samples, double p)
{
    if (samples->count == 0) {
        return 0;
    }
    qsort(samples->ns, samples->count, sizeof(*samples->ns), compare_ns);
    return (double)samples->ns[(size_t)((double)(samples->count - 1) * p / 100.0)] / 1e6;
}

int load_connect(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const int failed = getaddrinfo(host, port, &hints, &found);
    if (failed != 0) {
        load_die("%s port %s: %s", host, port, gai_strerror(failed));
    }
    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        load_die("%s port %s: %s", host, port, strerror(errno));
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    freeaddrinfo(found);
    return fd;
}

void load_line_open(struct load_line *conn, const char *host, const char *port)
{
    *conn = (struct load_line){.fd = load_connect(host, port), .capacity = LINE_BYTES_FIRST};
    conn->data = malloc(conn->capacity);
    if (conn->data == NULL) {
        load_die("out of memory");
    }
}

void load_line_close(struct load_line *conn)
{
    (void)close(conn->fd);
    free(conn->data);
}

void load_line_send(struct load_line *conn, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    const int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        load_die("out of memory");
    }
    for (int sent = 0; sent < len;) {
        const ssize_t n = send(conn->fd, text + sent, (size_t)(len - sent), MSG_NOSIGNAL);
        if (n <= 0) {
            load_die("send: %s", strerror(errno));
        }
        sent += (int)n;
    }
    free(text);
}

static void fill(struct load_line *conn)
{
    if (conn->start > 0) {
        memmove(conn->data, conn->data + conn->start, conn->end - conn->start);
        conn->end -= conn->start;
        conn->start = 0;
    }
    if (conn->end == conn->capacity) {
        conn->capacity *= 2;
        conn->data = realloc(conn->data, conn->capacity);
        if (conn->data == NULL) {
            load_die("out of memory");
        }
    }
    const ssize_t n = recv(conn->fd, conn->data + conn->end, conn->capacity - conn->end, 0);
    if (n <= 0) {
        load_die("server closed the connection: %s", n == 0 ? "end of stream" : strerror(errno));
    }
    conn->end += (size_t)n;
    conn->bytes_read += (uint64_t)n;
}

char *load_line_read(struct load_line *conn, size_t *out_len)
{
    size_t scanned = 0;
    for (;;) {
        char *from = conn->data + conn->start;
        char *newline = memchr(from + scanned, '\n', conn->end - conn->start - scanned);
        if (newline != NULL) {
            size_t len = (size_t)(newline - from);
            conn->start += len + 1;
            len -= len > 0 && from[len - 1] == '\r' ? 1 : 0;
            from[len] = '\0';
            *out_len = len;
            return from;
        }
        scanned = conn->end - conn->start;
        fill(conn);
    }
}

void load_line_skip(struct load_line *conn, size_t bytes)
{
    while (bytes > 0) {
        if (conn->start == conn->end) {
            fill(conn);
        }
        const size_t have = conn->end - conn->start;
        const size_t take = have < bytes ? have : bytes;
        conn->start += take;
        bytes -= take;
    }
}
