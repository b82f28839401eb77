/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets onto a link with TLS, and as whom (R1, R2): over TCP on a real loop, with certificates
 * made on the spot. */
#include "base/assert.h"
#include "base/rng.h"
#include "proto/rpc_certs.h"
#include "proto/rpc_fixture.h"
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka wants these first */
#include <cmocka.h>

static struct rpc_certs certs;

struct world {
    struct vy_loop *loop;
    struct vy_timer *tick;
    struct fixture_log log;
    struct rpc_config server;
    struct rpc_config client;
    struct fixture_server fixture;
    struct rpc_link *link;
    char address[40];
};

static int make_certificates(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct rpc_certs_leaf leaves[] = {
        {.name = "shard-1", .ca = "ca", .san = "URI:spiffe://test/shard/shard-1"},
        {.name = "front-1", .ca = "ca", .san = "URI:spiffe://test/frontend/front-1,DNS:front-1"},
        {.name = "meta-1", .ca = "ca", .san = "URI:spiffe://test/meta/meta-1"},
        {.name = "stranger", .ca = "other-ca", .san = "URI:spiffe://test/frontend/front-1"},
        {.name = "expired",
         .ca = "ca",
         .san = "URI:spiffe://test/frontend/front-1",
         .from_s = -7200,
         .until_s = -60},
        {.name = "early",
         .ca = "ca",
         .san = "URI:spiffe://test/frontend/front-1",
         .from_s = 3000},
        {.name = "nameless", .ca = "ca", .san = "DNS:front-1"},
        {.name = "two-names",
         .ca = "ca",
         .san = "URI:spiffe://test/frontend/front-1,URI:spiffe://test/meta/meta-1"},
        {.name = "other-cluster", .ca = "ca", .san = "URI:spiffe://prod/frontend/front-1"},
        {.name = "other-role", .ca = "ca", .san = "URI:spiffe://test/root/front-1"},
        {.name = "other-node", .ca = "ca", .san = "URI:spiffe://test/frontend/front-2"},
        {.name = "deep-path", .ca = "ca", .san = "URI:spiffe://test/frontend/front-1/x"},
        {.name = "server-only",
         .ca = "ca",
         .san = "URI:spiffe://test/frontend/front-1",
         .is_server_only = true},
    };
    /* clang-format on */
    rpc_certs_init(&certs);
    rpc_certs_make_ca(&certs, "ca");
    rpc_certs_make_ca(&certs, "other-ca");
    for (size_t i = 0; i < VY_COUNT_OF(leaves); i++) {
        rpc_certs_make(&certs, &leaves[i]);
    }
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    rpc_certs_deinit(&certs);
    return 0;
}

/* ---- one loop, turned by hand ---- */

static void on_tick(void *arg)
{
    struct world *world = arg;
    vy_timer_start(world->tick, 2);
    vy_loop_uv_stop(world->loop);
}

static void turn(struct world *world)
{
    vy_loop_uv_run(world->loop);
}

#define RUN_UNTIL(world, condition)                                                                \
    do {                                                                                           \
        turn(world);                                                                               \
    } while (!(condition))

static void world_init(struct world *world, const char *server_cert, const char *server_ca)
{
    *world = (struct world){.link = NULL};
    assert_int_equal(vy_loop_uv_new(&world->loop).code, VY_CODE_OK);
    world->tick = vy_timer_new(world->loop, on_tick, world);
    vy_timer_start(world->tick, 2);
    fixture_log_init(&world->log, vy_clock_system());
    world->server = (struct rpc_config){.loop = world->loop,
                                        .rng = vy_rng_system(),
                                        .log = &world->log.log,
                                        .cluster = "test",
                                        .node = "shard-1",
                                        .role = RPC_ROLE_SHARD,
                                        .tls = rpc_certs_context(&certs, server_cert, server_ca)};
    fixture_server_init(&world->fixture, &world->server);
    assert_int_equal(rpc_server_listen(world->fixture.server, "tcp://127.0.0.1:0").code,
                     VY_CODE_OK);
    (void)snprintf(world->address, sizeof(world->address), "tcp://127.0.0.1:%u",
                   (unsigned)rpc_server_port(world->fixture.server));
}

static void dial(struct world *world, const char *cert, const char *ca, uint32_t peer_roles,
                 const char *peer_node)
{
    world->client = world->server;
    world->client.node = "front-1";
    world->client.role = RPC_ROLE_FRONTEND;
    world->client.tls = cert == NULL ? NULL : rpc_certs_context(&certs, cert, ca);
    world->client.allow_plain_loopback = cert == NULL;
    const struct rpc_link_options options = {
        .address = world->address, .peer_roles = peer_roles, .peer_node = peer_node};
    assert_int_equal(rpc_link_new(&world->client, &options, &world->link).code, VY_CODE_OK);
}

