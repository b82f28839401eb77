/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include "base/assert.h"
#include "tests/lib/fault.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROLE_META = 1, ROLE_SHARD = 2 };

/* clang-format off */
static const struct vy_config_key keys[] = {
    {.name = "data_dir", .type = VY_CONFIG_PATH, .doc = "Where data is."},
    {.name = "cluster.members", .type = VY_CONFIG_RECORDS, .fields = "id address role?", .max = 3},
    {.name = "cluster.key", .type = VY_CONFIG_STRING, .is_secret = true},
    {.name = "raft.election_timeout_ms", .type = VY_CONFIG_DURATION, .bare_unit = 1, .default_text = "1000",
     .min = 10, .max = 60000, .is_reloadable = true, .doc = "How long a follower waits."},
    {.name = "raft.tick", .type = VY_CONFIG_DURATION, .default_text = "100ms"},
    {.name = "delete.retention_s", .type = VY_CONFIG_DURATION, .bare_unit = 1000},
    {.name = "cache.size", .type = VY_CONFIG_SIZE, .bare_unit = 1, .default_text = "64MiB"},
    {.name = "log.level", .type = VY_CONFIG_STRING, .choices = "error|warn|info|debug", .default_text = "info"},
    {.name = "tls.required", .type = VY_CONFIG_BOOL, .default_text = "false"},
    {.name = "limits.connections", .type = VY_CONFIG_U64, .min = 1, .max = 1000, .default_text = "100"},
    {.name = "lmtp.networks", .type = VY_CONFIG_LIST, .default_text = "127.0.0.0/8,::1/128", .max = 4},
    {.name = "meta.only", .type = VY_CONFIG_U64, .is_required = true, .roles = ROLE_META},
};
/* clang-format on */
static const struct vy_config_spec spec = {
    .keys = keys, .count = VY_COUNT_OF(keys), .role = ROLE_SHARD};

static char report_text[16384];

/* The config, or NULL with the report in report_text. */
static struct vy_config *parse(struct vy_bytes text, const char *const *environment)
{
    struct vy_buf report;
    struct vy_config *config = NULL;
    vy_buf_init(&report, sizeof(report_text) - 1);
    const struct vy_err err = vy_config_parse(&spec, "v.yaml", text, environment, &report, &config);
    (void)snprintf(report_text, sizeof(report_text), "%.*s", VY_PRI(vy_buf_bytes(&report)));
    assert_int_equal(vy_failed(err), config == NULL);
    assert_int_equal(vy_failed(err), vy_buf_len(&report) > 0);
    vy_buf_deinit(&report);
    return config;
}

static struct vy_config *parse_ok(const char *text)
{
    struct vy_config *config = parse(vy_cstr(text), NULL);
    if (config == NULL) {
        fail_msg("%s", report_text);
    }
    return config;
}

static void expect_fault(struct vy_bytes text, const char *const *environment, const char *wanted)
{
    struct vy_config *config = parse(text, environment);
    if (config != NULL || strstr(report_text, wanted) == NULL) {
        fail_msg("wanted: %s\nreport: %s", wanted, config == NULL ? report_text : "(none)");
    }
}

static void every_type_is_read(void **state)
{
    (void)state;
    struct vy_config *config =
        parse_ok("data_dir: /srv/volary\n"
                 "raft: {election_timeout_ms: 5s, tick: 20ms}\n"
                 "delete:\n  retention_s: 90\n"
                 "cache.size: 2GiB\n"
                 "log:\n  level: \"debug\"\n"
                 "tls: {required: true}\n"
                 "limits: {connections: 7}\n"
                 "lmtp:\n  networks: [10.0.0.0/8, \"::1/128\"]\n"
                 "cluster:\n  members:\n"
                 "    - {id: a, address: \"127.0.0.1:1\"}\n"
                 "    - id: b\n      address: 127.0.0.2:1\n      role: meta\n");
    size_t count = 0;
    assert_string_equal(vy_config_text(config, "data_dir"), "/srv/volary");
    assert_int_equal(vy_config_ms(config, "raft.election_timeout_ms"), 5000);
    assert_int_equal(vy_config_ms(config, "raft.tick"), 20);
    assert_int_equal(vy_config_ms(config, "delete.retention_s"), 90000);
    assert_int_equal(vy_config_size(config, "cache.size"), 2ULL << 30);
    assert_string_equal(vy_config_text(config, "log.level"), "debug");
    assert_true(vy_config_bool(config, "tls.required"));
    assert_int_equal(vy_config_u64(config, "limits.connections"), 7);
    const char *const *list = vy_config_list(config, "lmtp.networks", &count);
    assert_int_equal(count, 2);
    assert_string_equal(list[1], "::1/128");
    assert_int_equal(vy_config_record_count(config, "cluster.members"), 2);
    assert_string_equal(vy_config_record_field(config, "cluster.members", 1, "role"), "meta");
    assert_null(vy_config_record_field(config, "cluster.members", 0, "role"));
    vy_config_free(config);
}

