/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signs in to an IMAP server and prints one line of JSON. `rate`: whole sessions, from the
 * connection to the tagged OK, over many connections from one thread. `timing`: how long each of
 * several names waits for the answer to its wrong password, in turn, and how far apart the medians
 * are (P18: less than 2 ms).
 */
#include "bench/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 2000U
#define ENDPOINTS_MAX 16U
#define CREDENTIALS_MAX 100000U
#define LINE_BYTES_MAX 1024U

struct endpoint {
    char host[64];
    char port[8];
};
struct credential {
    char *user;
    char *password;
};

struct run {
    const char *to;
    const char *file;
    unsigned connections;
    unsigned logins;
    struct endpoint endpoints[ENDPOINTS_MAX];
    unsigned endpoint_count;
    struct credential *credentials; /* owned */
    unsigned credential_count;
    unsigned started;
    unsigned finished;
    unsigned failed;
    char first_failure[256];
    struct load_samples latency;
    int epoll;
};

/* ---- who and where ---- */

static void parse_endpoints(struct run *run)
{
    const char *at = run->to;
    while (*at != '\0' && run->endpoint_count < ENDPOINTS_MAX) {
        struct endpoint *endpoint = &run->endpoints[run->endpoint_count++];
        const size_t len = strcspn(at, ",");
        const char *colon = memrchr(at, ':', len);
        if (colon == NULL || (size_t)(colon - at) >= sizeof(endpoint->host) ||
            len - (size_t)(colon - at) > sizeof(endpoint->port)) {
            load_die("--to wants HOST:PORT,.. and not '%s'", run->to);
        }
        memcpy(endpoint->host, at, (size_t)(colon - at));
        memcpy(endpoint->port, colon + 1, len - (size_t)(colon - at) - 1);
        at += len + (at[len] == ',' ? 1 : 0);
    }
    if (run->endpoint_count == 0) {
        load_die("--to wants HOST:PORT,.. and not '%s'", run->to);
    }
}

static void read_credentials(struct run *run)
{
    char line[LINE_BYTES_MAX];
    FILE *file = fopen(run->file, "re");
    run->credentials = calloc(CREDENTIALS_MAX, sizeof(*run->credentials));
    if (file == NULL || run->credentials == NULL) {
        load_die("%s: %s", run->file, strerror(errno));
    }
    while (fgets(line, sizeof(line), file) != NULL && run->credential_count < CREDENTIALS_MAX) {
        char *space = strchr(line, ' ');
        line[strcspn(line, "\n")] = '\0';
        if (space == NULL) {
            load_die("%s: a line is 'USER PASSWORD'", run->file);
        }
        *space = '\0';
        run->credentials[run->credential_count++] =
            (struct credential){.user = strdup(line), .password = strdup(space + 1)};
    }
    (void)fclose(file);
    if (run->credential_count == 0) {
        load_die("%s: nobody in it", run->file);
    }
}

/* ---- rate ---- */

struct client {
    int fd;
    uint64_t begun_ns;
    char in[4096];
    size_t in_len;
};

