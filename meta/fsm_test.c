/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine on its own: commands in, results and tables out. */
#include "meta/audit.h"
#include "meta/directory.h"
#include "meta/fsm.h"
#include "replica/store_mem.h"
#include "tests/lib/test.h"

#include "base/assert.h"
#include "base/map.h"
#include <stdio.h>

#define TIME_MS 1700000000000U

struct machine {
    struct meta_fsm fsm;
    struct store_mem_disk *disk;
    struct store *store;
    struct txn *txn;
    struct vy_arena arena; /* of results and reads */
    struct vy_buf raw;     /* the last result */
    uint64_t index;
    uint64_t time_ms;
    unsigned events;
    struct fsm_event last_event;
};

static void on_event(void *arg, const struct fsm_event *event)
{
    struct machine *m = arg;
    m->events++;
    m->last_event = *event;
}

static void machine_init(struct machine *m)
{
    struct store_family families[REPLICA_FAMILY_FIRST + META_FAMILY_COUNT] = {
        {.name = "raft"}, {.name = "sys"}, {.name = "idem"}};
    *m = (struct machine){.time_ms = TIME_MS};
    for (size_t i = 0; i < META_FAMILY_COUNT; i++) {
        families[REPLICA_FAMILY_FIRST + i] = meta_families[i];
    }
    const struct store_options options = {.families = families,
                                          .family_count = VY_COUNT_OF(families)};
    meta_fsm_init(&m->fsm);
    m->fsm.on_event = on_event;
    m->fsm.on_event_arg = m;
    vy_arena_init(&m->arena, 16U * 1024 * 1024);
    vy_buf_init(&m->raw, 1024 * 1024);
    assert_false(vy_failed(store_mem_disk_new(&m->disk)));
    assert_false(vy_failed(store_mem_open(m->disk, &options, &m->store)));
    assert_false(vy_failed(txn_new(m->store, &m->txn)));
}

static void machine_deinit(struct machine *m)
{
    txn_free(m->txn);
    store_close(m->store);
    store_mem_disk_free(m->disk);
    vy_arena_deinit(&m->arena);
    vy_buf_deinit(&m->raw);
    meta_fsm_deinit(&m->fsm);
}

static int set_up(void **state)
{
    static struct machine m;
    machine_init(&m);
    *state = &m;
    return 0;
}

static int tear_down(void **state)
{
    machine_deinit(*state);
    return 0;
}

static struct vy_err apply_bytes(struct machine *m, struct vy_bytes command)
{
    const struct replica_entry_meta entry = {
        .index = ++m->index, .term = 1, .time_ms = m->time_ms, .version = 1};
    vy_buf_reset(&m->raw);
    const struct vy_err err =
        m->fsm.base.ops->apply(&m->fsm.base, m->txn, &entry, command, &m->raw);
    txn_entry_done(m->txn);
    assert_false(vy_failed(txn_commit(m->txn, false)));
    return err;
}

static struct meta_result apply(struct machine *m, const struct meta_command *command)
{
    struct meta_command versioned = *command;
    struct vy_buf buf;
    struct meta_result result;
    struct vy_bytes copy;
    versioned.version = META_COMMAND_VERSION;
    vy_buf_init(&buf, 1024 * 1024);
    assert_false(vy_failed(vy_pb_encode(&meta_command_desc, &versioned, &buf)));
    assert_false(vy_failed(apply_bytes(m, vy_buf_bytes(&buf))));
    vy_buf_deinit(&buf);
    assert_false(vy_failed(vy_arena_dup(&m->arena, vy_buf_bytes(&m->raw), &copy)));
    assert_false(vy_failed(vy_pb_decode(&meta_result_desc, &m->arena, copy, &result)));
    return result;
}

static struct meta_view view_of(struct machine *m)
{
    return (struct meta_view){.reader = store_newest(m->store), .arena = &m->arena};
}

static void expect(const struct meta_result *result, enum meta_outcome outcome, const char *part)
{
    assert_int_equal(result->outcome, outcome);
    assert_true(vy_bytes_find(result->text, vy_cstr(part), 0) != SIZE_MAX);
}

static struct meta_result make_domain(struct machine *m, const char *name)
{
    const struct cmd_domain_create body = {.name = vy_cstr(name)};
    const struct meta_command command = {.domain_create = &body};
    return apply(m, &command);
}

static const struct new_credential some_secret = {
    .kind = CREDENTIAL_KIND_GENERATED, .mac = VY_LIT("0123456789abcdef0123456789abcdef")};

static struct meta_result make_account(struct machine *m, uint64_t id, const char *address)
{
    const struct cmd_account_create body = {.account_id = id,
                                            .address = vy_cstr(address),
                                            .wrapped_key = VY_LIT("wrapped"),
                                            .credential = &some_secret};
    const struct meta_command command = {.account_create = &body};
    return apply(m, &command);
}