static void world_down(struct world *world)
{
    rpc_link_free(world->link);
    fixture_server_release(&world->fixture);
    rpc_server_free(world->fixture.server);
    vy_timer_free(world->tick);
    vy_loop_uv_free(world->loop);
    rpc_tls_context_free(world->client.tls);
    rpc_tls_context_free(world->server.tls);
    assert_int_equal(world->log.errors, 0);
}

static const struct rpc_server_stats *stats(const struct world *world)
{
    return rpc_server_stats(world->fixture.server);
}

/* ---- tests ---- */

static void role_and_node_come_from_the_certificate(void **state)
{
    (void)state;
    struct world world;
    struct fixture_call echo = {.call = NULL};
    struct fixture_call denied = {.call = NULL};
    world_init(&world, "shard-1", "ca");
    dial(&world, "front-1", "ca", RPC_ROLE_SHARD, "shard-1");
    world.client.role = RPC_ROLE_META; /* what the greeting claims is not what counts */
    assert_true(fixture_call_start(&echo, world.link, FIXTURE_ECHO, VY_LIT("hello"), NULL));
    assert_true(fixture_call_start(&denied, world.link, FIXTURE_META, VY_LIT("x"), NULL));
    RUN_UNTIL(&world, echo.is_ended && denied.is_ended);
    assert_int_equal(echo.code, VY_CODE_OK);
    assert_int_equal(world.fixture.last_role, RPC_ROLE_FRONTEND);
    assert_string_equal(world.fixture.last_node, "front-1");
    assert_true(fixture_log_has(&world.log, "rpc.authenticated=true"));
    assert_int_equal(denied.code, VY_CODE_DENIED);
    assert_int_equal(stats(&world)->calls_denied, 1);
    world_down(&world);
}

static void large_bodies_pass_both_ways(void **state)
{
    (void)state;
    struct world world;
    struct fixture_call up = {.to_send = 5000000};
    struct fixture_call down = {.call = NULL};
    const struct rpc_call_options has_body = {.has_body = true};
    uint8_t want[8];
    vy_put_be64(want, 5000000);
    world_init(&world, "shard-1", "ca");
    dial(&world, "front-1", "ca", 0, NULL);
    assert_true(fixture_call_start(&up, world.link, FIXTURE_UP, VY_LIT(""), &has_body));
    fixture_call_pump(&up);
    assert_true(fixture_call_start(&down, world.link, FIXTURE_DOWN, vy_bytes(want, 8), NULL));
    RUN_UNTIL(&world, up.is_ended && down.is_ended);
    assert_int_equal(up.code, VY_CODE_OK);
    assert_int_equal(vy_get_be64(up.reply), 5000000);
    assert_int_equal(down.code, VY_CODE_OK);
    assert_int_equal(down.data_len, 5000000);
    world_down(&world);
}

/* R1: each of these is refused in the handshake or greeting, and counted. */
static void clients_without_a_good_certificate_are_refused_and_counted(void **state)
{
    (void)state;
    static const char *const bad[] = {"stranger",      "expired",    "early",      "nameless",
                                      "two-names",     "other-role", "other-node", "deep-path",
                                      "other-cluster", "server-only"};
    for (size_t i = 0; i < VY_COUNT_OF(bad); i++) {
        struct world world;
        struct fixture_call call = {.call = NULL};
        world_init(&world, "shard-1", "ca");
        dial(&world, bad[i], "ca", 0, NULL);
        assert_true(fixture_call_start(&call, world.link, FIXTURE_ECHO, VY_LIT("x"), NULL));
        RUN_UNTIL(&world, stats(&world)->links_refused > 0 && call.is_ended);
        assert_false(rpc_link_is_up(world.link));
        assert_int_not_equal(call.code, VY_CODE_OK);
        assert_true(call.is_not_executed);
        assert_int_equal(world.fixture.executed, 0);
        assert_true(fixture_log_has(&world.log, "event=rpc.peer.refused"));
        world_down(&world);
    }
}

