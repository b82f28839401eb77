/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads an IMAP server and prints one line of JSON per run. Each mode measures one thing that users
 * wait for; the work of the generator itself is to look for the tagged answer.
 */
#include "bench/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_MAX 20000U
#define ROUNDS_MAX 1000000U

struct run {
    const char *host;
    const char *port;
    const char *user;
    const char *password;
    const char *mailbox;
    const char *mode;
    const char *items;
    unsigned connections;
    unsigned rounds;
    unsigned messages; /* for `fill` */
    unsigned bytes;
};

static void read_greeting(struct load_line *conn)
{
    size_t len = 0;
    const char *line = load_line_read(conn, &len);
    if (strncmp(line, "* OK", 4) != 0) {
        load_die("greeting: %s", line);
    }
}

/* Size of the literal that a line announces at its end, or 0. */
static size_t literal_bytes(const char *line, size_t len)
{
    if (len < 3 || line[len - 1] != '}') {
        return 0;
    }
    size_t at = len - 2;
    size_t value = 0;
    size_t scale = 1;
    for (; at > 0 && line[at] >= '0' && line[at] <= '9'; at--) {
        value += (size_t)(line[at] - '0') * scale;
        scale *= 10;
    }
    return line[at] == '{' ? value : 0;
}

/* Reads to the line that starts with "<tag> "; dies unless it says OK. Returns how many untagged
 * lines came. */
static unsigned long wait_tagged(struct load_line *conn, const char *tag)
{
    const size_t tag_len = strlen(tag);
    unsigned long untagged = 0;
    for (;;) {
        size_t len = 0;
        const char *line = load_line_read(conn, &len);
        const size_t literal = literal_bytes(line, len);
        if (literal > 0) {
            load_line_skip(conn, literal);
            continue;
        }
        if (len > tag_len && line[tag_len] == ' ' && memcmp(line, tag, tag_len) == 0) {
            if (strncmp(line + tag_len + 1, "OK", 2) != 0) {
                load_die("server refused: %s", line);
            }
            return untagged;
        }
        untagged++;
    }
}

static void command(struct load_line *conn, const char *text)
{
    load_line_send(conn, "a %s\r\n", text);
    (void)wait_tagged(conn, "a");
}

static void sign_in(struct load_line *conn, const struct run *run)
{
    load_line_open(conn, run->host, run->port);
    read_greeting(conn);
    load_line_send(conn, "a LOGIN \"%s\" \"%s\"\r\n", run->user, run->password);
    (void)wait_tagged(conn, "a");
}

static void sign_in_and_select(struct load_line *conn, const struct run *run)
{
    sign_in(conn, run);
    load_line_send(conn, "a SELECT \"%s\"\r\n", run->mailbox);
    (void)wait_tagged(conn, "a");
}

static void report(const struct run *run, unsigned long count, uint64_t ns,
                   struct load_samples *samples)
{
    const double seconds = (double)ns / 1e9;
    (void)printf("{\"mode\":\"%s\",\"items\":\"%s\",\"count\":%lu,\"connections\":%u,\"seconds\":%."
                 "4f,\"per_second\":%.1f,"
                 "\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
                 run->mode, run->items == NULL ? "" : run->items, count, run->connections, seconds,
                 (double)count / seconds, load_samples_ms(samples, 50),
                 load_samples_ms(samples, 99));
    free(samples->ns);
}

/* ---- commands on one connection ---- */

/* Repeats a command; `count` of a round is what its untagged answers are, or 1. */
static void run_commands(const struct run *run, const char *text, bool count_lines)
{
    struct load_line conn;
    struct load_samples samples = {0};
    unsigned long count = 0;
    sign_in_and_select(&conn, run);
    const uint64_t start = load_now_ns();
    for (unsigned round = 0; round < run->rounds; round++) {
        const uint64_t begun = load_now_ns();
        load_line_send(&conn, "b %s\r\n", text);
        const unsigned long untagged = wait_tagged(&conn, "b");
        count += count_lines ? untagged : 1;
        load_samples_add(&samples, load_now_ns() - begun);
    }
    report(run, count, load_now_ns() - start, &samples);
    load_line_close(&conn);
}

