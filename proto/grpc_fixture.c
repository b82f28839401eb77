/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/grpc_fixture.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/net.h"
#include "proto/admin.pb.h"
#include <arpa/inet.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void ignore_line(void *arg, enum vy_log_level level, const char *line, size_t len)
{
    (void)arg;
    (void)level;
    (void)line;
    (void)len;
}

static void reply_large(struct grpc_call *call)
{
    uint8_t *bytes = calloc(1, GRPC_MESSAGE_BYTES_MAX + 1);
    VY_ASSERT(bytes != NULL);
    grpc_call_reply(call, vy_bytes(bytes, GRPC_MESSAGE_BYTES_MAX + 1));
    free(bytes);
}

static void on_call(void *arg, struct grpc_call *call, const struct vy_pb_method *method,
                    struct vy_bytes request)
{
    struct grpc_fixture *fixture = arg;
    const struct grpc_peer *peer = grpc_call_peer(call);
    (void)method;
    fixture->was_local = peer->is_local;
    (void)snprintf(fixture->last_uri, sizeof(fixture->last_uri), "%.*s", VY_PRI(peer->uri));
    atomic_fetch_add(&fixture->calls, 1);
    if (vy_bytes_equal(request, VY_LIT("fail"))) {
        grpc_call_fail(call, vy_error(VY_CODE_NOT_FOUND, "none"), GRPC_FIXTURE_MESSAGE);
    } else if (vy_bytes_equal(request, VY_LIT("hold"))) {
        VY_ASSERT(fixture->held_count < GRPC_FIXTURE_HELD_MAX);
        fixture->held[fixture->held_count++] = call;
    } else if (vy_bytes_equal(request, VY_LIT("large"))) {
        reply_large(call);
    } else {
        grpc_call_reply(call, request);
    }
}

static bool is_serving(void *arg)
{
    struct grpc_fixture *fixture = arg;
    return atomic_load(&fixture->is_serving);
}

/* ---- what runs on the server's thread ---- */

static void release_held(struct grpc_fixture *fixture)
{
    while (fixture->held_count > 0) {
        grpc_call_reply(fixture->held[--fixture->held_count], VY_LIT("released"));
    }
}

struct errand {
    struct grpc_fixture *fixture;
    sem_t done;
};

static void run_release(void *arg)
{
    struct errand *errand = arg;
    release_held(errand->fixture);
    (void)sem_post(&errand->done);
}

static void run_stop(void *arg)
{
    struct grpc_fixture *fixture = arg;
    grpc_server_free(fixture->server);
    release_held(fixture);
    vy_loop_uv_stop(fixture->loop);
}

static void *run(void *arg)
{
    struct grpc_fixture *fixture = arg;
    vy_loop_uv_run(fixture->loop);
    return NULL;
}

/* ---- life ---- */

static void make_tls(struct grpc_fixture *fixture)
{
    static const struct rpc_certs_leaf leaves[] = {
        {.name = "server",   .ca = "ca",       .san = "DNS:localhost,IP:127.0.0.1"  },
        {.name = "admin",    .ca = "ca",       .san = "URI:spiffe://test/admin/root"},
        {.name = "stranger", .ca = "other-ca", .san = "URI:spiffe://test/admin/root"},
    };
    char certificate[RPC_CERTS_PATH_BYTES];
    char key[RPC_CERTS_PATH_BYTES];
    char ca[RPC_CERTS_PATH_BYTES];
    rpc_certs_make_ca(&fixture->folder, "ca");
    rpc_certs_make_ca(&fixture->folder, "other-ca");
    for (size_t i = 0; i < VY_COUNT_OF(leaves); i++) {
        rpc_certs_make(&fixture->folder, &leaves[i]);
    }
    rpc_certs_path(&fixture->folder, "server", ".pem", certificate);
    rpc_certs_path(&fixture->folder, "server", ".key", key);
    rpc_certs_path(&fixture->folder, "ca", ".pem", ca);
    const struct vy_tls_config config = {
        .certificate_file = certificate, .key_file = key, .ca_file = ca, .alpn = "h2"};
    VY_ASSERT(!vy_failed(vy_tls_context_new_server(&config, &fixture->tls)));
}