/* The same the other way round: we do not talk to whom we did not mean. */
static void servers_that_are_not_whom_we_want_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *cert;
        uint32_t peer_roles;
        const char *peer_node;
        const char *ca;
    } rows[] = {
        {"shard-1",  RPC_ROLE_META,  NULL,      "ca"      },
        {"shard-1",  RPC_ROLE_SHARD, "shard-2", "ca"      },
        {"shard-1",  RPC_ROLE_SHARD, "shard-1", "other-ca"},
        {"meta-1",   RPC_ROLE_SHARD, NULL,      "ca"      }, /* and its greeting says shard-1 */
        {"expired",  0,              NULL,      "ca"      },
        {"nameless", 0,              NULL,      "ca"      },
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct world world;
        struct fixture_call call = {.call = NULL};
        world_init(&world, rows[i].cert, "ca");
        dial(&world, "front-1", rows[i].ca, rows[i].peer_roles, rows[i].peer_node);
        assert_true(fixture_call_start(&call, world.link, FIXTURE_ECHO, VY_LIT("x"), NULL));
        RUN_UNTIL(&world, call.is_ended);
        assert_false(rpc_link_is_up(world.link));
        assert_true(call.is_not_executed);
        assert_int_equal(world.fixture.executed, 0);
        assert_true(fixture_log_has(&world.log, "event=rpc.link.refused"));
        world_down(&world);
    }
}

static void plain_bytes_on_a_tls_port_get_nowhere(void **state)
{
    (void)state;
    struct world world;
    struct fixture_call call = {.call = NULL};
    world_init(&world, "shard-1", "ca");
    dial(&world, NULL, NULL, 0, NULL);
    assert_true(fixture_call_start(&call, world.link, FIXTURE_ECHO, VY_LIT("x"), NULL));
    RUN_UNTIL(&world, stats(&world)->links_refused > 0 && call.is_ended);
    assert_int_equal(world.fixture.executed, 0);
    assert_true(call.is_not_executed);
    world_down(&world);
}

/* ---- clients of other makes ---- */

struct foreign {
    struct world *world;
    pthread_t thread;
    uint16_t port;
    int tls_version;
    const char *cert; /* NULL: none */
    bool offers_alpn;
    bool got_bytes;
    bool is_done;
};

static void foreign_done(void *arg)
{
    struct foreign *foreign = arg;
    foreign->is_done = true;
}

static void foreign_talk(struct foreign *foreign, SSL *ssl)
{
    char byte = 0;
    /* With TLS 1.3 the refusal may only show in the first read. */
    foreign->got_bytes = SSL_connect(ssl) == 1 && SSL_read(ssl, &byte, 1) == 1;
}