static void run_fetch(const struct run *run)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "UID FETCH 1:* %s",
                   run->items == NULL ? "(UID FLAGS)" : run->items);
    run_commands(run, text, true);
}

static void run_select(const struct run *run)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "SELECT \"%s\"", run->mailbox);
    run_commands(run, text, false);
}

static void run_search(const struct run *run)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "UID SEARCH %s", run->items == NULL ? "UNSEEN" : run->items);
    run_commands(run, text, false);
}

/* Flags `messages` messages, on and off in turn, silently: the figure is messages a second. */
static void run_store(const struct run *run)
{
    struct load_line conn;
    struct load_samples samples = {0};
    sign_in_and_select(&conn, run);
    const uint64_t start = load_now_ns();
    for (unsigned round = 0; round < run->rounds; round++) {
        const uint64_t begun = load_now_ns();
        load_line_send(&conn, "b STORE 1:%u %cFLAGS.SILENT (\\Flagged)\r\n", run->messages,
                       round % 2 == 0 ? '+' : '-');
        (void)wait_tagged(&conn, "b");
        load_samples_add(&samples, load_now_ns() - begun);
    }
    report(run, (unsigned long)run->rounds * run->messages, load_now_ns() - start, &samples);
    load_line_close(&conn);
}

/* ---- fill: makes a mailbox of `messages` messages by APPEND with pipelined literals ---- */

static void append_one(struct load_line *conn, const struct run *run, unsigned serial,
                       const char *filler)
{
    char head[512];
    const int len = snprintf(
        head, sizeof(head),
        "From: Sender %u <sender%u@example.org>\r\nTo: Reader <reader@example.net>\r\n"
        "Subject: Message number %u of the bench\r\nDate: Mon, 02 Mar 2026 10:%02u:%02u +0000\r\n"
        "Message-ID: <bench.%u@example.org>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n",
        serial % 97, serial % 97, serial, serial / 60 % 60, serial % 60, serial);
    load_line_send(conn, "f%u APPEND \"%s\" {%d+}\r\n%s%s\r\n", serial, run->mailbox,
                   len + (int)run->bytes, head, filler);
}

static void run_fill(const struct run *run)
{
    enum { WINDOW = 16 };
    struct load_line conn;
    struct load_samples samples = {0};
    char tag[32];
    char *filler = malloc((size_t)run->bytes + 1);
    if (filler == NULL) {
        load_die("out of memory");
    }
    for (unsigned i = 0; i < run->bytes; i++) {
        filler[i] = i % 78 == 76 ? '\r' : i % 78 == 77 ? '\n' : (char)('a' + i % 26);
    }
    filler[run->bytes] = '\0';
    sign_in(&conn, run);
    if (strcmp(run->mailbox, "INBOX") != 0) {
        char text[512];
        (void)snprintf(text, sizeof(text), "CREATE \"%s\"", run->mailbox);
        command(&conn, text);
    }
    const uint64_t start = load_now_ns();
    for (unsigned serial = 0; serial < run->messages + WINDOW; serial++) {
        if (serial < run->messages) {
            append_one(&conn, run, serial, filler);
        }
        if (serial >= WINDOW) {
            (void)snprintf(tag, sizeof(tag), "f%u", serial - WINDOW);
            (void)wait_tagged(&conn, tag);
        }
    }
    report(run, run->messages, load_now_ns() - start, &samples);
    load_line_close(&conn);
    free(filler);
}

/* ---- idle: connections that stay; the caller looks at the server's memory meanwhile ---- */

static void run_idle(const struct run *run)
{
    struct load_line *conns = calloc(run->connections, sizeof(*conns));
    if (conns == NULL) {
        load_die("out of memory");
    }
    for (unsigned i = 0; i < run->connections; i++) {
        sign_in_and_select(&conns[i], run);
        load_line_send(&conns[i], "b IDLE\r\n");
        size_t len = 0;
        const char *line = load_line_read(&conns[i], &len);
        if (line[0] != '+') {
            load_die("IDLE: %s", line);
        }
        free(conns[i].data);
        conns[i].data = NULL;
    }
    (void)printf("{\"mode\":\"idle\",\"connections\":%u}\n", run->connections);
    (void)fflush(stdout);
    (void)getchar(); /* the caller closes stdin when it has looked */
    for (unsigned i = 0; i < run->connections; i++) {
        (void)close(conns[i].fd);
    }
    free(conns);
}

