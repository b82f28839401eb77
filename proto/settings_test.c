/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/settings.h"
#include "tests/lib/test.h"
#include <stdlib.h>

static struct vy_err parse(unsigned role, const char *text, struct vy_buf *report,
                           struct vy_config **out)
{
    const struct vy_config_spec spec = {settings_keys, settings_key_count, role};
    vy_buf_init(report, 65536);
    return vy_config_parse(&spec, "test.yaml", vy_cstr(text), NULL, report, out);
}

static const char meta_yaml[] =
    "node: {name: m1}\n"
    "meta:\n  members:\n"
    "    - {id: 7, node: m1, link: \"tcp://127.0.0.1:1\", raft: \"tcp://127.0.0.1:2\"}\n"
    "    - {id: 9, node: m2, link: \"tcp://127.0.0.2:1\", raft: \"tcp://127.0.0.2:2\"}\n"
    "data: {dir: /d, key_file: /k}\n";

static void a_file_of_a_meta_node_is_read(void **state)
{
    (void)state;
    struct vy_buf report;
    struct vy_config *config = NULL;
    assert_int_equal(parse(SETTINGS_META, meta_yaml, &report, &config).code, VY_CODE_OK);
    struct settings_member members[SETTINGS_MEMBERS_MAX];
    size_t count = 0;
    assert_int_equal(settings_members(config, "meta.members", members, &count, &report).code,
                     VY_CODE_OK);
    assert_int_equal(count, 2);
    assert_int_equal(members[1].id, 9);
    assert_string_equal(members[1].node, "m2");
    assert_string_equal(members[0].raft, "tcp://127.0.0.1:2");
    assert_int_equal(vy_config_ms(config, "delete.retention_s"), 30ULL * 24 * 3600 * 1000);
    assert_string_equal(vy_config_text(config, "log.level"), "info");
    vy_config_free(config);
    vy_buf_deinit(&report);
}

/* C1 */
static void a_shard_without_its_group_is_refused_by_name(void **state)
{
    (void)state;
    struct vy_buf report;
    struct vy_config *config = NULL;
    assert_int_equal(parse(SETTINGS_SHARD, meta_yaml, &report, &config).code, VY_CODE_ARGUMENT);
    assert_true(vy_bytes_find(vy_buf_bytes(&report), VY_LIT("group.id"), 0) != SIZE_MAX);
    vy_buf_deinit(&report);
}

static void a_member_id_that_is_no_number_is_refused(void **state)
{
    (void)state;
    struct vy_buf report;
    struct vy_config *config = NULL;
    struct settings_member members[SETTINGS_MEMBERS_MAX];
    size_t count = 0;
    const char text[] = "node: {name: m1}\nmeta:\n  members:\n    - {id: seven, node: m1, link: "
                        "\"tcp://127.0.0.1:1\"}\n"
                        "data: {dir: /d, key_file: /k}\n";
    assert_int_equal(parse(SETTINGS_META, text, &report, &config).code, VY_CODE_OK);
    assert_int_equal(settings_members(config, "meta.members", members, &count, &report).code,
                     VY_CODE_ARGUMENT);
    assert_true(vy_bytes_find(vy_buf_bytes(&report), VY_LIT("seven"), 0) != SIZE_MAX);
    vy_config_free(config);
    vy_buf_deinit(&report);
}

static void networks_are_read_and_bad_ones_named(void **state)
{
    (void)state;
    struct vy_buf report;
    struct vy_config *config = NULL;
    struct vy_net nets[2];
    size_t count = 0;
    const char text[] = "node: {name: f1}\nmeta:\n  members:\n    - {id: 1, node: m1, link: "
                        "\"tcp://127.0.0.1:1\"}\n"
                        "auth: {plaintext_networks: [\"127.0.0.0/8\", \"::1\"]}\nlmtp: {networks: "
                        "[\"10.0.0.1/8\"]}\n";
    assert_int_equal(parse(SETTINGS_FRONTEND, text, &report, &config).code, VY_CODE_OK);
    assert_int_equal(
        settings_networks(config, "auth.plaintext_networks", nets, 2, &count, &report).code,
        VY_CODE_OK);
    assert_int_equal(count, 2);
    assert_int_equal(
        settings_networks(config, "auth.plaintext_networks", nets, 1, &count, &report).code,
        VY_CODE_LIMIT);
    assert_int_equal(settings_networks(config, "lmtp.networks", nets, 2, &count, &report).code,
                     VY_CODE_ARGUMENT);
    assert_true(vy_bytes_find(vy_buf_bytes(&report), VY_LIT("10.0.0.1/8"), 0) != SIZE_MAX);
    vy_config_free(config);
    vy_buf_deinit(&report);
}

/* Every default in the table passes the table's own checks: a config of nothing but what is
 * required loads. */
static void every_default_is_valid_and_documented(void **state)
{
    (void)state;
    for (size_t i = 0; i < settings_key_count; i++) {
        assert_non_null(settings_keys[i].doc);
        assert_true(settings_keys[i].roles != 0);
    }
    struct vy_buf report;
    struct vy_config *config = NULL;
    const char text[] =
        "node: {name: a}\nmeta:\n  members:\n    - {id: 1, node: a, link: \"inproc:meta\"}\n"
        "group:\n  id: 1\n  members:\n    - {id: 1, node: a, link: \"inproc:shard\"}\n"
        "data: {dir: /d, key_file: /k}\n";
    assert_int_equal(parse(SETTINGS_ALL, text, &report, &config).code, VY_CODE_OK);
    assert_int_equal(vy_buf_len(&report), 0);
    vy_config_free(config);
    vy_buf_deinit(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_a_meta_node_is_read),
        cmocka_unit_test(a_shard_without_its_group_is_refused_by_name),
        cmocka_unit_test(a_member_id_that_is_no_number_is_refused),
        cmocka_unit_test(networks_are_read_and_bad_ones_named),
        cmocka_unit_test(every_default_is_valid_and_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