static void *foreign_run(void *arg)
{
    struct foreign *foreign = arg;
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(foreign->port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    VY_ASSERT(context != NULL);
    VY_ASSERT(SSL_CTX_set_max_proto_version(context, foreign->tls_version) == 1);
    if (foreign->cert != NULL) {
        char path[RPC_CERTS_PATH_BYTES];
        rpc_certs_path(&certs, foreign->cert, ".pem", path);
        VY_ASSERT(SSL_CTX_use_certificate_chain_file(context, path) == 1);
        rpc_certs_path(&certs, foreign->cert, ".key", path);
        VY_ASSERT(SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) == 1);
    }
    if (foreign->offers_alpn) {
        static const unsigned char alpn[] = "\x09mailrpc/1";
        VY_ASSERT(SSL_CTX_set_alpn_protos(context, alpn, sizeof(alpn) - 1) == 0);
    }
    SSL *ssl = SSL_new(context);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    VY_ASSERT(ssl != NULL && fd >= 0);
    VY_ASSERT(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
    VY_ASSERT(SSL_set_fd(ssl, fd) == 1);
    foreign_talk(foreign, ssl);
    SSL_free(ssl);
    SSL_CTX_free(context);
    (void)close(fd);
    vy_loop_post(foreign->world->loop, foreign_done, foreign);
    return NULL;
}

/* R1, E7: no certificate; TLS 1.2; another protocol. The last row is the control: it gets the
 * server's HELLO. */
static void tls_of_other_kinds_is_refused(void **state)
{
    (void)state;
    static const struct foreign rows[] = {
        {.tls_version = TLS1_3_VERSION, .cert = NULL,      .offers_alpn = true},
        {.tls_version = TLS1_2_VERSION, .cert = "front-1", .offers_alpn = true},
        {.tls_version = TLS1_3_VERSION, .cert = "front-1", .offers_alpn = true},
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct world world;
        struct foreign foreign = rows[i];
        const bool is_good = i == VY_COUNT_OF(rows) - 1;
        world_init(&world, "shard-1", "ca");
        foreign.world = &world;
        foreign.port = rpc_server_port(world.fixture.server);
        assert_int_equal(pthread_create(&foreign.thread, NULL, foreign_run, &foreign), 0);
        RUN_UNTIL(&world, foreign.is_done && (is_good || stats(&world)->links_refused > 0));
        assert_int_equal(pthread_join(foreign.thread, NULL), 0);
        assert_int_equal(foreign.got_bytes, is_good);
        world_down(&world);
    }
}

/* ---- files ---- */

static void renewed_certificates_serve_new_handshakes(void **state)
{
    (void)state;
    static const struct rpc_certs_leaf soon = {
        .name = "renewed", .ca = "ca", .san = "URI:spiffe://test/shard/shard-1", .until_s = 100};
    static const struct rpc_certs_leaf later = {
        .name = "renewed", .ca = "ca", .san = "URI:spiffe://test/shard/shard-1", .until_s = 90000};
    rpc_certs_make(&certs, &soon);
    struct rpc_tls_context *context = rpc_certs_context(&certs, "renewed", "ca");
    assert_in_range(rpc_tls_context_expires_in_s(context), 1, 100);
    rpc_certs_make(&certs, &later);
    assert_in_range(rpc_tls_context_expires_in_s(context), 1, 100);
    assert_int_equal(rpc_tls_context_reload(context).code, VY_CODE_OK);
    assert_in_range(rpc_tls_context_expires_in_s(context), 80000, 90000);
    /* A damaged file changes nothing. */
    char path[RPC_CERTS_PATH_BYTES];
    rpc_certs_path(&certs, "renewed", ".pem", path);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(rpc_tls_context_reload(context).code, VY_CODE_SYNTAX);
    assert_in_range(rpc_tls_context_expires_in_s(context), 80000, 90000);
    rpc_tls_context_free(context);
}

/* C2 */
static void files_that_do_not_fit_are_named(void **state)
{
    (void)state;
    char certificate[RPC_CERTS_PATH_BYTES];
    char key[RPC_CERTS_PATH_BYTES];
    char ca[RPC_CERTS_PATH_BYTES];
    struct rpc_tls_context *context = NULL;
    rpc_certs_path(&certs, "shard-1", ".pem", certificate);
    rpc_certs_path(&certs, "meta-1", ".key", key);
    rpc_certs_path(&certs, "ca", ".pem", ca);
    struct rpc_tls_files files = {.certificate_path = certificate, .key_path = key, .ca_path = ca};
    assert_int_equal(rpc_tls_context_new(&files, &context).code, VY_CODE_PRECONDITION);
    files.key_path = "/nonexistent";
    assert_int_equal(rpc_tls_context_new(&files, &context).code, VY_CODE_NOT_FOUND);
    assert_null(context);
}

/* C2: a certificate that would be refused by everybody is refused at the start. */
static void a_nodes_own_certificate_must_be_its_own_and_not_over(void **state)
{
    static const struct {
        const char *certificate;
        const char *cluster; /* NULL: that of the fixture */
        const char *node;
        enum vy_code code;
    } rows[] = {
        {"shard-1",       NULL,    "shard-1", VY_CODE_OK          },
        {"shard-1",       NULL,    "shard-2", VY_CODE_PRECONDITION},
        {"shard-1",       "other", "shard-1", VY_CODE_DENIED      },
        {"other-cluster", NULL,    "shard-1", VY_CODE_DENIED      },
        {"nameless",      NULL,    "shard-1", VY_CODE_DENIED      },
        {"two-names",     NULL,    "shard-1", VY_CODE_DENIED      },
        {"expired",       NULL,    "front-1", VY_CODE_PRECONDITION},
    };
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct rpc_tls_context *context = rpc_certs_context(&certs, rows[i].certificate, "ca");
        const char *cluster = rows[i].cluster == NULL ? "test" : rows[i].cluster;
        assert_int_equal(rpc_tls_context_check_own(context, cluster, rows[i].node).code,
                         rows[i].code);
        rpc_tls_context_free(context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nodes_own_certificate_must_be_its_own_and_not_over),
        cmocka_unit_test(role_and_node_come_from_the_certificate),
        cmocka_unit_test(large_bodies_pass_both_ways),
        cmocka_unit_test(clients_without_a_good_certificate_are_refused_and_counted),
        cmocka_unit_test(servers_that_are_not_whom_we_want_are_refused),
        cmocka_unit_test(plain_bytes_on_a_tls_port_get_nowhere),
        cmocka_unit_test(tls_of_other_kinds_is_refused),
        cmocka_unit_test(renewed_certificates_serve_new_handshakes),
        cmocka_unit_test(files_that_do_not_fit_are_named),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
