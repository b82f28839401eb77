/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For rpc_process_test: the fixture's server as a process of its own.
 *
 *   rpc_peer ADDRESS [CERTIFICATES]
 *
 * Writes its port and a line end to standard output once it listens, and ends with standard input.
 * CERTIFICATES: a folder with shard-1.pem, shard-1.key and ca.pem.
 */
#include "base/assert.h"
#include "base/rng.h"
#include "proto/rpc_certs.h"
#include "proto/rpc_fixture.h"
#include <stdio.h>
#include <unistd.h>

static struct vy_loop *loop;
static struct vy_watch *input;

static void on_input(void *arg, int events)
{
    char ignored[64];
    (void)arg;
    (void)events;
    if (read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0) {
        vy_watch_set(input, 0);
        vy_loop_uv_stop(loop);
    }
}

int main(int argc, char **argv)
{
    static struct fixture_server fixture;
    static struct fixture_log log;
    struct rpc_tls_context *tls = NULL;
    VY_ASSERT(argc == 2 || argc == 3);
    if (argc == 3) {
        struct rpc_certs certs;
        (void)snprintf(certs.folder, sizeof(certs.folder), "%s", argv[2]);
        tls = rpc_certs_context(&certs, "shard-1", "ca");
    }
    VY_ASSERT(!vy_failed(vy_loop_uv_new(&loop)));
    fixture_log_init(&log, vy_clock_system());
    const struct rpc_config config = {.loop = loop,
                                      .rng = vy_rng_system(),
                                      .log = &log.log,
                                      .cluster = "test",
                                      .node = "shard-1",
                                      .role = RPC_ROLE_SHARD,
                                      .tls = tls};
    fixture_server_init(&fixture, &config);
    VY_ASSERT(!vy_failed(rpc_server_listen(fixture.server, argv[1])));
    (void)printf("%u\n", (unsigned)rpc_server_port(fixture.server));
    (void)fflush(stdout);
    input = vy_watch_new(loop, STDIN_FILENO, on_input, NULL);
    VY_ASSERT(input != NULL);
    vy_watch_set(input, VY_WATCH_READ);
    vy_loop_uv_run(loop);
    vy_watch_free(input);
    rpc_server_free(fixture.server);
    fixture_server_release(&fixture);
    vy_loop_uv_free(loop);
    rpc_tls_context_free(tls);
    return 0;
}