static void absent_keys_have_their_defaults(void **state)
{
    (void)state;
    size_t count = 0;
    struct vy_config *config = parse_ok("raft:\ncluster: ~\n");
    assert_int_equal(vy_config_ms(config, "raft.election_timeout_ms"), 1000);
    assert_int_equal(vy_config_size(config, "cache.size"), 64U << 20);
    assert_null(vy_config_text(config, "data_dir"));
    assert_false(vy_config_is_set(config, "data_dir"));
    (void)vy_config_list(config, "lmtp.networks", &count);
    assert_int_equal(count, 2);
    assert_null(vy_config_secret(config, "cluster.key"));
    vy_config_free(config);
}

/* C1, row by row: each names the file, the line and the key. */
static void faults_name_file_line_and_key(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *wanted;
    } rows[] = {
        {"\nraft:\n  election_timout_ms: 5\n",
         "v.yaml:3: raft.election_timout_ms: unknown key; did you mean raft.election_timeout_ms?"                                             },
        {"rafft: {tick: 1s}\n",                                             "v.yaml:1: rafft: unknown key; did you mean raft?"                },
        {"limits: {level: info}\n",                                         "limits.level: unknown key; did you mean log.level?"              },
        {"xyzzy_plugh_foo: 1\n",                                            "v.yaml:1: xyzzy_plugh_foo: unknown key\n"                        },
        {"log: {level: info}\ntls: {required: true}\nlog: {level: warn}\n",
         "v.yaml:3: log: is a section that stands there twice"                                                                                },
        {"raft:\n  tick: 1s\n  tick: 2s\n",                                 "v.yaml:3: raft.tick: is set twice, first in line 2"              },
        {"raft: {tick: 1s}\nraft.tick: 2s\n",                               "v.yaml:2: raft.tick: is set twice, first in line 1"              },
        {"raft: {tick: 10}\n",
         "raft.tick: needs a unit: write a whole number with one of ms s m h d"                                                               },
        {"raft: {tick: 10 KiB}\n",                                          "raft.tick: unknown unit"                                         },
        {"cache.size: 10MB\n",                                              "cache.size: unknown unit: write a whole number with one of B KiB"},
        {"limits: {connections: 5s}\n",                                     "limits.connections: is a whole number without unit"              },
        {"limits: {connections: -5}\n",                                     "v.yaml:1: limits.connections: must not be negative"              },
        {"limits: {connections: 1.5}\n",                                    "without unit"                                                    },
        {"limits: {connections: many}\n",                                   "is not a whole number"                                           },
        {"limits: {connections: 18446744073709551616}\n",
         "limits.connections: is too large a number"                                                                                          },
        {"cache.size: 16777216TiB\n",                                       "cache.size: is too large a number"                               },
        {"limits: {connections: 0}\n",                                      "must be at least 1"                                              },
        {"limits: {connections: 1001}\n",                                   "must be at most 1000"                                            },
        {"raft: {election_timeout_ms: 9}\n",                                "must be at least 10 ms"                                          },
        {"raft: {election_timeout_ms: 61s}\n",                              "must be at most 60000 ms"                                        },
        {"log: {level: loud}\n",                                            "v.yaml:1: log.level: must be one of error|warn|info|debug"       },
        {"tls: {required: yes}\n",                                          "tls.required: must be true or false"                             },
        {"tls: {required: }\n",                                             "tls.required: has no value"                                      },
        {"data_dir: \"\"\n",                                                "data_dir: must not be empty"                                     },
        {"data_dir: \"a\\0b\"\n",                                           "data_dir: has a control character"                               },
        {"raft: 5\n",                                                       "raft: is a section: its keys go below it"                        },
        {"log: {level: [info]}\n",                                          "log.level: takes one value, not a list"                          },
        {"log: {level: {a: b}}\n",                                          "log.level: takes a value, not a mapping"                         },
        {"lmtp: {networks: 10.0.0.0/8}\n",                                  "lmtp.networks: takes a list: write [a, b]"                       },
        {"lmtp: {networks: [[a]]}\n",                                       "lmtp.networks: is a list of plain values"                        },
        {"lmtp: {networks: [a, b, c, d, e]}\n",                             "lmtp.networks: must be at most 4 items"                          },
        {"cluster: {members: [a]}\n",                                       "cluster.members: is a list of mappings"                          },
        {"cluster: {members: [{id: a}]}\n",                                 "cluster.members: an entry lacks the field address"               },
        {"cluster: {members: [{id: a, address: b, port: c}]}\n",
         "cluster.members: unknown field port; there are: id address role?"                                                                   },
        {"cluster: {members: [{id: a, id: b, address: b}]}\n",              "has the field id twice"                                          },
        {"cluster: {members: [{id: [], address: b}]}\n",                    "has entries of plain values only"                                },
        {"cluster: {members: [{[a]: b}]}\n",                                "has entries of plain values only"                                },
        {"? [a, b]\n: c\n",                                                 "v.yaml:1: a key must be a plain word"                            },
        {"",                                                                "v.yaml:1: the file is empty"                                     },
        {"# nothing\n\n",                                                   "v.yaml:1: the file is empty"                                     },
        {"---\n...\n",                                                      "the file is empty"                                               },
        {"just words\n",                                                    "v.yaml:1: the file must be a mapping of keys"                    },
        {"- a\n",                                                           "the file must be a mapping of keys"                              },
        {"tls: {required: true}\n---\ntls: {required: true}\n",
         "v.yaml:2: a second document begins here"                                                                                            },
        {"raft:\n\ttick: 1s\n",                                             "v.yaml:2: "                                                      },
        {"raft: {tick: 1s\n",                                               "not YAML"                                                        },
        {"\xEF\xBB\xBFlog: {level: loud}\n",                                "v.yaml:1: log.level"                                             },
        {"\xFF\xFEl",                                                       "v.yaml:1: the file is UTF-16: save it as UTF-8"                  },
        {"log:\n  level: \"\xC3\x28\"\n",                                   "v.yaml:2: not YAML"                                              },
        {"a: &a [x]\nb: *a\n",                                              "v.yaml:1: a: anchors, aliases and tags are not accepted"         },
        {"log: {level: !!binary aW5mbw==}\n",                               "anchors, aliases and tags are not accepted"                      },
        {"\"a\x1b[31m\": 1\n",                                              "not YAML"                                                        },
        {"\"a\\e[31m\": 1\n",                                               "v.yaml:1: a?[31m: unknown key"                                   },
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        expect_fault(vy_cstr(rows[i].text), NULL, rows[i].wanted);
    }
}