static struct meta_result make_alias(struct machine *m, const char *address,
                                     const struct vy_bytes *targets, size_t count)
{
    const struct cmd_alias_create body = {
        .address = vy_cstr(address), .targets_count = count, .targets = targets};
    const struct meta_command command = {.alias_create = &body};
    return apply(m, &command);
}

static struct meta_result make_alias_to(struct machine *m, const char *address, const char *target)
{
    const struct vy_bytes targets[] = {vy_cstr(target)};
    return make_alias(m, address, targets, 1);
}

static struct meta_result delete_alias(struct machine *m, const char *address)
{
    const struct cmd_alias_delete body = {.address = vy_cstr(address)};
    const struct meta_command command = {.alias_delete = &body};
    return apply(m, &command);
}

static struct audit_check verify(struct machine *m)
{
    struct audit_check check;
    assert_false(vy_failed(audit_verify(store_newest(m->store), &check)));
    return check;
}

/* ---- entries ---- */

static void an_unknown_version_or_body_stops_the_node(void **state)
{
    struct machine *m = *state;
    struct vy_buf buf;
    vy_buf_init(&buf, 4096);
    const struct cmd_domain_create body = {.name = VY_LIT("d.test")};
    const struct meta_command newer = {.version = META_COMMAND_VERSION + 1, .domain_create = &body};
    assert_false(vy_failed(vy_pb_encode(&meta_command_desc, &newer, &buf)));
    assert_int_equal(apply_bytes(m, vy_buf_bytes(&buf)).code, VY_CODE_UNSUPPORTED);
    const struct meta_command empty = {.version = META_COMMAND_VERSION};
    vy_buf_reset(&buf);
    assert_false(vy_failed(vy_pb_encode(&meta_command_desc, &empty, &buf)));
    assert_int_equal(apply_bytes(m, vy_buf_bytes(&buf)).code, VY_CODE_UNSUPPORTED);
    assert_int_equal(apply_bytes(m, VY_LIT("\xff\xff\xff")).code, VY_CODE_CORRUPT);
    vy_buf_deinit(&buf);
}

static void r4_the_same_operation_id_gives_the_same_result_once(void **state)
{
    struct machine *m = *state;
    const struct cmd_domain_create body = {.name = VY_LIT("d.test")};
    const struct meta_command command = {
        .operation_id = VY_LIT("op-1"), .fingerprint = VY_LIT("f1"), .domain_create = &body};
    const struct meta_command other = {
        .operation_id = VY_LIT("op-1"), .fingerprint = VY_LIT("f2"), .domain_create = &body};
    struct meta_result result = apply(m, &command);
    expect(&result, META_OUTCOME_OK, "");
    assert_false(result.replayed);
    result = apply(m, &command);
    expect(&result, META_OUTCOME_OK, "");
    assert_true(result.replayed);
    assert_int_equal(verify(m).record_count, 1);
    result = apply(m, &other);
    expect(&result, META_OUTCOME_ARGUMENT, "another request");
    m->time_ms += IDEM_KEEP_MS - 1;
    result = apply(m, &command);
    expect(&result, META_OUTCOME_OK, "");
    m->time_ms += 1; /* forgotten: it is a new request, and the domain is there */
    result = apply(m, &command);
    expect(&result, META_OUTCOME_EXISTS, "domain d.test exists already");
}

static void validate_only_checks_and_changes_nothing(void **state)
{
    struct machine *m = *state;
    const struct cmd_domain_create body = {.name = VY_LIT("d.test")};
    const struct meta_command dry = {
        .operation_id = VY_LIT("op"), .validate_only = true, .domain_create = &body};
    struct meta_result result = apply(m, &dry);
    expect(&result, META_OUTCOME_OK, "");
    assert_int_equal(m->events, 0);
    assert_int_equal(verify(m).record_count, 0);
    result = make_domain(m, "d.test");
    expect(&result, META_OUTCOME_OK, "");
    result = apply(m, &dry);
    expect(&result, META_OUTCOME_EXISTS, "exists");
}

static void run_script(struct machine *m)
{
    struct meta_result unused = make_domain(m, "d.test");
    unused = make_account(m, 1, "a@d.test");
    unused = make_account(m, 2, "b@d.test");
    unused = make_alias_to(m, "x@d.test", "a@d.test");
    const struct cmd_login body = {.account_id = 1,
                                   .account_epoch = 1,
                                   .credential_id = 1,
                                   .verdict = LOGIN_VERDICT_OK,
                                   .tuple_hash = VY_LIT("0123456789abcdef"),
                                   .sealed = VY_LIT("sealed")};
    const struct meta_command login = {.login = &body};
    for (int i = 0; i < 5; i++) {
        m->time_ms += 10;
        unused = apply(m, &login);
    }
    (void)unused;
}