/* A port that is free now; the API under test has no way to tell which one it got. */
static uint16_t find_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = -1;
    VY_ASSERT(!vy_failed(vy_net_listen("127.0.0.1", 0, &fd)));
    VY_ASSERT(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    vy_net_close(fd);
    return ntohs(address.sin_port);
}

static void start_server(struct grpc_fixture *fixture)
{
    static struct grpc_service service;
    service = (struct grpc_service){
        .methods = admin_methods,
        .methods_count = admin_method_count,
        .file_descriptor = vy_bytes(admin_file_descriptor, admin_file_descriptor_bytes),
        .file_name = "admin.proto",
        .on_call = on_call,
        .arg = fixture};
    const struct grpc_server_config config = {.loop = fixture->loop,
                                              .log = &fixture->log,
                                              .tls = fixture->tls,
                                              .services = &service,
                                              .services_count = 1,
                                              .is_serving = is_serving,
                                              .is_serving_arg = fixture,
                                              .greeting_timeout_ms = fixture->timeout_ms,
                                              .stream_idle_timeout_ms = fixture->timeout_ms,
                                              .idle_timeout_ms = fixture->timeout_ms};
    VY_ASSERT(!vy_failed(grpc_server_new(&config, &fixture->server)));
    fixture->port = find_port();
    VY_ASSERT(!vy_failed(grpc_server_listen_tcp(fixture->server, "127.0.0.1", fixture->port)));
    VY_ASSERT(!vy_failed(grpc_server_listen_unix(fixture->server, fixture->socket)));
}

static void start(struct grpc_fixture *fixture, bool with_tls, uint32_t timeout_ms)
{
    *fixture = (struct grpc_fixture){.has_tls = with_tls, .timeout_ms = timeout_ms};
    atomic_store(&fixture->is_serving, true);
    rpc_certs_init(&fixture->folder);
    fixture->sink = (struct vy_log_sink){.write = ignore_line};
    fixture->log =
        (struct vy_log){.sink = &fixture->sink, .clock = vy_clock_system(), .level = VY_LOG_DEBUG};
    (void)snprintf(fixture->socket, sizeof(fixture->socket), "%s/admin", fixture->folder.folder);
    (void)snprintf(fixture->unix_address, sizeof(fixture->unix_address), "unix:%s",
                   fixture->socket);
    if (with_tls) {
        make_tls(fixture);
    }
    VY_ASSERT(!vy_failed(vy_loop_uv_new(&fixture->loop)));
    start_server(fixture);
    (void)snprintf(fixture->tcp_address, sizeof(fixture->tcp_address), "127.0.0.1:%u",
                   (unsigned)fixture->port);
    VY_ASSERT(pthread_create(&fixture->thread, NULL, run, fixture) == 0);
}

void grpc_fixture_start(struct grpc_fixture *fixture, bool with_tls)
{
    start(fixture, with_tls, 0);
}

void grpc_fixture_start_impatient(struct grpc_fixture *fixture, uint32_t timeout_ms)
{
    start(fixture, false, timeout_ms);
}

void grpc_fixture_release(struct grpc_fixture *fixture)
{
    struct errand errand = {.fixture = fixture};
    VY_ASSERT(sem_init(&errand.done, 0, 0) == 0);
    vy_loop_post(fixture->loop, run_release, &errand);
    VY_ASSERT(sem_wait(&errand.done) == 0);
    (void)sem_destroy(&errand.done);
}

void grpc_fixture_stop(struct grpc_fixture *fixture)
{
    vy_loop_post(fixture->loop, run_stop, fixture);
    VY_ASSERT(pthread_join(fixture->thread, NULL) == 0);
    vy_loop_uv_free(fixture->loop);
    vy_tls_context_free(fixture->tls);
    rpc_certs_deinit(&fixture->folder);
}
