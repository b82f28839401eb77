/* SPDX-License-Identifier: Apache-2.0 */
/* What `volary-shard check` finds in the tables (P4): each kind of damage that it is made for. */
#include "base/assert.h"
#include "mail/flags.h"
#include "proto/shard.pb.h"
#include "shard/check.h"
#include "shard/read.h"
#include "tests/lib/shard_machine.h"
#include "tests/lib/test.h"

#define ADA 5U

static struct shard_machine m;
static const uint8_t inbox_hash[SHARD_HASH_BYTES] = {1};
static const uint8_t email_id[SHARD_ID_BYTES] = {2};
static char last_problem[CHECK_TEXT_BYTES_MAX];

static void on_problem(void *arg, struct vy_bytes text)
{
    (void)arg;
    memcpy(last_problem, text.data, text.len);
    last_problem[text.len] = '\0';
}

static void on_progress(void *arg, const struct check *check, const char *what)
{
    (void)arg;
    (void)check;
    (void)what;
}

static uint64_t problems(void)
{
    struct check check = {.on_problem = on_problem, .on_progress = on_progress};
    last_problem[0] = '\0';
    assert_false(vy_failed(shard_check_tables(store_newest(m.store), &check)));
    return check.problem_count;
}

static void expect_problem(const char *text)
{
    assert_true(problems() > 0);
    if (vy_bytes_find(vy_cstr(last_problem), vy_cstr(text), 0) == SIZE_MAX) {
        fail_msg("'%s' instead of '%s'", last_problem, text);
    }
}

/* One account with one message of one chunk in INBOX. */
static int set_up(void **state)
{
    (void)state;
    static const uint8_t chunk[64] = {1, 2, 3};
    static const uint8_t row[64] = {1, [2 + SHARD_HASH_BYTES + 1] = 1};
    const struct sealed_name name = {.hash = vy_bytes(inbox_hash, sizeof(inbox_hash)),
                                     .sealed = VY_LIT("INBOX")};
    const struct new_mailbox mailbox = {.name = &name, .role = MAILBOX_ROLE_INBOX};
    const struct cmd_account_init init = {.mailboxes_count = 1, .mailboxes = &mailbox};
    const struct new_message message = {.email_id = vy_bytes(email_id, sizeof(email_id)),
                                        .email_row = vy_bytes(row, sizeof(row)),
                                        .size_bytes = 100,
                                        .no_message_id = true};
    const struct cmd_append append = {
        .name_hash = name.hash, .messages_count = 1, .messages = &message};
    const struct shard_key body = keys_body(ADA, email_id, 0);
    struct shard_command command = {.account_id = ADA, .account_epoch = 1, .account_init = &init};

    shard_machine_init(&m);
    assert_int_equal(shard_machine_apply(&m, &command).code, SHARD_CODE_DONE);
    command.account_init = NULL;
    command.append = &append;
    shard_machine_put_payload(&m, shard_key_bytes(&body), vy_bytes(chunk, sizeof(chunk)));
    assert_int_equal(shard_machine_apply(&m, &command).code, SHARD_CODE_DONE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shard_machine_deinit(&m);
    return 0;
}

static uint64_t inbox(void)
{
    uint64_t id = 0;
    assert_false(vy_failed(read_mailbox_id(store_newest(m.store), ADA, inbox_hash, &id)));
    return id;
}

static void delete_row(enum shard_family family, const struct shard_key *key)
{
    txn_delete(m.txn, shard_store_family(family), shard_key_bytes(key));
    assert_false(vy_failed(txn_commit(m.txn, true)));
}

static void a_whole_shard_has_no_problem(void **state)
{
    (void)state;
    assert_int_equal(problems(), 0);
}

static void a_missing_chunk_is_found(void **state)
{
    (void)state;
    const struct shard_key key = keys_body(ADA, email_id, 0);
    delete_row(SHARD_BODY, &key);
    expect_problem("an email lacks a chunk of its body");
}

static void a_missing_email_row_is_found(void **state)
{
    (void)state;
    const struct shard_key key = keys_id(ADA, email_id);
    delete_row(SHARD_EMAIL, &key);
    expect_problem("a message has no email row");
}

static void a_missing_reference_is_found(void **state)
{
    (void)state;
    const struct shard_key key = keys_ref(ADA, email_id, inbox(), 1);
    delete_row(SHARD_REF, &key);
    expect_problem("a message has no reference");
}

static void a_missing_index_block_is_found(void **state)
{
    (void)state;
    const struct shard_key key = keys_block(ADA, inbox(), 1);
    delete_row(SHARD_MSG, &key);
    assert_true(problems() > 0);
}

static void a_name_that_leads_nowhere_is_found(void **state)
{
    (void)state;
    const struct shard_key key = keys_name(ADA, vy_bytes(inbox_hash, sizeof(inbox_hash)));
    delete_row(SHARD_MBOX, &key);
    expect_problem("its name leads elsewhere");
}

static void a_missing_mailbox_is_missed_by_its_account(void **state)
{
    (void)state;
    const struct shard_key key = keys_mailbox(ADA, inbox());
    delete_row(SHARD_MBOX, &key);
    expect_problem("its messages or quota differ");
}

static void a_damaged_block_is_found(void **state)
{
    (void)state;
    const struct shard_key key = keys_block(ADA, inbox(), 1);
    assert_true(
        store_mem_flip_bit(m.disk, shard_store_family(SHARD_MSG), shard_key_bytes(&key), 40));
    assert_true(problems() > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_whole_shard_has_no_problem),
        TEST(a_missing_chunk_is_found),
        TEST(a_missing_email_row_is_found),
        TEST(a_missing_reference_is_found),
        TEST(a_missing_index_block_is_found),
        TEST(a_name_that_leads_nowhere_is_found),
        TEST(a_missing_mailbox_is_missed_by_its_account),
        TEST(a_damaged_block_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
