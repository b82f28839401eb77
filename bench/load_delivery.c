/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivers mail by SMTP or LMTP over many connections from one thread and prints one line of JSON:
 * messages a second and latencies from the dot (DATA's end) to the answer. Every answer that is not
 * 2xx or 3xx is counted and ends that message.
 */
#include "bench/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define CONNECTIONS_MAX 2000U
#define MESSAGE_BYTES_MAX (4U * 1024U * 1024U)

enum step { STEP_GREETING, STEP_HELLO, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_BODY };

struct client {
    int fd;
    enum step step;
    char in[4096];
    size_t in_len;
    const char *out; /* borrowed: command or body */
    size_t out_len;
    const char *then; /* borrowed: what follows it */
    size_t then_len;
    char command[512];
    uint64_t sent_ns; /* when the end of the body was on its way */
    unsigned serial;
    bool is_idle;
};

struct run {
    const char *host;
    const char *port;
    const char *recipient; /* printf pattern with one %u, or a fixed address */
    unsigned recipients;   /* how many numbers the pattern takes */
    bool is_lmtp;
    unsigned connections;
    unsigned messages;
    unsigned started;
    unsigned finished;
    unsigned failed;
    char first_failure[256];
    char *bodies[8]; /* owned; with the final dot */
    size_t body_bytes[8];
    unsigned bodies_count;
    uint64_t nonce; /* of this run, in Message-IDs */
    struct load_samples latency;
    int epoll;
};

/* A message of about `bytes` bytes: headers as real mail has them, lines of 76 base64-like
 * characters. */
static char *make_body(size_t bytes, size_t *out_len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char head[] =
        "From: \"Load Generator\" <load@example.org>\r\nTo: Somebody <somebody@example.net>\r\n"
        "Subject: A message of the delivery bench\r\nDate: Mon, 02 Mar 2026 10:11:12 +0000\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n";
    char *body = malloc(bytes + sizeof(head) + 128);
    if (body == NULL) {
        load_die("out of memory");
    }
    size_t len = sizeof(head) - 1;
    uint64_t random = 88172645463325252ULL;
    memcpy(body, head, len);
    while (len < bytes) {
        for (unsigned i = 0; i < 76; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            body[len++] = alphabet[random % 64];
        }
        body[len++] = '\r';
        body[len++] = '\n';
    }
    memcpy(body + len, ".\r\n", 3);
    *out_len = len + 3;
    return body;
}

static void add_body(struct run *run, size_t bytes)
{
    run->bodies[run->bodies_count] = make_body(bytes, &run->body_bytes[run->bodies_count]);
    run->bodies_count++;
}

/* What is sent may be all of one piece and some of the next. */
static void forget(struct client *client, size_t sent)
{
    const size_t of_out = sent < client->out_len ? sent : client->out_len;
    client->out += of_out;
    client->out_len -= of_out;
    if (client->out_len == 0) {
        client->out = client->then + (sent - of_out);
        client->out_len = client->then_len - (sent - of_out);
        client->then_len = 0;
    }
}

static void push(struct run *run, struct client *client)
{
    while (client->out_len > 0) {
        struct iovec parts[] = {
            {(void *)(uintptr_t)client->out,  client->out_len },
            {(void *)(uintptr_t)client->then, client->then_len}
        };
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        const ssize_t n = sendmsg(client->fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = client};
            (void)epoll_ctl(run->epoll, EPOLL_CTL_MOD, client->fd, &event);
            return;
        }
        if (n <= 0) {
            load_die("send: %s", strerror(errno));
        }
        forget(client, (size_t)n);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    (void)epoll_ctl(run->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

static void say(struct run *run, struct client *client, enum step next, const char *text)
{
    client->step = next;
    client->out = text;
    client->out_len = strlen(text);
    push(run, client);
}

static void next_message(struct run *run, struct client *client)
{
    if (run->started == run->messages) {
        client->is_idle = true;
        return;
    }
    client->serial = run->started++;
    say(run, client, STEP_MAIL, "MAIL FROM:<load@example.org>\r\n");
}

static void say_recipient(struct run *run, struct client *client)
{
    int len = snprintf(client->command, sizeof(client->command), "RCPT TO:<");
    const char *hole = strchr(run->recipient, '%');
    if (hole == NULL) {
        len += snprintf(client->command + len, sizeof(client->command) - (size_t)len, "%s",
                        run->recipient);
    } else {
        len += snprintf(client->command + len, sizeof(client->command) - (size_t)len, "%.*s%u%s",
                        (int)(hole - run->recipient), run->recipient,
                        client->serial % run->recipients, hole + 1);
    }
    (void)snprintf(client->command + len, sizeof(client->command) - (size_t)len, ">\r\n");
    say(run, client, STEP_RCPT, client->command);
}

static void say_body(struct run *run, struct client *client)
{
    const unsigned which = client->serial % run->bodies_count;
    /* Each has a name of its own: the same one again would be a retry, which stores nothing. */
    const int len =
        snprintf(client->command, sizeof(client->command), "Message-ID: <%llx.%u@example.org>\r\n",
                 (unsigned long long)run->nonce, client->serial);
    client->step = STEP_BODY;
    client->out = client->command;
    client->out_len = (size_t)len;
    client->then = run->bodies[which];
    client->then_len = run->body_bytes[which];
    client->sent_ns = load_now_ns();
    push(run, client);
}

static void finish(struct run *run, struct client *client, bool ok, const char *line)
{
    run->finished++;
    if (ok) {
        load_samples_add(&run->latency, load_now_ns() - client->sent_ns);
    } else {
        if (run->failed == 0) {
            (void)snprintf(run->first_failure, sizeof(run->first_failure), "%.200s", line);
        }
        run->failed++;
    }
    next_message(run, client);
}

/* One whole reply (its last line). */
static void on_reply(struct run *run, struct client *client, const char *line)
{
    const bool ok = line[0] == '2' || line[0] == '3';
    if (!ok && client->step >= STEP_MAIL) {
        if (client->step != STEP_BODY) {
            load_die("server refused before the body: %s", line);
        }
        finish(run, client, false, line);
        return;
    }
    if (!ok) {
        load_die("server refused: %s", line);
    }
    switch (client->step) {
    case STEP_GREETING:
        say(run, client, STEP_HELLO,
            run->is_lmtp ? "LHLO bench.example.org\r\n" : "EHLO bench.example.org\r\n");
        break;
    case STEP_HELLO:
        next_message(run, client);
        break;
    case STEP_MAIL:
        say_recipient(run, client);
        break;
    case STEP_RCPT:
        say(run, client, STEP_DATA, "DATA\r\n");
        break;
    case STEP_DATA:
        say_body(run, client);
        break;
    case STEP_BODY:
        finish(run, client, true, line);
        break;
    }
}

static void on_readable(struct run *run, struct client *client)
{
    const ssize_t n =
        recv(client->fd, client->in + client->in_len, sizeof(client->in) - 1 - client->in_len, 0);
    if (n <= 0) {
        load_die("server closed a connection after %u messages", run->finished);
    }
    client->in_len += (size_t)n;
    char *newline = NULL;
    while ((newline = memchr(client->in, '\n', client->in_len)) != NULL) {
        const size_t used = (size_t)(newline - client->in) + 1;
        *newline = '\0';
        if (used >= 5 && client->in[3] != '-') {
            on_reply(run, client, client->in);
        }
        memmove(client->in, client->in + used, client->in_len - used);
        client->in_len -= used;
    }
}

static void open_clients(struct run *run, struct client *clients)
{
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < run->connections; i++) {
        clients[i].fd = load_connect(run->host, run->port);
        (void)fcntl(clients[i].fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        (void)epoll_ctl(run->epoll, EPOLL_CTL_ADD, clients[i].fd, &event);
    }
}

static void turn(struct run *run)
{
    struct epoll_event events[256];
    const int count = epoll_wait(run->epoll, events, 256, 60000);
    if (count == 0) {
        load_die("no answer for 60 s; %u of %u messages done", run->finished, run->messages);
    }
    for (int i = 0; i < count; i++) {
        struct client *client = events[i].data.ptr;
        if ((events[i].events & EPOLLOUT) != 0) {
            push(run, client);
        }
        if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
            on_readable(run, client);
        }
    }
}

static void add_bodies(struct run *run, size_t bytes, bool is_mix)
{
    static const size_t mix_kib[] = {2, 4, 4, 8, 16, 75, 75, 500};
    for (size_t i = 0; i < sizeof(mix_kib) / sizeof(mix_kib[0]) && is_mix; i++) {
        add_body(run, mix_kib[i] * 1024);
    }
    if (!is_mix) {
        add_body(run, bytes);
    }
}

static void parse_options(struct run *run, int argc, char **argv)
{
    unsigned bytes = 4096;
    bool is_mix = false;
    /* clang-format off */
    const struct load_option options[] = {
        {"host",        LOAD_TEXT,   &run->host,        0, 0, true,  "of the server"},
        {"port",        LOAD_TEXT,   &run->port,        0, 0, true,  "of SMTP, or LMTP"},
        {"to",          LOAD_TEXT,   &run->recipient,   0, 0, true,  "recipient; one % in it becomes a number below --recipients"},
        {"recipients",  LOAD_NUMBER, &run->recipients,  1, 10000000, false, "how many numbers (1)"},
        {"lmtp",        LOAD_FLAG,   &run->is_lmtp,     0, 0, false, "speak LMTP"},
        {"connections", LOAD_NUMBER, &run->connections, 1, CONNECTIONS_MAX, false, "at once (10)"},
        {"messages",    LOAD_NUMBER, &run->messages,    1, 100000000, false, "in all (10000)"},
        {"bytes",       LOAD_NUMBER, &bytes,            512, MESSAGE_BYTES_MAX, false, "of each message (4096)"},
        {"mix",         LOAD_FLAG,   &is_mix,           0, 0, false, "sizes as in real mailboxes: 2, 4, 4, 8, 16, 75, 75 and 500 KiB in turn"},
    };
    /* clang-format on */
    const struct load_usage usage = {"load_delivery", NULL, 0, options,
                                     sizeof(options) / sizeof(options[0])};
    (void)load_parse(&usage, argc, argv);
    add_bodies(run, bytes, is_mix);
}

int main(int argc, char **argv)
{
    struct run run = {.connections = 10, .messages = 10000, .recipients = 1};
    parse_options(&run, argc, argv);
    struct client *clients = calloc(run.connections, sizeof(*clients));
    if (clients == NULL) {
        load_die("out of memory");
    }
    open_clients(&run, clients);
    const uint64_t start_ns = load_now_ns();
    run.nonce = start_ns;
    while (run.finished < run.messages) {
        turn(&run);
    }
    const double seconds = (double)(load_now_ns() - start_ns) / 1e9;
    (void)printf(
        "{\"messages\":%u,\"failed\":%u,\"connections\":%u,\"seconds\":%.3f,\"per_second\":%.1f,"
        "\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"first_failure\":\"%s\"}\n",
        run.messages, run.failed, run.connections, seconds,
        (double)(run.messages - run.failed) / seconds, load_samples_ms(&run.latency, 50),
        load_samples_ms(&run.latency, 99), run.first_failure);
    return run.failed == 0 ? 0 : 1;
}