static void p10_two_machines_with_the_same_log_have_the_same_tables(void **state)
{
    struct machine *m = *state;
    struct machine other;
    machine_init(&other);
    run_script(m);
    run_script(&other);
    const struct meta_view a = view_of(m);
    const struct meta_view b = view_of(&other);
    for (unsigned family = META_FAMILY_CLUSTER; family < META_FAMILY_END; family++) {
        const struct table_page page = {.family = family, .rows_max = 1000};
        struct table_rows rows_a;
        struct table_rows rows_b;
        assert_false(vy_failed(table_read_page(&a, &page, &rows_a)));
        assert_false(vy_failed(table_read_page(&b, &page, &rows_b)));
        assert_int_equal(rows_a.count, rows_b.count);
        for (size_t i = 0; i < rows_a.count; i++) {
            struct vy_bytes value_a;
            struct vy_bytes value_b;
            bool is_found = false;
            assert_true(vy_bytes_equal(rows_a.keys[i], rows_b.keys[i]));
            assert_false(
                vy_failed(table_get_bytes(&a, family, rows_a.keys[i], &value_a, &is_found)));
            assert_false(
                vy_failed(table_get_bytes(&b, family, rows_a.keys[i], &value_b, &is_found)));
            assert_true(vy_bytes_equal(value_a, value_b));
        }
    }
    machine_deinit(&other);
}

/* ---- domains and accounts ---- */

static void domains_are_made_once_and_deleted_when_empty(void **state)
{
    struct machine *m = *state;
    const struct cmd_domain_delete body = {.name = VY_LIT("d.test")};
    const struct meta_command delete = {.domain_delete = &body};
    struct meta_result result = apply(m, &delete);
    expect(&result, META_OUTCOME_NOT_FOUND, "domain d.test does not exist");
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "a@d.test");
    (void)make_alias_to(m, "b@d.test", "a@d.test");
    result = apply(m, &delete);
    expect(&result, META_OUTCOME_PRECONDITION, "1 accounts and 1 aliases"); /* H20 */
    (void)make_domain(m, "empty.test");
    const struct cmd_domain_delete empty = {.name = VY_LIT("empty.test")};
    const struct meta_command delete_empty = {.domain_delete = &empty};
    result = apply(m, &delete_empty);
    expect(&result, META_OUTCOME_OK, "");
}

static void a_catch_all_must_exist_in_its_domain(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    (void)make_domain(m, "e.test");
    (void)make_account(m, 1, "a@e.test");
    struct cmd_domain_set body = {.name = VY_LIT("d.test"), .catch_all = VY_LIT("no@d.test")};
    const struct meta_command command = {.domain_set = &body};
    struct meta_result result = apply(m, &command);
    expect(&result, META_OUTCOME_NOT_FOUND, "no@d.test");
    body.catch_all = VY_LIT("a@e.test");
    result = apply(m, &command);
    expect(&result, META_OUTCOME_ARGUMENT, "is not of the domain");
}

static void del4_account_numbers_are_never_used_again(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    struct meta_result result = make_account(m, 1, "a@d.test");
    expect(&result, META_OUTCOME_OK, "");
    assert_int_equal(result.account_id, 1);
    assert_int_equal(result.account_epoch, 1);
    result = make_account(m, 1, "b@d.test");
    expect(&result, META_OUTCOME_CONFLICT, "");
    result = make_account(m, 10, "b@d.test"); /* gaps are fine */
    expect(&result, META_OUTCOME_OK, "");
    for (uint64_t id = 2; id <= 10; id++) {
        result = make_account(m, id, "c@d.test");
        expect(&result, META_OUTCOME_CONFLICT, "");
    }
    result = make_account(m, 11 + 1000001, "c@d.test"); /* but not leaps */
    expect(&result, META_OUTCOME_CONFLICT, "");
    result = make_account(m, 11, "c@d.test");
    expect(&result, META_OUTCOME_OK, "");
}

static void an_account_needs_a_domain_and_a_free_address(void **state)
{
    struct machine *m = *state;
    struct meta_result result = make_account(m, 1, "a@d.test");
    expect(&result, META_OUTCOME_NOT_FOUND, "domain d.test does not exist");
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "a@d.test");
    result = make_account(m, 2, "a@d.test");
    expect(&result, META_OUTCOME_EXISTS, "account a@d.test exists already");
    (void)make_alias_to(m, "x@d.test", "a@d.test");
    result = make_account(m, 2, "x@d.test");
    expect(&result, META_OUTCOME_EXISTS, "alias x@d.test exists already");
    result = make_alias_to(m, "a@d.test", "x@d.test");
    expect(&result, META_OUTCOME_EXISTS, "account a@d.test exists already");
}

