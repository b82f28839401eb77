/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/shell_fixture.h"

#include "base/assert.h"
#include "frontend/shell_backend_fixture.h"
#include "proto/rpc_inproc.h"
#include "tests/lib/test.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENT_IN_BYTES_MAX (256U * 1024U * 1024U)
#define METRICS_BYTES_MAX (4U * 1024U * 1024U)
#define PIECE_BYTES 65536U

static const struct vy_log quiet = {.sink = NULL};

/* ---- the frontend ---- */

static const struct frontend_port ports[SHELL_PORT_COUNT] = {
    [SHELL_SMTP] = {"smtp",       FRONTEND_SMTP,       false, 0},
    [SHELL_LMTP] = {"lmtp",       FRONTEND_LMTP,       false, 0},
    [SHELL_SUBMISSION] = {"submission", FRONTEND_SUBMISSION, false, 0},
    [SHELL_IMAP] = {"imap",       FRONTEND_IMAP,       false, 0},
    [SHELL_IMAPS] = {"imaps",      FRONTEND_IMAP,       true,  0},
};

static void make_certificate(struct shell_fixture *f)
{
    const struct vy_tls_config client = {.ca_file = NULL};
    (void)snprintf(f->certificate, sizeof(f->certificate), "/tmp/shell-%ld.crt", (long)getpid());
    (void)snprintf(f->key, sizeof(f->key), "/tmp/shell-%ld.key", (long)getpid());
    assert_false(vy_failed(vy_tls_write_self_signed(f->certificate, f->key, "127.0.0.1")));
    assert_false(vy_failed(vy_tls_context_new_client(&client, &f->client_tls)));
}

void shell_fixture_init(struct shell_fixture *f, const struct shell_options *options)
{
    static const struct rpc_group_member meta[] = {
        {.node = "meta-1", .address = "inproc:meta-1"}
    };
    struct vy_net loopback;
    *f = (struct shell_fixture){.hub = NULL};
    assert_false(vy_failed(vy_net_parse(VY_LIT("127.0.0.0/8"), &loopback)));
    assert_false(vy_failed(rpc_inproc_new(&f->hub)));
    assert_false(vy_failed(vy_metrics_new(&f->metrics)));
    f->backend = shell_backend_new(f->hub, options);
    make_certificate(f);
    const struct frontend_config config = {
        .clock = vy_clock_system(),
        .rng = vy_rng_system(),
        .log = &quiet,
        .metrics = f->metrics,
        .hostname = "mx.dev.test",
        .listen_host = "127.0.0.1",
        .ports = ports,
        .ports_count = options->has_no_tls ? SHELL_IMAPS : SHELL_PORT_COUNT,
        .loops_count = VY_MAX(options->loops_count, 1U),
        .tls_certificate = options->has_no_tls ? NULL : f->certificate,
        .tls_key = options->has_no_tls ? NULL : f->key,
        .trusted = &loopback,
        .trusted_count = options->is_untrusted ? 0 : 1,
        .connections_max = options->connections_max == 0 ? 20000 : options->connections_max,
        .connections_per_ip_max = options->per_ip_max,
        .handshake_ms = options->handshake_ms,
        .write_stall_ms = options->write_stall_ms,
        .call_stall_ms = options->call_stall_ms,
        .tarpit_max = options->tarpit_max == 0 ? 2000 : options->tarpit_max,
        .auth_delay_ms = options->auth_delay_ms,
        .message_bytes_max = 50U * 1024 * 1024,
        .rpc = {.rng = vy_rng_system(),
                .log = &quiet,
                .cluster = "test",
                .node = "frontend-1",
                .role = RPC_ROLE_FRONTEND,
                .inproc = f->hub},
        .meta_members = meta,
        .meta_members_count = 1,
    };
    assert_false(vy_failed(frontend_new(&config, &f->frontend)));
    while (!frontend_knows_map(f->frontend)) {
        (void)poll(NULL, 0, 1);
    }
}

void shell_fixture_deinit(struct shell_fixture *f)
{
    frontend_free(f->frontend);
    shell_backend_free(f->backend);
    rpc_inproc_free(f->hub);
    vy_metrics_free(f->metrics);
    vy_tls_context_free(f->client_tls);
    (void)unlink(f->certificate);
    (void)unlink(f->key);
}

uint16_t shell_port(const struct shell_fixture *f, enum shell_port port)
{
    return frontend_port_number(f->frontend, port);
}

void shell_wait_connections(const struct shell_fixture *f, uint64_t count)
{
    for (int i = 0; frontend_connection_count(f->frontend) != count; i++) {
        assert_true(i < SHELL_WAIT_MS);
        (void)poll(NULL, 0, 1);
    }
}

