/* SPDX-License-Identifier: Apache-2.0 */
/* C3: a reload with an invalid file keeps the old configuration and says so. */
#include "proto/program_reload.h"

#include "base/clock.h"

#include "proto/settings.h"
#include "tests/lib/test.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char yaml[] =
    "node: {name: f1}\n"
    "meta:\n  members:\n    - {id: 1, node: m1, link: \"tcp://127.0.0.1:1\"}\n"
    "log: {level: info}\n"
    "limits: {connections: 100}\n";

struct world {
    char path[64];
    char lines[4096];
    struct vy_log_sink sink;
    struct vy_log log;
    struct vy_config *config;
};

static void keep_line(void *arg, enum vy_log_level level, const char *line, size_t len)
{
    struct world *w = arg;
    (void)level;
    const size_t used = strlen(w->lines);
    assert_true(used + len + 2 < sizeof(w->lines));
    memcpy(w->lines + used, line, len);
    memcpy(w->lines + used + len, "\n", 2);
}

static void write_file(const struct world *w, const char *text)
{
    const int fd = open(w->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    (void)snprintf(w->path, sizeof(w->path), "/tmp/volary-reload-XXXXXX");
    const int fd = mkstemp(w->path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    write_file(w, yaml);
    w->sink = (struct vy_log_sink){.write = keep_line, .arg = w};
    w->log = (struct vy_log){.sink = &w->sink, .clock = vy_clock_system(), .level = VY_LOG_INFO};
    const struct vy_config_spec spec = {settings_keys, settings_key_count, SETTINGS_FRONTEND};
    struct vy_buf report;
    vy_buf_init(&report, 65536);
    assert_int_equal(vy_config_load(&spec, w->path, NULL, &report, &w->config).code, VY_CODE_OK);
    vy_buf_deinit(&report);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    vy_config_free(w->config);
    (void)unlink(w->path);
    free(w);
    return 0;
}

static bool reload(struct world *w)
{
    const struct program_reload again = {
        .settings = SETTINGS_FRONTEND, .path = w->path, .config = w->config};
    return program_reload(&again, &w->log);
}

static void a_file_with_faults_changes_nothing_and_is_named_C3(void **state)
{
    struct world *w = *state;
    write_file(w, "node: {name: f1}\nlog: {level: debug}\nlimits: {conections: 5}\n");
    assert_false(reload(w));
    assert_int_equal(w->log.level, VY_LOG_INFO);
    assert_non_null(strstr(w->lines, "program.reload.refused"));
    assert_non_null(strstr(w->lines, "limits.conections"));
    assert_non_null(strstr(w->lines, w->path));
}

static void a_file_that_is_gone_changes_nothing_C3(void **state)
{
    struct world *w = *state;
    assert_int_equal(unlink(w->path), 0);
    assert_false(reload(w));
    assert_int_equal(w->log.level, VY_LOG_INFO);
    assert_non_null(strstr(w->lines, "program.reload.refused"));
}

static void the_log_level_changes_at_once_and_other_keys_are_named(void **state)
{
    struct world *w = *state;
    write_file(w, "node: {name: f1}\n"
                  "meta:\n  members:\n    - {id: 1, node: m1, link: \"tcp://127.0.0.1:1\"}\n"
                  "log: {level: debug}\n"
                  "limits: {connections: 200}\n");
    assert_true(reload(w));
    assert_int_equal(w->log.level, VY_LOG_DEBUG);
    assert_non_null(strstr(w->lines, "program.reload.ok"));
    assert_non_null(strstr(w->lines, "program.reload.waiting"));
    assert_non_null(strstr(w->lines, "limits.connections"));
}

static void without_a_file_there_is_nothing_to_read_again(void **state)
{
    struct world *w = *state;
    const struct program_reload again = {.settings = SETTINGS_FRONTEND, .config = w->config};
    assert_false(program_reload(&again, &w->log));
    assert_non_null(strstr(w->lines, "no configuration file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_with_faults_changes_nothing_and_is_named_C3, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_gone_changes_nothing_C3, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_log_level_changes_at_once_and_other_keys_are_named,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_file_there_is_nothing_to_read_again, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