static void creating_an_account_tells_the_watchers(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    m->events = 0;
    (void)make_account(m, 1, "a@d.test");
    assert_int_equal(m->events, 2);
    assert_int_equal(m->last_event.index, m->index);
    assert_int_equal(m->last_event.address_len, 8);
}

static void del1_disabling_raises_the_epoch_and_enabling_does_not(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "a@d.test");
    struct cmd_account_state body = {.account_id = 1, .state = ACCOUNT_STATE_LOGIN_DISABLED};
    const struct meta_command command = {.account_state = &body};
    assert_int_equal(apply(m, &command).account_epoch, 2);
    assert_int_equal(apply(m, &command).account_epoch, 2); /* already */
    body.state = ACCOUNT_STATE_ACTIVE;
    assert_int_equal(apply(m, &command).account_epoch, 2);
    body.state = ACCOUNT_STATE_ERASING; /* has a command of its own */
    struct meta_result result = apply(m, &command);
    expect(&result, META_OUTCOME_PRECONDITION, "");
    body.account_id = 99;
    result = apply(m, &command);
    expect(&result, META_OUTCOME_NOT_FOUND, "");
}

static void app_passwords_are_limited(void **state)
{
    struct machine *m = *state;
    struct new_credential secret = some_secret;
    secret.kind = CREDENTIAL_KIND_APP;
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "a@d.test");
    const struct cmd_app_password_create body = {.account_id = 1, .credential = &secret};
    const struct meta_command command = {.app_password_create = &body};
    struct meta_result result = {.outcome = META_OUTCOME_NONE};
    for (unsigned i = 1; i <= META_APP_PASSWORDS_MAX; i++) {
        result = apply(m, &command);
        expect(&result, META_OUTCOME_OK, "");
        assert_int_equal(result.credential_id, 1 + i);
    }
    result = apply(m, &command);
    expect(&result, META_OUTCOME_LIMIT, "50 app passwords already");
    const struct cmd_app_password_delete gone = {.account_id = 1, .credential_id = 7};
    const struct meta_command delete = {.app_password_delete = &gone};
    result = apply(m, &delete);
    expect(&result, META_OUTCOME_OK, "");
    result = apply(m, &delete);
    expect(&result, META_OUTCOME_NOT_FOUND, "app password 7");
    result = apply(m, &command);
    expect(&result, META_OUTCOME_OK, "");
    assert_int_equal(result.credential_id, 2 + META_APP_PASSWORDS_MAX); /* numbers too */
}

static void the_main_password_cannot_be_deleted_as_an_app_password(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "a@d.test");
    const struct cmd_app_password_delete body = {.account_id = 1, .credential_id = 1};
    const struct meta_command command = {.app_password_delete = &body};
    const struct meta_result result = apply(m, &command);
    expect(&result, META_OUTCOME_NOT_FOUND, "");
}

/* ---- addresses ---- */

static struct resolve_reply resolve(struct machine *m, const char *address)
{
    const struct meta_view view = view_of(m);
    struct resolve_reply reply;
    assert_false(vy_failed(directory_resolve(&view, vy_cstr(address), &reply)));
    return reply;
}

static void addresses_are_found_exactly_then_by_subaddress_then_by_catch_all(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "a@d.test");
    (void)make_account(m, 2, "b@d.test");
    assert_int_equal(resolve(m, "a@d.test").targets[0].account_id, 1);
    struct resolve_reply reply = resolve(m, "a+x+y@d.test");
    assert_int_equal(reply.targets[0].account_id, 1);
    assert_true(vy_bytes_equal(reply.targets[0].detail, VY_LIT("x+y")));
    assert_int_equal(resolve(m, "no@d.test").result, RESOLVE_RESULT_UNKNOWN);
    assert_int_equal(resolve(m, "+x@d.test").result, RESOLVE_RESULT_UNKNOWN);
    assert_int_equal(resolve(m, "a@e.test").result, RESOLVE_RESULT_FOREIGN);
    assert_int_equal(resolve(m, "a").result, RESOLVE_RESULT_FOREIGN);
    assert_int_equal(resolve(m, "@d.test").result, RESOLVE_RESULT_FOREIGN);
    const struct cmd_domain_set body = {.name = VY_LIT("d.test"), .catch_all = VY_LIT("b@d.test")};
    const struct meta_command command = {.domain_set = &body};
    (void)apply(m, &command);
    reply = resolve(m, "no+x@d.test");
    assert_int_equal(reply.targets[0].account_id, 2);
    assert_int_equal(reply.targets[0].detail.len, 0);
    assert_int_equal(resolve(m, "a+z@d.test").targets[0].account_id, 1);
}