static void a_utf8_mark_at_the_start_is_accepted(void **state)
{
    (void)state;
    vy_config_free(parse_ok("\xEF\xBB\xBFlog: {level: warn}\n"));
}

static void many_faults_are_cut_off(void **state)
{
    (void)state;
    char text[4096];
    size_t len = 0;
    for (unsigned i = 0; i < 100; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "no_such_key_%u: 1\n", i);
    }
    expect_fault(vy_bytes(text, len), NULL, "further faults are not shown");
    assert_null(strstr(report_text, "v.yaml:21:"));
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    char text[60000];
    memset(text, '[', sizeof(text));
    memcpy(text, "log: ", 5);
    expect_fault(vy_bytes(text, sizeof(text)), NULL, "v.yaml:1: ");
}

static void a_file_of_one_mebibyte_is_read_and_one_more_byte_is_not(void **state)
{
    (void)state;
    const size_t size = VY_CONFIG_FILE_BYTES_MAX + 1;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, '\n', size);
    memcpy(text, "log: {level: warn}", 18);
    struct vy_config *config = parse(vy_bytes(text, size - 1), NULL);
    assert_non_null(config);
    vy_config_free(config);
    expect_fault(vy_bytes(text, size), NULL, "v.yaml: the file is larger than 1 MiB");
    free(text);
}