static void start_login(struct run *run, struct client *client)
{
    const unsigned serial = run->started++;
    const struct credential *who = &run->credentials[serial % run->credential_count];
    const struct endpoint *endpoint = &run->endpoints[serial % run->endpoint_count];
    char text[LINE_BYTES_MAX];
    const int len =
        snprintf(text, sizeof(text), "a LOGIN \"%s\" \"%s\"\r\n", who->user, who->password);
    client->begun_ns = load_now_ns();
    client->fd = load_connect(endpoint->host, endpoint->port);
    client->in_len = 0;
    if (send(client->fd, text, (size_t)len, MSG_NOSIGNAL) != len) {
        load_die("send: %s", strerror(errno));
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    (void)epoll_ctl(run->epoll, EPOLL_CTL_ADD, client->fd, &event);
}

static void finish_login(struct run *run, struct client *client, const char *line)
{
    const bool ok = strncmp(line, "a OK", 4) == 0;
    if (ok) {
        load_samples_add(&run->latency, load_now_ns() - client->begun_ns);
    } else {
        if (run->failed++ == 0) {
            (void)snprintf(run->first_failure, sizeof(run->first_failure), "%.200s", line);
        }
    }
    (void)close(client->fd);
    client->fd = -1;
    run->finished++;
    if (run->started < run->logins) {
        start_login(run, client);
    }
}

static void on_readable(struct run *run, struct client *client)
{
    const ssize_t n =
        recv(client->fd, client->in + client->in_len, sizeof(client->in) - 1 - client->in_len, 0);
    if (n <= 0) {
        finish_login(run, client, "closed by the server");
        return;
    }
    client->in_len += (size_t)n;
    char *newline = NULL;
    while ((newline = memchr(client->in, '\n', client->in_len)) != NULL) {
        const size_t used = (size_t)(newline - client->in) + 1;
        *newline = '\0';
        if (client->in[0] == 'a') {
            finish_login(run, client, client->in);
            return;
        }
        memmove(client->in, client->in + used, client->in_len - used);
        client->in_len -= used;
    }
}

static void run_rate(struct run *run)
{
    struct client *clients = calloc(run->connections, sizeof(*clients));
    struct epoll_event events[256];
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (clients == NULL) {
        load_die("out of memory");
    }
    const uint64_t start_ns = load_now_ns();
    for (unsigned i = 0; i < run->connections && run->started < run->logins; i++) {
        start_login(run, &clients[i]);
    }
    while (run->finished < run->logins) {
        const int count = epoll_wait(run->epoll, events, 256, 60000);
        if (count == 0) {
            load_die("no answer for 60 s; %u of %u done", run->finished, run->logins);
        }
        for (int i = 0; i < count; i++) {
            on_readable(run, events[i].data.ptr);
        }
    }
    const double seconds = (double)(load_now_ns() - start_ns) / 1e9;
    (void)printf(
        "{\"mode\":\"rate\",\"count\":%u,\"failed\":%u,\"connections\":%u,\"seconds\":%.3f,"
        "\"per_second\":%.1f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"first_failure\":\"%s\"}\n",
        run->finished, run->failed, run->connections, seconds,
        (double)(run->finished - run->failed) / seconds, load_samples_ms(&run->latency, 50),
        load_samples_ms(&run->latency, 99), run->first_failure);
    free(clients);
}

/* ---- timing ---- */

/* One wrong password, alone on its connection, so that no delay of earlier ones is in it. */
static uint64_t time_refusal(const struct run *run, const struct credential *who)
{
    struct load_line conn;
    size_t len = 0;
    load_line_open(&conn, run->endpoints[0].host, run->endpoints[0].port);
    (void)load_line_read(&conn, &len);
    const uint64_t begun = load_now_ns();
    load_line_send(&conn, "a LOGIN \"%s\" \"%s\"\r\n", who->user, who->password);
    const char *line = load_line_read(&conn, &len);
    const uint64_t took = load_now_ns() - begun;
    if (strncmp(line, "a NO [AUTHENTICATIONFAILED]", 27) != 0) {
        load_die("%s: '%s' where a refusal was expected", who->user, line);
    }
    load_line_close(&conn);
    return took;
}

/* Nobody comes first, or behind the same other, every time. */
static void shuffle(unsigned *order, unsigned count)
{
    static uint64_t random = 88172645463325252ULL;
    for (unsigned i = count; i > 1; i--) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        const unsigned other = (unsigned)(random % i);
        const unsigned kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static void run_timing(struct run *run)
{
    struct load_samples *samples = calloc(run->credential_count, sizeof(*samples));
    unsigned *order = calloc(run->credential_count, sizeof(*order));
    double least = 0;
    double most = 0;
    if (samples == NULL || order == NULL) {
        load_die("out of memory");
    }
    for (unsigned i = 0; i < run->credential_count; i++) {
        order[i] = i;
    }
    for (unsigned round = 0; round < run->logins; round++) {
        shuffle(order, run->credential_count);
        for (unsigned i = 0; i < run->credential_count; i++) { /* in turn: the same load for all */
            const unsigned who = order[i];
            load_samples_add(&samples[who], time_refusal(run, &run->credentials[who]));
        }
    }
    free(order);
    (void)printf("{\"mode\":\"timing\",\"tries\":%u,\"median_ms\":{", run->logins);
    for (unsigned i = 0; i < run->credential_count; i++) {
        const double median = load_samples_ms(&samples[i], 50);
        least = i == 0 || median < least ? median : least;
        most = i == 0 || median > most ? median : most;
        (void)printf("%s\"%s\":%.3f", i == 0 ? "" : ",", run->credentials[i].user, median);
    }
    (void)printf("},\"difference_ms\":%.3f}\n", most - least);
    free(samples);
}

/* ---- command line ---- */

static const struct load_mode modes[] = {
    {"rate",   "--logins sessions, --connections at once, names and endpoints in turn"       },
    {"timing", "--logins wrong passwords of every line of the file; medians and their spread"},
};

int main(int argc, char **argv)
{
    struct run run = {.connections = 64, .logins = 10000};
    /* clang-format off */
    const struct load_option options[] = {
        {"to",          LOAD_TEXT,   &run.to,          0, 0, true,  "HOST:PORT,.. of IMAP without TLS"},
        {"credentials", LOAD_TEXT,   &run.file,        0, 0, true,  "file with lines 'USER PASSWORD'"},
        {"connections", LOAD_NUMBER, &run.connections, 1, CONNECTIONS_MAX, false, "at once (64)"},
        {"logins",      LOAD_NUMBER, &run.logins,      1, 10000000, false, "in all, or of each name (10000)"},
    };
    /* clang-format on */
    const struct load_usage usage = {"load_login", modes, sizeof(modes) / sizeof(modes[0]), options,
                                     sizeof(options) / sizeof(options[0])};
    const size_t mode = load_parse(&usage, argc, argv);
    parse_endpoints(&run);
    read_credentials(&run);
    if (mode == 0) {
        run_rate(&run);
    } else {
        run_timing(&run);
    }
    return run.failed == 0 ? 0 : 1;
}