static void s11_aliases_that_meet_give_one_copy(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "a@d.test");
    (void)make_alias_to(m, "x@d.test", "a@d.test");
    (void)make_alias_to(m, "y@d.test", "a+tag@d.test");
    const struct vy_bytes both[] = {VY_LIT("x@d.test"), VY_LIT("y@d.test"), VY_LIT("a@d.test"),
                                    VY_LIT("x@d.test")};
    struct meta_result result = make_alias(m, "all@d.test", both, VY_COUNT_OF(both));
    expect(&result, META_OUTCOME_OK, "");
    const struct resolve_reply reply = resolve(m, "all@d.test");
    assert_int_equal(reply.result, RESOLVE_RESULT_LOCAL);
    assert_int_equal(reply.targets_count, 1);
}

static void s12_loops_are_refused_at_creation(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "u@d.test");
    struct meta_result result = make_alias_to(m, "a@d.test", "a@d.test");
    expect(&result, META_OUTCOME_ARGUMENT, "back to itself");
    (void)make_alias_to(m, "a@d.test", "u@d.test");
    (void)make_alias_to(m, "b@d.test", "a@d.test");
    (void)make_alias_to(m, "c@d.test", "b@d.test");
    (void)delete_alias(m, "a@d.test");
    result = make_alias_to(m, "a@d.test", "c@d.test");
    expect(&result, META_OUTCOME_ARGUMENT, "back to itself"); /* a, c, b, a */
}

static void s12_a_loop_that_came_about_by_deleting_ends_in_a_refusal(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "u@d.test");
    (void)make_alias_to(m, "a@d.test", "u@d.test");
    (void)make_alias_to(m, "b@d.test", "a@d.test");
    (void)delete_alias(m, "a@d.test");
    /* b leads nowhere now; a -> b would close the circle. */
    assert_int_equal(resolve(m, "b@d.test").result, RESOLVE_RESULT_UNKNOWN);
    const struct meta_result result = make_alias_to(m, "a@d.test", "b@d.test");
    expect(&result, META_OUTCOME_ARGUMENT, "back to itself");
}

static void s12_depth_is_limited_at_creation_and_in_resolving(void **state)
{
    struct machine *m = *state;
    char name[32];
    char target[32] = "u@d.test";
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "u@d.test");
    for (unsigned depth = 1; depth <= META_ALIAS_DEPTH_MAX + 1; depth++) {
        (void)snprintf(name, sizeof(name), "a%u@d.test", depth);
        const struct meta_result result = make_alias_to(m, name, target);
        if (depth <= META_ALIAS_DEPTH_MAX) {
            expect(&result, META_OUTCOME_OK, "");
            assert_int_equal(resolve(m, name).targets_count, 1);
        } else {
            expect(&result, META_OUTCOME_LIMIT, "10 levels");
        }
        (void)snprintf(target, sizeof(target), "%s", name);
    }
    /* A chain that is lengthened from below is stopped when it is used. */
    (void)delete_alias(m, "a1@d.test");
    (void)make_alias_to(m, "low@d.test", "u@d.test");
    (void)make_alias_to(m, "a1@d.test", "low@d.test");
    assert_int_equal(resolve(m, "a9@d.test").result, RESOLVE_RESULT_LOCAL);
    assert_int_equal(resolve(m, "a10@d.test").result, RESOLVE_RESULT_EXPANSION_LIMIT);
}

static void s12_the_whole_expansion_is_limited(void **state)
{
    struct machine *m = *state;
    static char names[META_ALIAS_TARGETS_MAX + 1][24];
    static struct vy_bytes targets[META_ALIAS_TARGETS_MAX + 1];
    (void)make_domain(m, "d.test");
    for (unsigned i = 0; i <= META_ALIAS_TARGETS_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "u%u@d.test", i);
        (void)make_account(m, 1 + i, names[i]);
        targets[i] = vy_cstr(names[i]);
    }
    struct meta_result result = make_alias(m, "x@d.test", targets, META_ALIAS_TARGETS_MAX + 1);
    expect(&result, META_OUTCOME_LIMIT, "1 to 1000 targets");
    result = make_alias(m, "x@d.test", targets, META_ALIAS_TARGETS_MAX);
    expect(&result, META_OUTCOME_OK, "");
    assert_int_equal(resolve(m, "x@d.test").targets_count, META_ALIAS_TARGETS_MAX);
    result = make_alias_to(m, "y@d.test", "x@d.test"); /* one name more in all */
    expect(&result, META_OUTCOME_LIMIT, "1000 names");
    result = make_alias(m, "empty@d.test", targets, 0);
    expect(&result, META_OUTCOME_LIMIT, "");
}