static void the_environment_overrides_the_file(void **state)
{
    (void)state;
    const char *environment[] = {"PATH=/bin",
                                 "VOLARY_RAFT__ELECTION_TIMEOUT_MS=700",
                                 "VOLARY_LMTP__NETWORKS=10.0.0.0/8, 10.1.0.0/16",
                                 "VOLARY_DATA_DIR=/a=b",
                                 "VOLARY_META_SERVICE_HOST=10.0.0.1",
                                 "VOLARY_CLUSTER__KEY=s3cret",
                                 NULL};
    size_t count = 0;
    struct vy_config *config =
        parse(VY_LIT("raft: {election_timeout_ms: 5s}\ntls: {required: true}\n"), environment);
    assert_non_null(config);
    assert_int_equal(vy_config_ms(config, "raft.election_timeout_ms"), 700);
    assert_true(vy_config_bool(config, "tls.required"));
    assert_string_equal(vy_config_text(config, "data_dir"), "/a=b");
    const char *const *list = vy_config_list(config, "lmtp.networks", &count);
    assert_int_equal(count, 2);
    assert_string_equal(list[1], "10.1.0.0/16");
    assert_true(
        vy_bytes_equal(vy_secret_bytes(vy_config_secret(config, "cluster.key")), VY_LIT("s3cret")));
    vy_config_free(config);
}

static void faults_in_the_environment_are_named(void **state)
{
    (void)state;
    const char *unknown[] = {"VOLARY_RAFT__ELECTION_TIMEOUT=1", NULL};
    expect_fault(VY_LIT("tls: {required: true}"), unknown,
                 "environment: raft.election_timeout: unknown key; did you mean "
                 "raft.election_timeout_ms?");
    const char *bad[] = {"VOLARY_LIMITS__CONNECTIONS=-1", NULL};
    expect_fault(VY_LIT("tls: {required: true}"), bad,
                 "environment: limits.connections: must not be negative");
    const char *twice[] = {"VOLARY_LIMITS__CONNECTIONS=1", "VOLARY_LIMITS__CONNECTIONS=2", NULL};
    expect_fault(VY_LIT("tls: {required: true}"), twice, "limits.connections: is set twice");
    const char *records[] = {"VOLARY_CLUSTER__MEMBERS=a", NULL};
    expect_fault(VY_LIT("tls: {required: true}"), records, "takes a list of mappings");
}

