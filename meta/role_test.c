/* SPDX-License-Identifier: Apache-2.0 */
/* Who may administer, and the role over a real store: starting, being refused, stopping. */
#include "meta/role_private.h"

#include "base/assert.h"
#include "proto/rpc_inproc.h"
#include "tests/lib/test.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS_BYTES_MAX 65536U

struct world {
    char dir[64];
    struct role_env env;
    struct vy_log log;
    struct vy_log_sink sink;
    char lines[EVENTS_BYTES_MAX];
    size_t lines_len;
    struct vy_config *config;
    struct role *role;
    struct vy_timer *timer;
    unsigned polls;
    bool is_stopped;
    bool is_ready_when_stopped;
};

static void keep_line(void *arg, enum vy_log_level level, const char *line, size_t len)
{
    struct world *w = arg;
    (void)level;
    if (len + 1 < sizeof(w->lines) - w->lines_len) {
        memcpy(w->lines + w->lines_len, line, len);
        w->lines_len += len;
        w->lines[w->lines_len] = '\0';
    }
}

static void write_key(const struct world *w, mode_t mode)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/key", w->dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < 64; i++) {
        (void)fputc("0123456789abcdef"[i % 16], file);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void configure(struct world *w, const char *node)
{
    const struct vy_config_spec spec = {
        .keys = settings_keys, .count = settings_key_count, .role = SETTINGS_META};
    char text[1024];
    struct vy_buf report;
    vy_buf_init(&report, 4096);
    (void)snprintf(text, sizeof(text),
                   "cluster: {name: test}\nnode: {name: %s}\nmeta:\n  members:\n"
                   "    - {id: 9, node: meta-1, link: \"inproc:meta\"}\n"
                   "data: {dir: %s/data, key_file: %s/key}\n",
                   node, w->dir, w->dir);
    vy_config_free(w->config);
    w->config = NULL;
    assert_false(
        vy_failed(vy_config_parse(&spec, "test", vy_cstr(text), NULL, &report, &w->config)));
    w->env.config = w->config;
    vy_buf_deinit(&report);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/volary-role-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->sink = (struct vy_log_sink){.write = keep_line, .arg = w};
    w->log = (struct vy_log){.sink = &w->sink, .clock = vy_clock_system(), .level = VY_LOG_INFO};
    w->env = (struct role_env){
        .clock = vy_clock_system(), .rng = vy_rng_system(), .log = &w->log, .is_all_in_one = true};
    assert_false(vy_failed(vy_loop_uv_new(&w->env.loop)));
    assert_false(vy_failed(vy_metrics_new(&w->env.metrics)));
    assert_false(vy_failed(rpc_inproc_new(&w->env.inproc)));
    write_key(w, 0600);
    configure(w, "meta-1");
    *state = w;
    return 0;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    if (w->role != NULL) {
        return -1; /* the test failed in the middle */
    }
    vy_config_free(w->config);
    rpc_inproc_free(w->env.inproc);
    vy_metrics_free(w->env.metrics);
    vy_loop_uv_free(w->env.loop);
    assert_int_equal(nftw(w->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(w);
    return 0;
}

/* ---- who may administer ---- */

static void only_operators_and_admin_certificates_administer(void **state)
{
    struct world *w = *state;
    static const struct {
        struct grpc_peer peer;
        bool has_tls;
        bool loopback_operates;
        enum vy_code code;
        const char *name;
    } rows[] = {
        {{.is_local = true},                                                     true,  false, VY_CODE_OK,     "local"   },
        {{.is_authenticated = true, .uri = VY_LIT("spiffe://test/admin/ada")},
         true,                                                                          false,
         VY_CODE_OK,                                                                                           "ada"     },
        {{.is_authenticated = true, .uri = VY_LIT("spiffe://test/admin/ada/x")},
         true,                                                                          false,
         VY_CODE_DENIED,                                                                                       NULL      },
        {{.is_authenticated = true, .uri = VY_LIT("spiffe://test/admin/")},
         true,                                                                          false,
         VY_CODE_DENIED,                                                                                       NULL      },
        {{.is_authenticated = true, .uri = VY_LIT("spiffe://test/shard/ada")},
         true,                                                                          false,
         VY_CODE_DENIED,                                                                                       NULL      },
        {{.is_authenticated = true, .uri = VY_LIT("spiffe://other/admin/ada")},
         true,                                                                          false,
         VY_CODE_DENIED,                                                                                       NULL      },
        {{.is_authenticated = true, .uri = VY_LIT("spiffe://testx/admin/ada")},
         true,                                                                          false,
         VY_CODE_DENIED,                                                                                       NULL      },
        {{.is_authenticated = true, .uri = VY_LIT("admin/ada")},                 true,  false, VY_CODE_DENIED, NULL      },
        {{.is_authenticated = true, .uri = VY_LIT("")},                          true,  false, VY_CODE_DENIED, NULL      },
        {{.is_authenticated = false},                                            false, false, VY_CODE_AUTH,   NULL      },
        {{.is_authenticated = false},                                            true,  true,  VY_CODE_AUTH,   NULL      },
        {{.is_authenticated = false},                                            false, true,  VY_CODE_OK,     "loopback"},
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct meta_actor actor;
        const struct meta_admin_face face = {
            .env = &w->env,
            .loopback_operates = rows[i].loopback_operates,
            .tls = rows[i].has_tls ? (struct vy_tls_context *)(void *)w : NULL}; /* not used */
        const struct vy_err err = meta_admin_face_identify(&face, &rows[i].peer, &actor);
        assert_int_equal(err.code, rows[i].code);
        if (rows[i].name != NULL) {
            assert_true(vy_bytes_equal(actor.name, vy_cstr(rows[i].name)));
        }
    }
}

/* ---- life ---- */

static void end_loop(void *arg)
{
    vy_loop_uv_stop(arg);
}

/* As the program does: the role is freed here; what it closed ends in later turns. */
static void on_stopped(void *arg)
{
    struct world *w = arg;
    struct vy_buf lines;
    vy_buf_init(&lines, 4096);
    w->is_ready_when_stopped = meta_role.write_readiness(w->role, &lines);
    vy_buf_deinit(&lines);
    w->is_stopped = true;
    meta_role.free(w->role);
    w->role = NULL;
    vy_loop_post(w->env.loop, end_loop, w->env.loop);
}

static void poll_ready(void *arg)
{
    struct world *w = arg;
    struct vy_buf lines;
    vy_buf_init(&lines, 4096);
    w->polls++;
    if (meta_role.write_readiness(w->role, &lines)) {
        meta_role.stop(w->role, 1000, on_stopped, w);
    } else {
        vy_timer_start(w->timer, 5);
    }
    vy_buf_deinit(&lines);
}

static void run_to_readiness_and_stop(struct world *w)
{
    w->is_stopped = false;
    assert_false(vy_failed(meta_role.start(&w->env, &w->role)));
    w->timer = vy_timer_new(w->env.loop, poll_ready, w);
    vy_timer_start(w->timer, 0);
    vy_loop_uv_run(w->env.loop);
    assert_true(w->is_stopped);
    assert_false(w->is_ready_when_stopped); /* it takes no new work */
    vy_timer_free(w->timer);
}

static void a_lone_member_forms_its_cluster_once(void **state)
{
    struct world *w = *state;
    run_to_readiness_and_stop(w);
    assert_non_null(strstr(w->lines, "meta.bootstrap.done"));
    vy_metrics_free(w->env.metrics); /* a process has one registry and one loop for its life */
    vy_loop_uv_free(w->env.loop);
    assert_false(vy_failed(vy_metrics_new(&w->env.metrics)));
    assert_false(vy_failed(vy_loop_uv_new(&w->env.loop)));
    w->lines_len = 0;
    w->lines[0] = '\0';
    run_to_readiness_and_stop(w);
    assert_null(strstr(w->lines, "meta.bootstrap.done"));
    assert_null(strstr(w->lines, "level=error"));
}

static void assert_refused(struct world *w, enum vy_code code, const char *line)
{
    assert_int_equal(meta_role.start(&w->env, &w->role).code, code);
    assert_null(w->role);
    assert_non_null(strstr(w->lines, line));
}

/* C2, C4 */
static void a_key_that_others_can_read_is_refused(void **state)
{
    struct world *w = *state;
    write_key(w, 0640);
    assert_refused(w, VY_CODE_DENIED, "data.key.refused");
}

static void a_node_that_is_no_member_is_refused(void **state)
{
    struct world *w = *state;
    configure(w, "meta-2");
    assert_refused(w, VY_CODE_ARGUMENT, "node.name is none of meta.members");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(only_operators_and_admin_certificates_administer),
        TEST(a_lone_member_forms_its_cluster_once),
        TEST(a_key_that_others_can_read_is_refused),
        TEST(a_node_that_is_no_member_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