static void an_alias_leads_to_names_of_this_cluster_that_exist(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    struct meta_result result = make_alias_to(m, "x@d.test", "no@d.test");
    expect(&result, META_OUTCOME_NOT_FOUND, "target no@d.test does not exist");
    result = make_alias_to(m, "x@d.test", "a@else.test");
    expect(&result, META_OUTCOME_ARGUMENT, "a@else.test");
    result = make_alias_to(m, "x@else.test", "a@d.test");
    expect(&result, META_OUTCOME_NOT_FOUND, "domain else.test");
    result = delete_alias(m, "x@d.test");
    expect(&result, META_OUTCOME_NOT_FOUND, "");
}

static void auth4_who_may_send_as_which_address(void **state)
{
    struct machine *m = *state;
    const struct vy_bytes both[] = {VY_LIT("a@d.test"), VY_LIT("b@d.test")};
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "a@d.test");
    (void)make_account(m, 2, "b@d.test");
    (void)make_alias_to(m, "mine@d.test", "a@d.test");
    (void)make_alias(m, "list@d.test", both, 2);
    const struct cmd_domain_set body = {.name = VY_LIT("d.test"), .catch_all = VY_LIT("a@d.test")};
    const struct meta_command command = {.domain_set = &body};
    (void)apply(m, &command);
    static const char *const allowed[] = {"a@d.test", "a+x@d.test", "mine@d.test"};
    static const char *const refused[] = {"b@d.test", "list@d.test", "any@d.test", "a@else.test",
                                          "x"};
    const struct meta_view view = view_of(m);
    bool is_allowed = false;
    for (size_t i = 0; i < VY_COUNT_OF(allowed); i++) {
        assert_false(vy_failed(directory_may_send(&view, 1, vy_cstr(allowed[i]), &is_allowed)));
        assert_true(is_allowed);
    }
    for (size_t i = 0; i < VY_COUNT_OF(refused); i++) {
        assert_false(vy_failed(directory_may_send(&view, 1, vy_cstr(refused[i]), &is_allowed)));
        assert_false(is_allowed);
    }
}

/* ---- logins ---- */

static struct meta_result log_in(struct machine *m, uint64_t epoch, uint64_t credential,
                                 enum login_verdict verdict, const char *tuple)
{
    const struct cmd_login body = {.account_id = 1,
                                   .account_epoch = epoch,
                                   .credential_id = credential,
                                   .verdict = verdict,
                                   .tuple_hash = vy_cstr(tuple),
                                   .sealed = VY_LIT("sealed")};
    const struct meta_command command = {.login = &body};
    return apply(m, &command);
}

static void app2_no_login_is_granted_from_an_older_epoch_or_a_revoked_credential(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "a@d.test");
    const uint64_t before = verify(m).record_count;
    assert_int_equal(log_in(m, 0, 1, LOGIN_VERDICT_OK, "0123456789abcdef").outcome,
                     META_OUTCOME_STALE);
    assert_int_equal(log_in(m, 2, 1, LOGIN_VERDICT_OK, "0123456789abcdef").outcome,
                     META_OUTCOME_STALE);
    assert_int_equal(log_in(m, 1, 2, LOGIN_VERDICT_OK, "0123456789abcdef").outcome,
                     META_OUTCOME_STALE);
    assert_int_equal(verify(m).record_count, before);
    assert_int_equal(log_in(m, 1, 1, LOGIN_VERDICT_OK, "0123456789abcdef").outcome,
                     META_OUTCOME_OK);
    const struct cmd_account_state body = {.account_id = 1, .state = ACCOUNT_STATE_LOGIN_DISABLED};
    const struct meta_command disable = {.account_state = &body};
    (void)apply(m, &disable);
    assert_int_equal(log_in(m, 1, 1, LOGIN_VERDICT_OK, "0123456789abcdef").outcome,
                     META_OUTCOME_STALE);
    assert_int_equal(log_in(m, 2, 1, LOGIN_VERDICT_OK, "0123456789abcdef").outcome,
                     META_OUTCOME_STALE);
    assert_int_equal(log_in(m, 2, 1, LOGIN_VERDICT_DISABLED, "0123456789abcdef").outcome,
                     META_OUTCOME_OK);
}

static size_t count_rows(struct machine *m, unsigned family)
{
    const struct meta_view view = view_of(m);
    const struct table_page page = {.family = family, .rows_max = 20000};
    struct table_rows rows;
    assert_false(vy_failed(table_read_page(&view, &page, &rows)));
    return rows.count;
}