/* ---- push: how long an IDLE client waits for mail that another connection appends ---- */

static void run_push(const struct run *run)
{
    struct load_line watcher;
    struct load_line writer;
    struct load_samples samples = {0};
    size_t len = 0;
    sign_in_and_select(&watcher, run);
    load_line_send(&watcher, "b IDLE\r\n");
    (void)load_line_read(&watcher, &len);
    sign_in(&writer, run);
    const uint64_t start = load_now_ns();
    for (unsigned round = 0; round < run->rounds; round++) {
        load_line_send(
            &writer, "c%u APPEND \"%s\" {39+}\r\nSubject: push\r\n\r\nA message of a line.\r\n\r\n",
            round, run->mailbox);
        char tag[32];
        (void)snprintf(tag, sizeof(tag), "c%u", round);
        (void)wait_tagged(&writer, tag);
        const uint64_t begun = load_now_ns(); /* from the writer's OK to the watcher's EXISTS */
        const char *line = NULL;
        do {
            line = load_line_read(&watcher, &len);
        } while (strstr(line, "EXISTS") == NULL);
        load_samples_add(&samples, load_now_ns() - begun);
    }
    report(run, run->rounds, load_now_ns() - start, &samples);
    load_line_close(&watcher);
    load_line_close(&writer);
}

/* ---- command line ---- */

static const struct load_mode modes[] = {
    {"fill",   "APPEND --messages messages of --bytes bytes to --mailbox"  },
    {"select", "SELECT, --rounds times"                                    },
    {"fetch",  "UID FETCH 1:* --items, --rounds times"                     },
    {"store",  "flag messages 1 to --messages on and off, --rounds times"  },
    {"search", "UID SEARCH --items, --rounds times"                        },
    {"idle",   "--connections in IDLE until stdin ends: look at memory"    },
    {"push",   "time from APPEND's OK to EXISTS in an IDLE, --rounds times"},
};
static void (*const runs[])(const struct run *run) = {run_fill,   run_select, run_fetch, run_store,
                                                      run_search, run_idle,   run_push};

int main(int argc, char **argv)
{
    struct run run = {
        .mailbox = "INBOX", .connections = 1, .rounds = 10, .messages = 1000, .bytes = 1024};
    /* clang-format off */
    const struct load_option options[] = {
        {"host",         LOAD_TEXT,     &run.host,        0, 0, true,  "of the server"},
        {"port",         LOAD_TEXT,     &run.port,        0, 0, true,  "of IMAP without TLS"},
        {"user",         LOAD_TEXT,     &run.user,        0, 0, true,  "who signs in"},
        {"password-env", LOAD_VARIABLE, &run.password,    0, 0, true,  "environment variable with the password"},
        {"mailbox",      LOAD_TEXT,     &run.mailbox,     0, 0, false, "INBOX"},
        {"items",        LOAD_TEXT,     &run.items,       0, 0, false, "what FETCH and SEARCH ask for"},
        {"connections",  LOAD_NUMBER,   &run.connections, 1, CONNECTIONS_MAX, false, "at once (1)"},
        {"rounds",       LOAD_NUMBER,   &run.rounds,      1, ROUNDS_MAX, false, "how often (10)"},
        {"messages",     LOAD_NUMBER,   &run.messages,    1, 10000000, false, "in the mailbox (1000)"},
        {"bytes",        LOAD_NUMBER,   &run.bytes,       1, 10000000, false, "of a message (1024)"},
    };
    /* clang-format on */
    const struct load_usage usage = {"load_imap", modes, sizeof(modes) / sizeof(modes[0]), options,
                                     sizeof(options) / sizeof(options[0])};
    const size_t mode = load_parse(&usage, argc, argv);
    run.mode = modes[mode].name;
    runs[mode](&run);
    return 0;
}
