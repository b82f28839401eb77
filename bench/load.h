/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the load generators share: time, latencies, sockets, reading lines. Deliberately free of the
 * server's own code, so that a mistake in it cannot hide in both, and runnable against any server
 * by host and port.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t load_now_ns(void);
_Noreturn void load_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
unsigned load_number(const char *option, const char *text, unsigned min, unsigned max);

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