static void login2_rows_end_30_days_after_their_last_use(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "a@d.test");
    (void)log_in(m, 1, 1, LOGIN_VERDICT_BADPASSWORD, "0123456789abcde1");
    (void)log_in(m, 1, 1, LOGIN_VERDICT_OK, "0123456789abcde2");
    m->time_ms += META_LOGIN_KEEP_MS;
    (void)log_in(m, 1, 1, LOGIN_VERDICT_OK, "0123456789abcde3");
    assert_int_equal(count_rows(m, META_FAMILY_LOGIN_TIME), 3);
    m->time_ms += 1;
    (void)log_in(m, 1, 1, LOGIN_VERDICT_OK, "0123456789abcde4");
    assert_int_equal(count_rows(m, META_FAMILY_LOGIN_TIME), 2);
    assert_int_equal(count_rows(m, META_FAMILY_LOGIN), 3); /* with the count's own row */
    assert_int_equal(verify(m).record_count, 6);           /* the chain keeps them all */
}

static void login2_failed_rows_of_an_account_are_limited(void **state)
{
    struct machine *m = *state;
    char tuple[32];
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "a@d.test");
    (void)log_in(m, 1, 1, LOGIN_VERDICT_OK, "aaaaaaaaaaaaaaaa");
    for (unsigned i = 0; i < META_LOGIN_FAILED_ROWS_MAX + 5; i++) {
        (void)snprintf(tuple, sizeof(tuple), "%016u", i);
        m->time_ms++;
        (void)log_in(m, 1, 1, LOGIN_VERDICT_BADPASSWORD, tuple);
        vy_arena_reset(&m->arena);
    }
    assert_int_equal(count_rows(m, META_FAMILY_LOGIN_TIME), META_LOGIN_FAILED_ROWS_MAX + 1);
    const struct meta_view view = view_of(m);
    const struct meta_key success = meta_key_login(1, VY_LIT("aaaaaaaaaaaaaaaa"));
    struct vy_bytes unused;
    bool is_found = false;
    assert_false(vy_failed(
        table_get_bytes(&view, META_FAMILY_LOGIN, meta_key_bytes(&success), &unused, &is_found)));
    assert_true(is_found); /* a flood of failures evicts no success */
}

/* ---- the chain ---- */

static void p9_the_chain_is_whole_and_every_change_to_it_shows(void **state)
{
    struct machine *m = *state;
    run_script(m);
    const struct audit_check whole = verify(m);
    assert_true(whole.is_intact);
    assert_int_equal(whole.record_count, 9);
    for (uint64_t sequence = 1; sequence <= 9; sequence++) {
        const struct meta_view view = view_of(m);
        const struct meta_key key = meta_key_u64(sequence);
        struct vy_bytes row;
        bool is_found = false;
        assert_false(vy_failed(
            table_get_bytes(&view, META_FAMILY_AUDIT, meta_key_bytes(&key), &row, &is_found)));
        txn_delete(m->txn, META_FAMILY_AUDIT, meta_key_bytes(&key)); /* removed */
        assert_false(vy_failed(txn_commit(m->txn, false)));
        assert_false(verify(m).is_intact);
        assert_int_equal(verify(m).first_bad_sequence, sequence);
        uint8_t changed[512];
        memcpy(changed, row.data, row.len);
        changed[3] ^= 1; /* altered */
        txn_put(m->txn, META_FAMILY_AUDIT, meta_key_bytes(&key), vy_bytes(changed, row.len));
        assert_false(vy_failed(txn_commit(m->txn, false)));
        assert_int_equal(verify(m).first_bad_sequence, sequence);
        txn_put(m->txn, META_FAMILY_AUDIT, meta_key_bytes(&key), row);
        assert_false(vy_failed(txn_commit(m->txn, false)));
        assert_true(verify(m).is_intact);
    }
}

static void p9_a_chain_longer_than_a_page_is_walked_to_its_end(void **state)
{
    struct machine *m = *state;
    (void)make_domain(m, "d.test");
    (void)make_account(m, 1, "a@d.test");
    for (int i = 0; i < 600; i++) {
        (void)log_in(m, 1, 1, LOGIN_VERDICT_OK, "0123456789abcdef");
    }
    const struct audit_check check = verify(m);
    assert_true(check.is_intact);
    assert_int_equal(check.record_count, 602);
}

/* ---- the map ---- */

static struct meta_result bootstrap(struct machine *m, const char *cluster_id, uint32_t last)
{
    static const uint64_t groups[] = {2, 3};
    const struct slot_span spans[] = {
        {.first = 0,    .last = 8191, .group_id = 2},
        {.first = 8192, .last = last, .group_id = 3}
    };
    const struct cmd_bootstrap body = {.cluster_id = vy_cstr(cluster_id),
                                       .group_ids_count = 2,
                                       .group_ids = groups,
                                       .slots_count = 2,
                                       .slots = spans,
                                       .feature_level = 1};
    const struct meta_command command = {.bootstrap = &body};
    return apply(m, &command);
}

