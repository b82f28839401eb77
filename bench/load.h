/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the load generators share: options, time, latencies, sockets, reading lines. Deliberately
 * free of the server's own code, so that a mistake in it cannot hide in both, and runnable against
 * any server by host and port.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t load_now_ns(void);
_Noreturn void load_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
unsigned load_number(const char *option, const char *text, unsigned min, unsigned max);

/* ---- the command line: one table, from which the options are read and the help is printed ---- */
enum load_kind {
    LOAD_TEXT,     /* const char **to */
    LOAD_NUMBER,   /* unsigned *to, min to max */
    LOAD_FLAG,     /* bool *to; no value */
    LOAD_VARIABLE, /* const char **to: of the environment variable that is named (secrets) */
};
struct load_option {
    const char *name; /* "connections" */
    enum load_kind kind;
    void *to;
    unsigned min;
    unsigned max;
    bool is_required;
    const char *help;
};
struct load_mode {
    const char *name;
    const char *help;
};
struct load_usage {
    const char *program;
    const struct load_mode *modes; /* one of them is the first word; NULL: there is no word */
    size_t mode_count;
    const struct load_option *options;
    size_t option_count;
};
/* Fills what the options point to. Returns the index of the mode, 0 without modes. Ends the program
 * with the help and 2 when something is wrong, 0 after --help. */
size_t load_parse(const struct load_usage *usage, int argc, char **argv);

/* Latencies of one run; p in 0..100. */
struct load_samples {
    uint64_t *ns; /* owned */
    size_t count;
    size_t capacity;
};
void load_samples_add(struct load_samples *samples, uint64_t ns);
double load_samples_ms(struct load_samples *samples, double p); /* sorts */

int load_connect(const char *host, const char *port); /* blocking, TCP_NODELAY; dies when refused */

/* A blocking connection with a line reader: for protocols spoken one command at a time. */
struct load_line {
    int fd;
    char *data; /* owned */
    size_t start;
    size_t end;
    size_t capacity;
    uint64_t bytes_read;
};
void load_line_open(struct load_line *conn, const char *host, const char *port);
void load_line_close(struct load_line *conn);
void load_line_send(struct load_line *conn, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The next line without its CRLF, NUL-terminated; valid until the next call. Literals are read as
 * part of the line. */
char *load_line_read(struct load_line *conn, size_t *out_len);
void load_line_skip(struct load_line *conn, size_t bytes);