static void required_keys_are_asked_of_their_role_only(void **state)
{
    (void)state;
    struct vy_buf report;
    struct vy_config *config = NULL;
    struct vy_config_spec meta = spec;
    meta.role = ROLE_META;
    vy_buf_init(&report, 4096);
    assert_int_equal(vy_config_load(&meta, NULL, NULL, &report, &config).code, VY_CODE_ARGUMENT);
    assert_true(
        vy_bytes_equal(vy_buf_bytes(&report), VY_LIT("configuration: meta.only: must be set\n")));
    vy_buf_reset(&report);
    assert_false(vy_failed(vy_config_load(&spec, NULL, NULL, &report, &config)));
    vy_config_free(config);
    vy_buf_deinit(&report);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static struct vy_err load_file(const char *path, const char *const *environment,
                               struct vy_config **out)
{
    struct vy_buf report;
    vy_buf_init(&report, sizeof(report_text) - 1);
    const struct vy_err err = vy_config_load(&spec, path, environment, &report, out);
    (void)snprintf(report_text, sizeof(report_text), "%.*s", VY_PRI(vy_buf_bytes(&report)));
    vy_buf_deinit(&report);
    return err;
}

/* C2. */
static void a_secret_wants_a_file_that_is_closed_to_others(void **state)
{
    (void)state;
    char directory[] = "/tmp/volary-config-XXXXXX";
    char path[64];
    char variable[128];
    struct vy_config *config = NULL;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/v.yaml", directory);
    (void)snprintf(variable, sizeof(variable), "VOLARY_CLUSTER__KEY_FILE=%s", path);
    const char *environment[] = {variable, NULL};

    write_file(path, "cluster: {key: abc}\n", 0640);
    assert_int_equal(load_file(path, NULL, &config).code, VY_CODE_ARGUMENT);
    assert_non_null(strstr(report_text, ":1: cluster.key: is a secret in a file that others"));
    write_file(path, "cluster: {key: abc}\n", 0600);
    assert_false(vy_failed(load_file(path, NULL, &config)));
    vy_config_free(config);

    write_file(path, "from the file\n", 0600);
    assert_false(vy_failed(load_file(NULL, environment, &config)));
    assert_true(vy_bytes_equal(vy_secret_bytes(vy_config_secret(config, "cluster.key")),
                               VY_LIT("from the file")));
    vy_config_free(config);
    write_file(path, "from the file\n", 0604);
    assert_true(vy_failed(load_file(NULL, environment, &config)));
    assert_non_null(strstr(report_text, "environment: cluster.key: cannot read"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void files_that_are_none_are_refused(void **state)
{
    (void)state;
    struct vy_config *config = NULL;
    assert_int_equal(load_file("/nonexistent.yaml", NULL, &config).code, VY_CODE_ARGUMENT);
    assert_string_equal(report_text, "/nonexistent.yaml: No such file or directory\n");
    assert_int_equal(load_file("/tmp", NULL, &config).code, VY_CODE_ARGUMENT);
    assert_string_equal(report_text, "/tmp: is not a file\n");
}

static void a_change_tells_whether_it_needs_a_restart(void **state)
{
    (void)state;
    struct vy_buf names;
    struct vy_config *before = parse_ok("raft: {election_timeout_ms: 100}\ncache.size: 1MiB\n");
    struct vy_config *same = parse_ok("cache.size: 1024KiB\nraft: {election_timeout_ms: 100ms}\n");
    struct vy_config *reload = parse_ok("raft: {election_timeout_ms: 200}\ncache.size: 1MiB\n");
    struct vy_config *restart = parse_ok("cache.size: 2MiB\nlmtp: {networks: [a]}\n");
    vy_buf_init(&names, 4096);
    assert_int_equal(vy_config_hash(before), vy_config_hash(same));
    assert_int_not_equal(vy_config_hash(before), vy_config_hash(reload));
    assert_false(vy_config_needs_restart(before, same, &names));
    assert_false(vy_config_needs_restart(before, reload, &names));
    assert_true(vy_config_needs_restart(before, restart, &names));
    assert_true(vy_bytes_equal(vy_buf_bytes(&names), VY_LIT("cache.size\nlmtp.networks\n")));
    vy_buf_deinit(&names);
    vy_config_free(before);
    vy_config_free(same);
    vy_config_free(reload);
    vy_config_free(restart);
}

static void the_reference_has_every_key(void **state)
{
    (void)state;
    struct vy_buf out;
    vy_buf_init(&out, 65536);
    vy_config_write_reference(&spec, &out);
    for (size_t i = 0; i < VY_COUNT_OF(keys); i++) {
        assert_true(vy_bytes_find(vy_buf_bytes(&out), vy_cstr(keys[i].name), 0) != SIZE_MAX);
    }
    const struct vy_bytes row = VY_LIT("| `raft.election_timeout_ms` | duration | `1000` | 10 to "
                                       "60000 ms | reload | How long a follower waits. |\n");
    assert_true(vy_bytes_find(vy_buf_bytes(&out), row, 0) != SIZE_MAX);
    vy_buf_deinit(&out);
}

static void lack_of_memory_is_an_error_at_every_step(void **state)
{
    (void)state;
    uint64_t n = 1;
    for (; fault_begin(n); n++) {
        struct vy_buf report;
        struct vy_config *config = NULL;
        vy_buf_init(&report, 4096);
        const struct vy_err err =
            vy_config_parse(&spec, "v.yaml", VY_LIT("data_dir: /a\n"), NULL, &report, &config);
        const bool has_fired = fault_end();
        assert_int_equal(vy_failed(err), has_fired);
        vy_config_free(config);
        vy_buf_deinit(&report);
        if (!has_fired) {
            break;
        }
    }
    assert_true(n > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(absent_keys_have_their_defaults),
        cmocka_unit_test(faults_name_file_line_and_key),
        cmocka_unit_test(a_utf8_mark_at_the_start_is_accepted),
        cmocka_unit_test(many_faults_are_cut_off),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_file_of_one_mebibyte_is_read_and_one_more_byte_is_not),
        cmocka_unit_test(the_environment_overrides_the_file),
        cmocka_unit_test(faults_in_the_environment_are_named),
        cmocka_unit_test(required_keys_are_asked_of_their_role_only),
        cmocka_unit_test(a_secret_wants_a_file_that_is_closed_to_others),
        cmocka_unit_test(files_that_are_none_are_refused),
        cmocka_unit_test(a_change_tells_whether_it_needs_a_restart),
        cmocka_unit_test(the_reference_has_every_key),
        cmocka_unit_test(lack_of_memory_is_an_error_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