static void a_cluster_is_formed_once_with_all_its_slots(void **state)
{
    struct machine *m = *state;
    struct meta_result result = bootstrap(m, "0123456789abcdef", VY_SLOT_COUNT - 2);
    expect(&result, META_OUTCOME_ARGUMENT, "");
    result = bootstrap(m, "0123456789abcdef", VY_SLOT_COUNT);
    expect(&result, META_OUTCOME_ARGUMENT, "");
    result = bootstrap(m, "0123456789abcdef", VY_SLOT_COUNT - 1);
    expect(&result, META_OUTCOME_OK, "");
    result = bootstrap(m, "0123456789abcdef", VY_SLOT_COUNT - 1);
    expect(&result, META_OUTCOME_OK, "");
    result = bootstrap(m, "fedcba9876543210", VY_SLOT_COUNT - 1);
    expect(&result, META_OUTCOME_EXISTS, "another id");
}

static struct meta_result register_node(struct machine *m, uint64_t member, uint64_t incarnation,
                                        const char *address)
{
    const struct node_row node = {.group_id = 2,
                                  .member_id = member,
                                  .role = VY_LIT("shard"),
                                  .node = VY_LIT("n1"),
                                  .link_address = vy_cstr(address),
                                  .incarnation = incarnation};
    const struct cmd_node_register body = {.node = &node};
    const struct meta_command command = {.node_register = &body};
    return apply(m, &command);
}

static uint64_t map_epoch(struct machine *m)
{
    const struct meta_view view = view_of(m);
    struct cluster_row row;
    bool is_found = false;
    assert_false(vy_failed(cluster_get(&view, &row, &is_found)));
    return row.map_epoch;
}

static void r11_a_node_from_an_old_disk_or_with_another_identity_is_refused(void **state)
{
    struct machine *m = *state;
    (void)bootstrap(m, "0123456789abcdef", VY_SLOT_COUNT - 1);
    struct meta_result result = register_node(m, 7, 3, "tcp://a:1");
    expect(&result, META_OUTCOME_OK, "");
    assert_int_equal(map_epoch(m), 2);
    result = register_node(m, 7, 4, "tcp://a:1"); /* a restart changes nothing on the map */
    expect(&result, META_OUTCOME_OK, "");
    assert_int_equal(map_epoch(m), 2);
    result = register_node(m, 7, 3, "tcp://a:1");
    expect(&result, META_OUTCOME_PRECONDITION, "old copy");
    result = register_node(m, 8, 9, "tcp://a:1");
    expect(&result, META_OUTCOME_PRECONDITION, "another member id");
    result = register_node(m, 7, 5, "tcp://b:1");
    expect(&result, META_OUTCOME_OK, "");
    assert_int_equal(map_epoch(m), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_unknown_version_or_body_stops_the_node),
        TEST(r4_the_same_operation_id_gives_the_same_result_once),
        TEST(validate_only_checks_and_changes_nothing),
        TEST(p10_two_machines_with_the_same_log_have_the_same_tables),
        TEST(domains_are_made_once_and_deleted_when_empty),
        TEST(a_catch_all_must_exist_in_its_domain),
        TEST(del4_account_numbers_are_never_used_again),
        TEST(an_account_needs_a_domain_and_a_free_address),
        TEST(creating_an_account_tells_the_watchers),
        TEST(del1_disabling_raises_the_epoch_and_enabling_does_not),
        TEST(app_passwords_are_limited),
        TEST(the_main_password_cannot_be_deleted_as_an_app_password),
        TEST(addresses_are_found_exactly_then_by_subaddress_then_by_catch_all),
        TEST(s11_aliases_that_meet_give_one_copy),
        TEST(s12_loops_are_refused_at_creation),
        TEST(s12_a_loop_that_came_about_by_deleting_ends_in_a_refusal),
        TEST(s12_depth_is_limited_at_creation_and_in_resolving),
        TEST(s12_the_whole_expansion_is_limited),
        TEST(an_alias_leads_to_names_of_this_cluster_that_exist),
        TEST(auth4_who_may_send_as_which_address),
        TEST(app2_no_login_is_granted_from_an_older_epoch_or_a_revoked_credential),
        TEST(login2_rows_end_30_days_after_their_last_use),
        TEST(login2_failed_rows_of_an_account_are_limited),
        TEST(p9_the_chain_is_whole_and_every_change_to_it_shows),
        TEST(p9_a_chain_longer_than_a_page_is_walked_to_its_end),
        TEST(a_cluster_is_formed_once_with_all_its_slots),
        TEST(r11_a_node_from_an_old_disk_or_with_another_identity_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