uint64_t shell_metric(const struct shell_fixture *f, const char *series)
{
    struct vy_buf page;
    uint64_t value = 0;
    vy_buf_init(&page, METRICS_BYTES_MAX);
    vy_metrics_write(f->metrics, &page);
    struct vy_bytes rest = vy_buf_bytes(&page);
    bool is_found = false;
    while (rest.len > 0 && !is_found) {
        struct vy_bytes line = vy_bytes_cut(&rest, '\n');
        is_found = vy_bytes_starts_with(line, vy_cstr(series));
        line = vy_bytes_trim(vy_bytes_from(line, VY_MIN(line.len, strlen(series))));
        assert_true(!is_found || vy_parse_u64(line, &value));
    }
    vy_buf_deinit(&page);
    return value;
}

/* ---- a client ---- */

void shell_connect(struct shell_client *c, const struct shell_fixture *f, enum shell_port port)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(shell_port(f, port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *c = (struct shell_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(c->fd >= 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    vy_buf_init(&c->in, CLIENT_IN_BYTES_MAX);
}

static void take_plaintext(struct shell_client *c)
{
    size_t len = 1;
    while (len > 0) {
        uint8_t *room = vy_buf_reserve(&c->in, PIECE_BYTES);
        assert_non_null(room);
        assert_false(vy_failed(vy_tls_read(c->tls, room, PIECE_BYTES, &len)));
        vy_buf_added(&c->in, len);
    }
}

bool shell_read_some(struct shell_client *c, size_t max)
{
    static uint8_t piece[PIECE_BYTES];
    const ssize_t got = recv(c->fd, piece, VY_MIN(max, sizeof(piece)), 0);
    if (got <= 0) {
        c->is_eof = true;
        c->was_reset = got < 0;
        return false;
    }
    const struct vy_bytes bytes = vy_bytes(piece, (size_t)got);
    if (c->tls == NULL) {
        vy_buf_append(&c->in, bytes);
        return true;
    }
    vy_ignore(vy_tls_receive(c->tls, bytes), "an alert: the end follows");
    if (vy_tls_is_established(c->tls)) {
        take_plaintext(c);
    }
    return true;
}

static short wait_for(const struct shell_client *c, short events)
{
    struct pollfd ready = {.fd = c->fd, .events = events};
    assert_int_equal(poll(&ready, 1, SHELL_WAIT_MS), 1);
    return ready.revents;
}

static void send_raw(struct shell_client *c, struct vy_bytes bytes)
{
    while (bytes.len > 0 && !c->is_eof) {
        const short events = wait_for(c, POLLIN | POLLOUT);
        if ((events & POLLIN) != 0) {
            (void)shell_read_some(c, PIECE_BYTES);
            continue;
        }
        const ssize_t sent = send(c->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
            return; /* the server is gone: what it said last is read by shell_expect_end */
        }
        bytes = vy_bytes_from(bytes, sent < 0 ? 0 : (size_t)sent);
    }
}

static void send_tls_output(struct shell_client *c, size_t step)
{
    struct vy_buf out;
    vy_buf_init(&out, CLIENT_IN_BYTES_MAX);
    vy_tls_take(c->tls, &out);
    while (vy_buf_len(&out) > 0 && !c->is_eof) {
        const size_t len = step == 0 ? vy_buf_len(&out) : VY_MIN(step, vy_buf_len(&out));
        send_raw(c, vy_bytes_slice(vy_buf_bytes(&out), 0, len));
        vy_buf_consume(&out, len);
    }
    vy_buf_deinit(&out);
}

void shell_handshake(struct shell_client *c, const struct shell_fixture *f, size_t step)
{
    assert_false(vy_failed(vy_tls_new(f->client_tls, &c->tls)));
    send_tls_output(c, step);
    while (!vy_tls_is_established(c->tls)) {
        (void)wait_for(c, POLLIN);
        assert_true(shell_read_some(c, PIECE_BYTES));
        send_tls_output(c, step);
    }
}

void shell_send(struct shell_client *c, struct vy_bytes bytes)
{
    if (c->tls == NULL) {
        send_raw(c, bytes);
        return;
    }
    assert_false(vy_failed(vy_tls_write(c->tls, bytes)));
    send_tls_output(c, 0);
}

void shell_say(struct shell_client *c, const char *text)
{
    shell_send(c, vy_cstr(text));
}

void shell_expect(struct shell_client *c, const char *text)
{
    size_t at = vy_bytes_find(vy_buf_bytes(&c->in), vy_cstr(text), 0);
    while (at == SIZE_MAX) {
        (void)wait_for(c, POLLIN);
        if (!shell_read_some(c, PIECE_BYTES)) {
            print_message("wanted: %s\nhad: %.*s\n", text, VY_PRI(vy_buf_bytes(&c->in)));
            fail();
        }
        at = vy_bytes_find(vy_buf_bytes(&c->in), vy_cstr(text), 0);
    }
    vy_buf_consume(&c->in, at + strlen(text));
}

void shell_expect_end(struct shell_client *c)
{
    while (!c->is_eof) {
        (void)wait_for(c, POLLIN);
        (void)shell_read_some(c, PIECE_BYTES);
    }
}

void shell_hang_up(struct shell_client *c)
{
    vy_tls_free(c->tls);
    vy_buf_deinit(&c->in);
    (void)close(c->fd);
    c->fd = -1;
}
