/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine on its own: every command of shardlog.proto, over store_mem. */
#include "mail/flags.h"
#include "proto/shard.pb.h"
#include "shard/change.h"
#include "shard/email_row.h"
#include "shard/fsm.h"
#include "shard/read.h"
#include "shard/uids.h"
#include "tests/lib/fake_rng.h"
#include "tests/lib/shard_machine.h"
#include "tests/lib/test.h"

#include "base/assert.h"
#include "base/map.h"
#include <stdio.h>
#include <stdlib.h>

#define ADA 5U
#define BOB 6U

static struct shard_machine m;

static int set_up(void **state)
{
    (void)state;
    shard_machine_init(&m);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shard_machine_deinit(&m);
    return 0;
}

/* ---- making commands ---- */

/* The machine sees hashes and sealed bytes only: any will do. */
static struct sealed_name name_of(const char *text)
{
    uint8_t hash[SHARD_HASH_BYTES];
    struct sealed_name name;

    vy_put_be64(hash, vy_siphash(1, vy_cstr(text)));
    vy_put_be64(hash + 8, vy_siphash(2, vy_cstr(text)));
    assert_false(vy_failed(vy_arena_dup(&m.arena, vy_bytes(hash, sizeof(hash)), &name.hash)));
    assert_false(vy_failed(vy_arena_dup(&m.arena, vy_cstr(text), &name.sealed)));
    return name;
}

static struct shard_command of_account(uint64_t account_id)
{
    return (struct shard_command){.account_id = account_id, .account_epoch = 1};
}

static struct shard_result init_account(uint64_t account_id, uint64_t quota_bytes)
{
    const struct sealed_name inbox = name_of("INBOX");
    const struct sealed_name trash = name_of("Trash");
    const struct new_mailbox mailboxes[] = {
        {.name = &inbox, .role = MAILBOX_ROLE_INBOX, .subscribed = true},
        {.name = &trash, .role = MAILBOX_ROLE_TRASH, .subscribed = true},
    };
    const struct cmd_account_init init = {
        .quota_bytes = quota_bytes, .mailboxes_count = 2, .mailboxes = mailboxes};
    struct shard_command command = of_account(account_id);

    command.account_init = &init;
    return shard_machine_apply(&m, &command);
}

static struct shard_result create(uint64_t account_id, const char *text)
{
    const struct sealed_name name = name_of(text);
    const struct new_mailbox mailbox = {.name = &name};
    const struct cmd_mailbox_create body = {.mailboxes_count = 1, .mailboxes = &mailbox};
    struct shard_command command = of_account(account_id);

    command.mailbox_create = &body;
    return shard_machine_apply(&m, &command);
}

static struct account_row account(uint64_t account_id)
{
    struct account_row row = {.version = 0};
    bool found = false;

    assert_false(
        vy_failed(read_account(store_newest(m.store), &m.arena, account_id, &row, &found)));
    return row;
}

static uint64_t box_id(uint64_t account_id, const char *text)
{
    const struct sealed_name name = name_of(text);
    uint64_t id = 0;

    assert_false(
        vy_failed(read_mailbox_id(store_newest(m.store), account_id, name.hash.data, &id)));
    return id;
}

static struct mailbox_row box_row(uint64_t account_id, const char *text)
{
    struct mailbox_row row = {.version = 0};
    bool found = false;

    assert_false(vy_failed(read_mailbox(store_newest(m.store), &m.arena, account_id,
                                        box_id(account_id, text), &row, &found)));
    return row;
}

static struct shard_result delete_box(uint64_t account_id, const char *text, bool with_children)
{
    const struct sealed_name name = name_of(text);
    const struct cmd_mailbox_delete body = {.name_hash = name.hash,
                                            .with_children = with_children,
                                            .names_version = account(account_id).names_version};
    struct shard_command command = of_account(account_id);

    command.mailbox_delete = &body;
    return shard_machine_apply(&m, &command);
}

static uint64_t next_email = 1;

static struct new_message message_of(uint64_t size)
{
    uint8_t id[SHARD_ID_BYTES] = {0};
    uint8_t row[64] = {1}; /* version 1, no Message-ID, one chunk */
    struct new_message message = {.size_bytes = size, .no_message_id = true};

    vy_put_be64(id, next_email++);
    vy_put_be16(row + 2 + SHARD_HASH_BYTES, 1);
    assert_false(vy_failed(vy_arena_dup(&m.arena, vy_bytes(id, sizeof(id)), &message.email_id)));
    assert_false(vy_failed(vy_arena_dup(&m.arena, vy_bytes(row, sizeof(row)), &message.email_row)));
    return message;
}

static void put_body(uint64_t account_id, const struct new_message *message)
{
    static const uint8_t chunk[64] = {1, 2, 3};
    const struct shard_key key = keys_body(account_id, message->email_id.data, 0);

    shard_machine_put_payload(&m, shard_key_bytes(&key), vy_bytes(chunk, sizeof(chunk)));
}

static struct shard_result append_message(uint64_t account_id, const char *text,
                                          const struct new_message *message)
{
    const struct sealed_name name = name_of(text);
    const struct cmd_append body = {
        .name_hash = name.hash, .messages_count = 1, .messages = message};
    struct shard_command command = of_account(account_id);

    put_body(account_id, message);
    command.append = &body;
    return shard_machine_apply(&m, &command);
}

static struct shard_result append(uint64_t account_id, const char *text, uint64_t size)
{
    const struct new_message message = message_of(size);

    return append_message(account_id, text, &message);
}

static void append_many(uint64_t account_id, const char *text, size_t count)
{
    while (count > 0) {
        const size_t now = VY_MIN(count, (size_t)500);
        const struct sealed_name name = name_of(text);
        struct new_message *messages = VY_ARENA_ARRAY(&m.arena, now, struct new_message);
        for (size_t i = 0; i < now; i++) {
            messages[i] = message_of(100);
        }
        const struct cmd_append body = {
            .name_hash = name.hash, .messages_count = now, .messages = messages};
        struct shard_command command = of_account(account_id);
        command.append = &body;
        assert_int_equal(shard_machine_apply(&m, &command).code, SHARD_CODE_DONE);
        count -= now;
    }
}

static struct vy_bytes uid_range(uint32_t first, uint32_t last)
{
    struct uid_ranges uids;
    struct vy_bytes encoded;

    uids_init(&uids, &m.arena);
    uids_add_range(&uids, first, last);
    assert_false(vy_failed(uids_encode_arena(&uids, &m.arena, &encoded)));
    return encoded;
}

static void expect_uids(struct vy_bytes encoded, const char *expected)
{
    struct uid_ranges uids;
    char text[512] = "";
    size_t len = 0;

    assert_false(vy_failed(uids_decode(&m.arena, encoded, &uids)));
    for (size_t i = 0; i < uids.count; i++) {
        const struct uid_range *range = &uids.items[i];
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u", i == 0 ? "" : ",",
                                range->first);
        if (range->last != range->first) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, ":%u", range->last);
        }
    }
    assert_string_equal(text, expected);
}

static struct shard_result store_flags(uint64_t account_id, const char *box, struct vy_bytes uids,
                                       enum store_mode mode, uint32_t flags, const char *keyword)
{
    struct sealed_name name = {.hash = {.data = NULL}};
    struct cmd_store body = {
        .mailbox_id = box_id(account_id, box), .uids = uids, .mode = mode, .flags = flags};
    struct shard_command command = of_account(account_id);

    if (keyword != NULL) {
        name = name_of(keyword);
        body.keywords = &name;
        body.keywords_count = 1;
    }
    command.store = &body;
    return shard_machine_apply(&m, &command);
}

static struct shard_result copy(uint64_t account_id, const char *from, struct vy_bytes uids,
                                const char *to, bool move)
{
    const struct sealed_name target = name_of(to);
    const struct cmd_copy body = {.mailbox_id = box_id(account_id, from),
                                  .uids = uids,
                                  .target_hash = target.hash,
                                  .move = move};
    struct shard_command command = of_account(account_id);

    command.copy = &body;
    return shard_machine_apply(&m, &command);
}

static struct shard_result expunge(uint64_t account_id, const char *box, struct vy_bytes uids)
{
    const struct cmd_expunge body = {
        .mailbox_id = box_id(account_id, box), .uids = uids, .all_deleted = uids.len == 0};
    struct shard_command command = of_account(account_id);

    command.expunge = &body;
    return shard_machine_apply(&m, &command);
}

/* The rows of a mailbox as IMAP would show them: "1:\Seen 2" and so on, in hexadecimal flags. */
static void expect_rows(uint64_t account_id, const char *box, const char *expected)
{
    struct read_blocks blocks;
    struct block *block = NULL;
    char text[1024] = "";
    size_t len = 0;

    assert_false(vy_failed(read_blocks_open(store_newest(m.store), &m.arena, account_id,
                                            box_id(account_id, box), 1, &blocks)));
    for (;;) {
        assert_false(vy_failed(read_blocks_next(&blocks, &block)));
        if (block == NULL) {
            break;
        }
        for (uint32_t i = 0; i < block->count; i++) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u/%x", len == 0 ? "" : " ",
                                    block->uid[i], block->flags[i]);
        }
    }
    read_blocks_close(&blocks);
    assert_string_equal(text, expected);
}

/* Counters of the row equal what the blocks hold. */
static void check_counters(uint64_t account_id, const char *box)
{
    const struct mailbox_row row = box_row(account_id, box);
    struct read_blocks blocks;
    struct block *block = NULL;
    uint32_t messages = 0;
    uint32_t unseen = 0;
    uint32_t deleted = 0;
    uint32_t last_uid = 0;
    uint64_t bytes = 0;

    assert_false(vy_failed(read_blocks_open(store_newest(m.store), &m.arena, account_id,
                                            box_id(account_id, box), 1, &blocks)));
    for (;;) {
        assert_false(vy_failed(read_blocks_next(&blocks, &block)));
        if (block == NULL) {
            break;
        }
        for (uint32_t i = 0; i < block->count; i++) {
            assert_true(block->uid[i] > last_uid);
            assert_true(block->modseq[i] <= row.highest_modseq);
            last_uid = block->uid[i];
            messages++;
            bytes += block->size[i];
            unseen += (block->flags[i] & MAIL_FLAG_SEEN) == 0 ? 1 : 0;
            deleted += (block->flags[i] & MAIL_FLAG_DELETED) != 0 ? 1 : 0;
        }
    }
    read_blocks_close(&blocks);
    assert_true(last_uid < row.uidnext);
    assert_int_equal(messages, row.message_count);
    assert_int_equal(unseen, row.unseen_count);
    assert_int_equal(deleted, row.deleted_count);
    assert_int_equal(bytes, row.size_bytes);
}

/* ---- accounts and mailboxes ---- */

static void an_account_not_set_up_asks_for_it(void **state)
{
    (void)state;
    assert_int_equal(create(ADA, "Work").code, SHARD_CODE_NO_INIT);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_ACCT), 0);
    assert_int_equal(init_account(ADA, 0).code, SHARD_CODE_DONE);
    assert_int_equal(create(ADA, "Work").code, SHARD_CODE_DONE);
    assert_int_equal(account(ADA).mailbox_count, 3);
    assert_int_equal(account(ADA).subscription_count, 2);
}

static void setting_up_twice_changes_nothing(void **state)
{
    (void)state;
    init_account(ADA, 0);
    const uint32_t before = shard_machine_digest(&m);
    assert_int_equal(init_account(ADA, 99).code, SHARD_CODE_DONE);
    assert_int_equal(shard_machine_digest(&m), before);
}

static void a_name_is_made_once(void **state)
{
    (void)state;
    init_account(ADA, 0);
    const struct shard_result made = create(ADA, "Work");
    assert_int_equal(made.code, SHARD_CODE_DONE);
    assert_int_equal(made.mailbox_id, box_id(ADA, "Work"));
    assert_int_equal(create(ADA, "Work").code, SHARD_CODE_EXISTS);
}

/* P5: a mailbox made anew never looks like the old one, whatever the clock does. */
static void uidvalidity_and_mailbox_id_are_never_used_again(void **state)
{
    (void)state;
    init_account(ADA, 0);
    create(ADA, "Work");
    const struct mailbox_row old = box_row(ADA, "Work");
    const uint64_t old_id = box_id(ADA, "Work");
    assert_int_equal(delete_box(ADA, "Work", false).code, SHARD_CODE_DONE);
    assert_int_equal(box_id(ADA, "Work"), 0);
    m.time_ms -= 86400000; /* a leader with a slow clock */
    shard_machine_restart(&m);
    create(ADA, "Work");
    assert_true(box_row(ADA, "Work").uidvalidity > old.uidvalidity);
    assert_true(box_id(ADA, "Work") > old_id);
}

static void delete_refuses_inbox_unknown_names_and_stale_lists(void **state)
{
    (void)state;
    init_account(ADA, 0);
    assert_int_equal(delete_box(ADA, "INBOX", false).code, SHARD_CODE_PRECONDITION);
    assert_int_equal(delete_box(ADA, "None", false).code, SHARD_CODE_NOT_FOUND);
    create(ADA, "Work");
    const struct sealed_name name = name_of("Work");
    const struct cmd_mailbox_delete body = {.name_hash = name.hash,
                                            .names_version = account(ADA).names_version - 1};
    struct shard_command command = of_account(ADA);
    command.mailbox_delete = &body;
    assert_int_equal(shard_machine_apply(&m, &command).code, SHARD_CODE_CONFLICT);
    assert_int_not_equal(box_id(ADA, "Work"), 0);
}

static void delete_with_children_leaves_a_name_that_can_be_made_again(void **state)
{
    (void)state;
    init_account(ADA, 0);
    create(ADA, "Work");
    append(ADA, "Work", 100);
    const struct mailbox_row old = box_row(ADA, "Work");
    assert_int_equal(delete_box(ADA, "Work", true).code, SHARD_CODE_DONE);
    assert_true(box_row(ADA, "Work").no_select);
    assert_int_equal(box_row(ADA, "Work").message_count, 0);
    assert_int_equal(account(ADA).used_bytes, 0);
    assert_int_equal(append(ADA, "Work", 1).code, SHARD_CODE_NO_TARGET);
    assert_int_equal(create(ADA, "Work").code, SHARD_CODE_DONE);
    assert_false(box_row(ADA, "Work").no_select);
    assert_true(box_row(ADA, "Work").uidvalidity > old.uidvalidity);
}

static struct shard_result rename_one(const char *from, const char *to, bool from_inbox)
{
    const struct sealed_name name = name_of(to);
    const struct mailbox_new_name new_name = {.mailbox_id = box_id(ADA, from), .name = &name};
    const struct cmd_mailbox_rename body = {.names_count = 1,
                                            .names = &new_name,
                                            .names_version = account(ADA).names_version,
                                            .from_inbox = from_inbox};
    struct shard_command command = of_account(ADA);

    command.mailbox_rename = &body;
    return shard_machine_apply(&m, &command);
}

static void rename_keeps_the_mailbox_and_moves_its_name(void **state)
{
    (void)state;
    init_account(ADA, 0);
    create(ADA, "Work");
    append(ADA, "Work", 100);
    const uint64_t id = box_id(ADA, "Work");
    const uint32_t uidvalidity = box_row(ADA, "Work").uidvalidity;
    assert_int_equal(rename_one("Work", "INBOX", false).code, SHARD_CODE_EXISTS);
    assert_int_equal(rename_one("Work", "Job", false).code, SHARD_CODE_DONE);
    assert_int_equal(box_id(ADA, "Work"), 0);
    assert_int_equal(box_id(ADA, "Job"), id);
    assert_int_equal(box_row(ADA, "Job").uidvalidity, uidvalidity);
    expect_rows(ADA, "Job", "1/0");
    shard_machine_restart(&m);
    assert_int_equal(append(ADA, "Job", 1).code, SHARD_CODE_DONE);
    expect_rows(ADA, "Job", "1/0 2/0");
}

/* RFC 9051 section 6.3.6 */
static void renaming_inbox_moves_its_messages(void **state)
{
    (void)state;
    init_account(ADA, 0);
    append_many(ADA, "INBOX", 40);
    const uint64_t inbox_id = box_id(ADA, "INBOX");
    assert_int_equal(rename_one("INBOX", "Old", true).code, SHARD_CODE_DONE);
    assert_int_equal(box_id(ADA, "INBOX"), inbox_id);
    assert_int_equal(box_row(ADA, "INBOX").message_count, 0);
    assert_int_equal(box_row(ADA, "INBOX").uidnext, 41);
    assert_int_equal(box_row(ADA, "Old").message_count, 40);
    assert_int_equal(account(ADA).message_count, 40);
    assert_int_equal(account(ADA).used_bytes, 4000);
    check_counters(ADA, "INBOX");
    check_counters(ADA, "Old");
}

static void subscriptions_outlive_their_mailbox(void **state)
{
    (void)state;
    const struct sealed_name name = name_of("Later");
    struct cmd_mailbox_subscribe body = {.name = &name, .subscribed = true};
    struct shard_command command = of_account(ADA);

    init_account(ADA, 0);
    command.mailbox_subscribe = &body;
    assert_int_equal(shard_machine_apply(&m, &command).code, SHARD_CODE_DONE);
    assert_int_equal(account(ADA).subscription_count, 3);
    assert_int_equal(shard_machine_apply(&m, &command).code, SHARD_CODE_DONE);
    assert_int_equal(account(ADA).subscription_count, 3);
    body.subscribed = false;
    shard_machine_apply(&m, &command);
    assert_int_equal(account(ADA).subscription_count, 2);
}

static void opening_takes_recent_once(void **state)
{
    (void)state;
    init_account(ADA, 0);
    append(ADA, "INBOX", 1);
    append(ADA, "INBOX", 1);
    const struct cmd_mailbox_open body = {.mailbox_id = box_id(ADA, "INBOX")};
    struct shard_command command = of_account(ADA);
    command.mailbox_open = &body;
    assert_int_equal(shard_machine_apply(&m, &command).first_recent_uid, 1);
    append(ADA, "INBOX", 1);
    assert_int_equal(shard_machine_apply(&m, &command).first_recent_uid, 3);
    assert_int_equal(shard_machine_apply(&m, &command).first_recent_uid, 4);
}

/* ---- messages ---- */

static struct shard_result deliver_two(const struct new_message *first,
                                       const struct new_message *second, const uint8_t *key)
{
    const struct new_delivery recipients[] = {
        {.account_id = ADA, .account_epoch = 1, .message = first },
        {.account_id = BOB, .account_epoch = 1, .message = second},
    };
    const struct cmd_deliver body = {.recipients_count = 2, .recipients = recipients};
    struct shard_command command = {.deliver = &body};

    if (key != NULL) {
        command.idempotency_key = vy_bytes(key, SHARD_IDEMPOTENCY_KEY_BYTES);
    }
    put_body(ADA, first);
    put_body(BOB, second);
    return shard_machine_apply(&m, &command);
}

static void delivery_gives_rising_uids(void **state)
{
    (void)state;
    init_account(ADA, 0);
    init_account(BOB, 0);
    for (uint32_t uid = 1; uid <= 70; uid++) {
        const struct new_message a = message_of(10);
        const struct new_message b = message_of(20);
        const struct shard_result result = deliver_two(&a, &b, NULL);
        assert_int_equal(result.code, SHARD_CODE_DONE);
        assert_int_equal(result.recipients_count, 2);
        assert_int_equal(result.recipients[0].outcome, DELIVER_OUTCOME_STORED);
        assert_int_equal(result.recipients[0].uid, uid);
        assert_int_equal(result.recipients[1].uid, uid);
    }
    assert_int_equal(account(BOB).used_bytes, 1400);
    check_counters(ADA, "INBOX");
    assert_int_equal(shard_machine_count_rows(&m, SHARD_EMAIL), 140);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_REF), 140);
    /* Small last blocks join: 70 messages of each are 64 in one block and a tail. */
    assert_int_equal(shard_machine_count_rows(&m, SHARD_MSG), 4);
}

/* P2, P3: one recipient that cannot take it, and nobody has it; the bodies are gone again. */
static void delivery_stores_all_or_nothing(void **state)
{
    (void)state;
    init_account(ADA, 0);
    init_account(BOB, 15);
    const struct new_message a = message_of(10);
    const struct new_message b = message_of(20);
    const struct shard_result result = deliver_two(&a, &b, NULL);
    assert_int_equal(result.code, SHARD_CODE_QUOTA);
    assert_int_equal(result.recipients[0].outcome, DELIVER_OUTCOME_STORED);
    assert_int_equal(result.recipients[1].outcome, DELIVER_OUTCOME_OVER_QUOTA);
    assert_int_equal(box_row(ADA, "INBOX").message_count, 0);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_EMAIL), 0);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_BODY), 0);
}

/* P3, R4: the same delivery again stores nothing, and is answered alike. */
static void a_retried_delivery_stores_one_copy(void **state)
{
    (void)state;
    static const uint8_t key[SHARD_IDEMPOTENCY_KEY_BYTES] = "0123456789abcde";
    init_account(ADA, 0);
    init_account(BOB, 0);
    const struct new_message a = message_of(10);
    const struct new_message b = message_of(20);
    const struct new_message again_a = message_of(10);
    const struct new_message again_b = message_of(20);
    const struct shard_result first = deliver_two(&a, &b, key);
    const struct shard_result second = deliver_two(&again_a, &again_b, key);
    assert_int_equal(second.code, SHARD_CODE_DONE);
    assert_true(vy_bytes_equal(second.recipients[0].email_id, first.recipients[0].email_id));
    assert_int_equal(second.recipients[1].uid, first.recipients[1].uid);
    assert_int_equal(box_row(ADA, "INBOX").message_count, 1);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_BODY), 2);
    /* The very same command twice must not take away what it stored. */
    deliver_two(&a, &b, key);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_BODY), 2);
}

static void a_refused_command_is_judged_anew_under_its_key(void **state)
{
    (void)state;
    static const uint8_t key[SHARD_IDEMPOTENCY_KEY_BYTES] = "fedcba987654321";
    init_account(ADA, 0);
    init_account(BOB, 15);
    const struct new_message a = message_of(10);
    const struct new_message b = message_of(20);
    assert_int_equal(deliver_two(&a, &b, key).code, SHARD_CODE_QUOTA);
    const struct cmd_fence fence = {.set_quota = true, .quota_bytes = 100};
    struct shard_command command = of_account(BOB);
    command.fence = &fence;
    shard_machine_apply(&m, &command);
    assert_int_equal(deliver_two(&a, &b, key).code, SHARD_CODE_DONE);
}

static void keys_of_two_accounts_do_not_meet(void **state)
{
    (void)state;
    init_account(ADA, 0);
    init_account(BOB, 0);
    for (uint64_t id = ADA; id <= BOB; id++) {
        const struct sealed_name name = name_of("Work");
        const struct new_mailbox mailbox = {.name = &name};
        const struct cmd_mailbox_create body = {.mailboxes_count = 1, .mailboxes = &mailbox};
        struct shard_command command = of_account(id);
        command.mailbox_create = &body;
        command.idempotency_key = VY_LIT("0123456789abcdef");
        assert_int_equal(shard_machine_apply(&m, &command).code, SHARD_CODE_DONE);
        /* Again: not EXISTS, but the answer of before. */
        assert_int_equal(shard_machine_apply(&m, &command).mailbox_id, box_id(id, "Work"));
    }
}

static void short_bodies_come_inside_the_command(void **state)
{
    (void)state;
    init_account(ADA, 0);
    const struct new_message message = message_of(5);
    const struct shard_key key = keys_body(ADA, message.email_id.data, 0);
    const struct body_row row = {.key = shard_key_bytes(&key), .value = VY_LIT("sealed")};
    const struct sealed_name name = name_of("INBOX");
    const struct cmd_append body = {
        .name_hash = name.hash, .messages_count = 1, .messages = &message};
    struct shard_command command = of_account(ADA);
    command.append = &body;
    command.bodies = &row;
    command.bodies_count = 1;
    assert_int_equal(shard_machine_apply(&m, &command).code, SHARD_CODE_DONE);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_BODY), 1);
    const struct body_row odd = {.key = VY_LIT("k"), .value = VY_LIT("v")};
    command.bodies = &odd;
    assert_int_equal(shard_machine_apply(&m, &command).code, SHARD_CODE_PRECONDITION);
}

/* P8, DEL-4: the next holder of an address is a higher account, made in the same second perhaps. */
static void p8_a_later_account_has_a_higher_uidvalidity(void **state)
{
    (void)state;
    init_account(ADA, 0);
    create(ADA, "Work");
    m.time_ms -= 1000; /* and a leader with a slow clock */
    init_account(BOB, 0);
    create(BOB, "Work");
    assert_true(box_row(BOB, "INBOX").uidvalidity > box_row(ADA, "Work").uidvalidity);
    assert_true(box_row(BOB, "Work").uidvalidity > box_row(ADA, "Work").uidvalidity);
}

static void append_reports_uids_and_checks_target_and_quota(void **state)
{
    (void)state;
    init_account(ADA, 1000);
    const struct shard_result result = append(ADA, "INBOX", 600);
    assert_int_equal(result.code, SHARD_CODE_DONE);
    assert_int_equal(result.uidvalidity, box_row(ADA, "INBOX").uidvalidity);
    expect_uids(result.uids, "1");
    assert_int_equal(append(ADA, "INBOX", 401).code, SHARD_CODE_QUOTA);
    assert_int_equal(append(ADA, "None", 1).code, SHARD_CODE_NO_TARGET);
    assert_int_equal(append(ADA, "INBOX", 400).code, SHARD_CODE_DONE);
    assert_int_equal(account(ADA).used_bytes, 1000);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_BODY), 2);
}

static void replies_join_the_thread(void **state)
{
    (void)state;
    init_account(ADA, 0);
    const struct sealed_name a = name_of("<a@x>");
    const struct sealed_name b = name_of("<b@x>");
    const struct vy_bytes reply_hashes[] = {b.hash, a.hash};
    struct new_message first = message_of(1);
    struct new_message reply = message_of(1);
    first.no_message_id = false;
    first.thread_hashes = &a.hash;
    first.thread_hashes_count = 1;
    reply.no_message_id = false;
    reply.thread_hashes = reply_hashes;
    reply.thread_hashes_count = 2;
    append_message(ADA, "INBOX", &first);
    append_message(ADA, "INBOX", &reply);
    append(ADA, "INBOX", 1);

    struct read_blocks blocks;
    struct block *block = NULL;
    assert_false(vy_failed(
        read_blocks_open(store_newest(m.store), &m.arena, ADA, box_id(ADA, "INBOX"), 1, &blocks)));
    assert_false(vy_failed(read_blocks_next(&blocks, &block)));
    assert_memory_equal(block->thread_id[0], block->thread_id[1], SHARD_ID_BYTES);
    assert_memory_not_equal(block->thread_id[0], block->thread_id[2], SHARD_ID_BYTES);
    read_blocks_close(&blocks);
}

/* ---- flags ---- */

static void store_changes_flags_and_tells_what_it_left_alone(void **state)
{
    (void)state;
    init_account(ADA, 0);
    append_many(ADA, "INBOX", 5);
    const uint64_t before = box_row(ADA, "INBOX").highest_modseq;
    struct shard_result result =
        store_flags(ADA, "INBOX", uid_range(2, 3), STORE_MODE_ADD, MAIL_FLAG_SEEN, NULL);
    assert_int_equal(result.previous_modseq, before);
    assert_true(result.modseq > before);
    expect_rows(ADA, "INBOX", "1/0 2/1 3/1 4/0 5/0");
    /* Nothing to change: no modseq is spent. */
    result = store_flags(ADA, "INBOX", uid_range(2, 3), STORE_MODE_ADD, MAIL_FLAG_SEEN, NULL);
    assert_int_equal(result.modseq, 0);
    store_flags(ADA, "INBOX", uid_range(1, UINT32_MAX), STORE_MODE_REPLACE, MAIL_FLAG_FLAGGED,
                NULL);
    expect_rows(ADA, "INBOX", "1/4 2/4 3/4 4/4 5/4");
    store_flags(ADA, "INBOX", uid_range(5, 5), STORE_MODE_REMOVE, MAIL_FLAG_FLAGGED, NULL);
    expect_rows(ADA, "INBOX", "1/4 2/4 3/4 4/4 5/0");
    /* \Recent is no message's own. */
    store_flags(ADA, "INBOX", uid_range(5, 5), STORE_MODE_ADD, MAIL_FLAG_RECENT, NULL);
    expect_rows(ADA, "INBOX", "1/4 2/4 3/4 4/4 5/0");
    check_counters(ADA, "INBOX");
}

static void store_reports_missing_uids(void **state)
{
    (void)state;
    init_account(ADA, 0);
    append_many(ADA, "INBOX", 5);
    store_flags(ADA, "INBOX", uid_range(2, 3), STORE_MODE_ADD, MAIL_FLAG_DELETED, NULL);
    expunge(ADA, "INBOX", vy_bytes(NULL, 0));
    const struct shard_result result =
        store_flags(ADA, "INBOX", uid_range(1, 100), STORE_MODE_ADD, MAIL_FLAG_SEEN, NULL);
    expect_uids(result.missing, "2:3");
    expect_rows(ADA, "INBOX", "1/1 4/1 5/1");
}

/* RFC 7162 section 3.1.3 */
static void store_refuses_what_changed_since(void **state)
{
    (void)state;
    init_account(ADA, 0);
    append_many(ADA, "INBOX", 3);
    const uint64_t before = box_row(ADA, "INBOX").highest_modseq;
    store_flags(ADA, "INBOX", uid_range(2, 2), STORE_MODE_ADD, MAIL_FLAG_SEEN, NULL);
    const struct cmd_store body = {.mailbox_id = box_id(ADA, "INBOX"),
                                   .uids = uid_range(1, 3),
                                   .mode = STORE_MODE_ADD,
                                   .flags = MAIL_FLAG_FLAGGED,
                                   .has_unchanged_since = true,
                                   .unchanged_since = before};
    struct shard_command command = of_account(ADA);
    command.store = &body;
    const struct shard_result result = shard_machine_apply(&m, &command);
    expect_uids(result.source_uids, "2");
    expect_rows(ADA, "INBOX", "1/4 2/1 3/4");
}

static void keywords_get_bits_and_a_limit(void **state)
{
    (void)state;
    init_account(ADA, 0);
    append_many(ADA, "INBOX", 2);
    char name[32];
    for (unsigned i = 0; i < BLOCK_KEYWORDS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "$k%u", i);
        assert_int_equal(store_flags(ADA, "INBOX", uid_range(1, 1), STORE_MODE_ADD, 0, name).code,
                         SHARD_CODE_DONE);
    }
    assert_int_equal(box_row(ADA, "INBOX").keyword_count, BLOCK_KEYWORDS_MAX);
    assert_int_equal(store_flags(ADA, "INBOX", uid_range(1, 1), STORE_MODE_ADD, 0, "$more").code,
                     SHARD_CODE_LIMIT);
    shard_machine_restart(&m);
    store_flags(ADA, "INBOX", uid_range(1, 2), STORE_MODE_ADD, 0, "$k200");
    struct read_blocks blocks;
    struct block *block = NULL;
    assert_false(vy_failed(
        read_blocks_open(store_newest(m.store), &m.arena, ADA, box_id(ADA, "INBOX"), 1, &blocks)));
    assert_false(vy_failed(read_blocks_next(&blocks, &block)));
    assert_true(block_has_keyword(block, 0, 255));
    assert_true(block_has_keyword(block, 1, 200));
    assert_false(block_has_keyword(block, 1, 199));
    read_blocks_close(&blocks);
}

/* Design section 7: one STORE over 10,000 messages is one change row and some 40 block rows. */
static void a_store_over_ten_thousand_writes_few_rows(void **state)
{
    (void)state;
    init_account(ADA, 0);
    append_many(ADA, "INBOX", 10000);
    assert_true(shard_machine_count_rows(&m, SHARD_MSG) <= 10000 / BLOCK_MESSAGES_MAX + 2);
    const size_t changes = shard_machine_count_rows(&m, SHARD_CHG);
    const struct shard_result result =
        store_flags(ADA, "INBOX", uid_range(1, 10000), STORE_MODE_ADD, MAIL_FLAG_SEEN, NULL);
    assert_int_equal(result.code, SHARD_CODE_DONE);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_CHG), changes + 1);
    assert_int_equal(box_row(ADA, "INBOX").unseen_count, 0);
    check_counters(ADA, "INBOX");
}

/* ---- copy, move, expunge ---- */

static void copy_shares_the_email(void **state)
{
    (void)state;
    init_account(ADA, 0);
    append_many(ADA, "INBOX", 3);
    store_flags(ADA, "INBOX", uid_range(2, 2), STORE_MODE_ADD, MAIL_FLAG_SEEN, "$Work");
    const struct shard_result result = copy(ADA, "INBOX", uid_range(2, 9), "Trash", false);
    assert_int_equal(result.code, SHARD_CODE_DONE);
    expect_uids(result.source_uids, "2:3");
    expect_uids(result.uids, "1:2");
    assert_int_equal(result.uidvalidity, box_row(ADA, "Trash").uidvalidity);
    expect_rows(ADA, "Trash", "1/1 2/0");
    assert_int_equal(box_row(ADA, "Trash").keyword_count, 1);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_EMAIL), 3);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_REF), 5);
    assert_int_equal(account(ADA).used_bytes, 500);
    assert_int_equal(copy(ADA, "INBOX", uid_range(1, 1), "None", false).code, SHARD_CODE_NO_TARGET);
}

/* P2: at no point in two places or none. */
static void move_leaves_the_message_in_one_place(void **state)
{
    (void)state;
    init_account(ADA, 300);
    append_many(ADA, "INBOX", 3);
    const uint64_t before = box_row(ADA, "INBOX").highest_modseq;
    const struct shard_result result = copy(ADA, "INBOX", uid_range(1, 2), "Trash", true);
    assert_int_equal(result.code, SHARD_CODE_DONE); /* a full account can still move */
    assert_int_equal(result.previous_modseq, before);
    assert_int_equal(result.modseq, box_row(ADA, "INBOX").highest_modseq);
    expect_rows(ADA, "INBOX", "3/0");
    expect_rows(ADA, "Trash", "1/0 2/0");
    assert_int_equal(account(ADA).used_bytes, 300);
    assert_int_equal(account(ADA).message_count, 3);
    check_counters(ADA, "INBOX");
    check_counters(ADA, "Trash");
}

static void move_within_one_mailbox_gives_new_uids(void **state)
{
    (void)state;
    init_account(ADA, 0);
    append_many(ADA, "INBOX", 3);
    const struct shard_result result = copy(ADA, "INBOX", uid_range(1, 2), "INBOX", true);
    expect_uids(result.uids, "4:5");
    assert_int_equal(result.previous_modseq, 0);
    expect_rows(ADA, "INBOX", "3/0 4/0 5/0");
    check_counters(ADA, "INBOX");
}

static void expunge_takes_only_deleted_messages_of_the_set(void **state)
{
    (void)state;
    init_account(ADA, 0);
    append_many(ADA, "INBOX", 300);
    store_flags(ADA, "INBOX", uid_range(100, 290), STORE_MODE_ADD, MAIL_FLAG_DELETED, NULL);
    struct shard_result result = expunge(ADA, "INBOX", uid_range(1, 150));
    expect_uids(result.uids, "100:150");
    assert_int_equal(box_row(ADA, "INBOX").deleted_count, 140);
    result = expunge(ADA, "INBOX", vy_bytes(NULL, 0));
    expect_uids(result.uids, "151:290");
    assert_int_equal(box_row(ADA, "INBOX").message_count, 109);
    assert_int_equal(account(ADA).used_bytes, 10900);
    check_counters(ADA, "INBOX");
    /* Both ends in one block now. */
    assert_int_equal(shard_machine_count_rows(&m, SHARD_MSG), 1);
    /* Nothing left to take. */
    assert_int_equal(expunge(ADA, "INBOX", vy_bytes(NULL, 0)).modseq, 0);
    /* UIDs go on, also after a restart. */
    shard_machine_restart(&m);
    expect_uids(append(ADA, "INBOX", 1).uids, "301");
}

static struct shard_result purge_all(uint64_t account_id)
{
    struct purge_row rows[SHARD_GONE_ROWS_MAX];
    const struct store_range all = {.from = {.data = NULL}};
    struct store_iter *iter = NULL;
    size_t count = 0;

    assert_false(vy_failed(
        store_iter_new(store_newest(m.store), shard_store_family(SHARD_GONE), &all, &iter)));
    for (; iter->is_valid && count < SHARD_GONE_ROWS_MAX; store_iter_next(iter)) {
        struct purge_row *row = &rows[count++];
        *row = (struct purge_row){.account_id = account_id,
                                  .part = vy_get_be32(iter->key.data + iter->key.len - 4)};
        assert_true(keys_parse_modseq(iter->key, &row->mailbox_id, &row->modseq));
    }
    store_iter_free(iter);
    const struct cmd_purge body = {.rows_count = count, .rows = rows};
    const struct shard_command command = {.purge = &body};
    return shard_machine_apply(&m, &command);
}

/* IMAP-F2: content stays until the purge; then it is gone, unless another mailbox has it. */
static void purge_removes_what_nobody_refers_to(void **state)
{
    (void)state;
    init_account(ADA, 0);
    append(ADA, "INBOX", 10);
    append(ADA, "INBOX", 10);
    copy(ADA, "INBOX", uid_range(2, 2), "Trash", false);
    store_flags(ADA, "INBOX", uid_range(1, 2), STORE_MODE_ADD, MAIL_FLAG_DELETED, NULL);
    expunge(ADA, "INBOX", vy_bytes(NULL, 0));
    assert_int_equal(shard_machine_count_rows(&m, SHARD_EMAIL), 2);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_GONE), 1);
    assert_int_equal(m.events[FSM_EVENT_GONE], 1);
    assert_int_equal(purge_all(ADA).code, SHARD_CODE_DONE);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_GONE), 0);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_EMAIL), 1);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_BODY), 1);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_REF), 1);
    expect_rows(ADA, "Trash", "1/0");
    /* Twice is once. */
    const uint32_t digest = shard_machine_digest(&m);
    purge_all(ADA);
    assert_int_equal(shard_machine_digest(&m), digest);
}

static void deleting_a_mailbox_leaves_its_content_to_the_purge(void **state)
{
    (void)state;
    init_account(ADA, 0);
    create(ADA, "Work");
    append_many(ADA, "Work", 300);
    assert_int_equal(delete_box(ADA, "Work", false).code, SHARD_CODE_DONE);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_MSG), 0);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_CHG), 0);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_GONE), 2);
    assert_int_equal(account(ADA).used_bytes, 0);
    purge_all(ADA);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_EMAIL), 0);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_REF), 0);
}

/* ---- stages, fences ---- */

static struct shard_result stage(const struct new_message *message, uint32_t chunk)
{
    const struct cmd_stage body = {.email_id = message->email_id,
                                   .chunk = chunk,
                                   .bytes = 1000,
                                   .expires_ms = m.time_ms + 60000};
    const struct shard_key key = keys_body(ADA, message->email_id.data, chunk);
    struct shard_command command = of_account(ADA);

    shard_machine_put_payload(&m, shard_key_bytes(&key), VY_LIT("chunk"));
    command.stage = &body;
    return shard_machine_apply(&m, &command);
}

static void a_staged_body_is_committed_once(void **state)
{
    (void)state;
    init_account(ADA, 0);
    struct new_message message = message_of(2000);
    assert_int_equal(stage(&message, 0).code, SHARD_CODE_DONE);
    assert_int_equal(stage(&message, 1).code, SHARD_CODE_DONE);
    message.staged = true;
    assert_int_equal(append_message(ADA, "INBOX", &message).code, SHARD_CODE_DONE);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_STAGE), 0);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_BODY), 2);
    /* Its stage is gone: it cannot be committed again. */
    assert_int_equal(append_message(ADA, "INBOX", &message).code, SHARD_CODE_NO_STAGE);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_BODY), 2);
}

static void an_unfinished_stage_goes_when_it_expired(void **state)
{
    (void)state;
    init_account(ADA, 0);
    const struct new_message message = message_of(2000);
    const struct stage_name name = {.account_id = ADA, .email_id = message.email_id};
    struct cmd_stage_end body = {
        .stages_count = 1, .stages = &name, .expired_before_ms = m.time_ms + 59999};
    const struct shard_command command = {.stage_end = &body};

    stage(&message, 0);
    assert_int_equal(shard_machine_apply(&m, &command).code, SHARD_CODE_DONE);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_STAGE), 1);
    body.expired_before_ms = m.time_ms + 60000;
    shard_machine_apply(&m, &command);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_STAGE), 0);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_BODY), 0);
}

static struct shard_result fence(uint64_t account_id, uint64_t epoch, bool erase)
{
    const struct cmd_fence body = {.erase = erase};
    const struct shard_command command = {
        .account_id = account_id, .account_epoch = epoch, .fence = &body};

    return shard_machine_apply(&m, &command);
}

/* APP-2, design section 6: an old epoch is refused by the log, delivery included. */
static void a_fence_ends_older_sessions(void **state)
{
    (void)state;
    init_account(ADA, 0);
    init_account(BOB, 0);
    assert_int_equal(fence(ADA, 4, false).account_epoch, 4);
    assert_int_equal(fence(ADA, 2, false).account_epoch, 4);
    assert_int_equal(create(ADA, "Work").code, SHARD_CODE_STALE);
    const struct new_message a = message_of(1);
    const struct new_message b = message_of(1);
    const struct shard_result result = deliver_two(&a, &b, NULL);
    assert_int_equal(result.recipients[0].outcome, DELIVER_OUTCOME_NO_ACCOUNT);
    assert_int_equal(m.events[FSM_EVENT_FENCE], 2);
    assert_int_equal(m.last_event.modseq, 4);
}

/* DEL-4, P8: nothing of the account is left but its epoch, and nothing old comes back. */
static void erasing_leaves_a_tombstone_only(void **state)
{
    (void)state;
    init_account(ADA, 0);
    init_account(BOB, 0);
    append_many(ADA, "INBOX", 40);
    append_many(BOB, "INBOX", 1);
    const struct new_message half = message_of(2000);
    stage(&half, 0);
    assert_int_equal(fence(ADA, 9, true).code, SHARD_CODE_DONE);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_ACCT), 2);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_MSG), 1);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_EMAIL), 1);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_REF), 1);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_STAGE), 0);
    assert_int_equal(shard_machine_count_rows(&m, SHARD_BODY), 0);
    assert_true(account(ADA).erased);
    assert_int_equal(account(ADA).used_bytes, 0);
    assert_int_equal(init_account(ADA, 0).code, SHARD_CODE_NO_ACCOUNT);
    assert_int_equal(append(ADA, "INBOX", 1).code, SHARD_CODE_NO_ACCOUNT);
}

static void a_fence_before_first_use_is_remembered(void **state)
{
    (void)state;
    fence(ADA, 7, false);
    assert_int_equal(create(ADA, "Work").code, SHARD_CODE_NO_INIT);
    assert_int_equal(init_account(ADA, 0).code, SHARD_CODE_DONE);
    assert_int_equal(account(ADA).epoch, 7);
    assert_int_equal(create(ADA, "Work").code, SHARD_CODE_STALE);
}

/* ---- order and sameness ---- */

static void modseq_never_falls(void **state)
{
    (void)state;
    uint64_t last = 0;

    init_account(ADA, 0);
    create(ADA, "Work");
    for (unsigned i = 0; i < 20; i++) {
        append(ADA, i % 2 == 0 ? "INBOX" : "Work", 10);
        store_flags(ADA, "INBOX", uid_range(1, 5), i % 3 == 0 ? STORE_MODE_ADD : STORE_MODE_REMOVE,
                    MAIL_FLAG_SEEN, NULL);
        copy(ADA, "INBOX", uid_range(1, 1), "Work", i % 5 == 0);
        assert_true(account(ADA).modseq > last);
        last = account(ADA).modseq;
        assert_true(box_row(ADA, "INBOX").highest_modseq <= last);
        assert_true(box_row(ADA, "Work").highest_modseq <= last);
    }
}

static void changes_are_recorded_in_order(void **state)
{
    (void)state;
    init_account(ADA, 0);
    append_many(ADA, "INBOX", 3);
    store_flags(ADA, "INBOX", uid_range(1, 2), STORE_MODE_ADD, MAIL_FLAG_DELETED, NULL);
    expunge(ADA, "INBOX", uid_range(2, 2));

    static const struct {
        enum change_kind kind;
        const char *uids;
    } expected[] = {
        {CHANGE_ADDED,    "1:3"},
        {CHANGE_FLAGS,    "1:2"},
        {CHANGE_EXPUNGED, "2"  }
    };
    const struct store_range all = {.from = {.data = NULL}};
    struct store_iter *iter = NULL;
    size_t i = 0;
    assert_false(vy_failed(
        store_iter_new(store_newest(m.store), shard_store_family(SHARD_CHG), &all, &iter)));
    for (; iter->is_valid; store_iter_next(iter), i++) {
        struct change_record record;
        struct vy_bytes encoded;
        assert_true(i < VY_COUNT_OF(expected));
        assert_false(vy_failed(change_decode(iter->value, &m.arena, &record)));
        assert_int_equal(record.kind, expected[i].kind);
        assert_false(vy_failed(uids_encode_arena(&record.uids, &m.arena, &encoded)));
        expect_uids(encoded, expected[i].uids);
    }
    store_iter_free(iter);
    assert_int_equal(i, VY_COUNT_OF(expected));
}

/* A pseudo-random mix of commands; `restart_every` drops the cache in between. */
static uint32_t run_mix(unsigned seed, unsigned restart_every)
{
    struct fake_rng rng;

    fake_rng_init(&rng, seed);
    next_email = 1;
    init_account(ADA, 0);
    create(ADA, "Work");
    for (unsigned i = 0; i < 400; i++) {
        static const char *const boxes[] = {"INBOX", "Work", "Trash"};
        const char *box = boxes[vy_rng_below(&rng.base, 3)];
        const char *other = boxes[vy_rng_below(&rng.base, 3)];
        const uint32_t first = 1 + (uint32_t)vy_rng_below(&rng.base, 120);
        const struct vy_bytes uids =
            uid_range(first, first + (uint32_t)vy_rng_below(&rng.base, 60));
        const uint32_t flags = (uint32_t)vy_rng_below(&rng.base, 32);
        switch (vy_rng_below(&rng.base, 6)) {
        case 0:
        case 1:
            append_many(ADA, box, 1 + vy_rng_below(&rng.base, 40));
            break;
        case 2:
            store_flags(ADA, box, uids, 1 + (enum store_mode)vy_rng_below(&rng.base, 3), flags,
                        flags % 4 == 0 ? "$k" : NULL);
            break;
        case 3:
            copy(ADA, box, uids, other, flags % 2 == 0);
            break;
        case 4:
            store_flags(ADA, box, uids, STORE_MODE_ADD, MAIL_FLAG_DELETED, NULL);
            break;
        default:
            expunge(ADA, box, flags % 2 == 0 ? uids : vy_bytes(NULL, 0));
            break;
        }
        if (restart_every != 0 && i % restart_every == 0) {
            shard_machine_restart(&m);
        }
        m.time_ms += 1000;
    }
    check_counters(ADA, "INBOX");
    check_counters(ADA, "Work");
    check_counters(ADA, "Trash");
    const uint64_t bytes = box_row(ADA, "INBOX").size_bytes + box_row(ADA, "Work").size_bytes +
                           box_row(ADA, "Trash").size_bytes;
    assert_int_equal(account(ADA).used_bytes, bytes);
    return shard_machine_digest(&m);
}

/* P10: what is cached must not show in the rows. */
static void two_machines_agree_whatever_they_have_cached(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 5; seed++) {
        const uint32_t first = run_mix(seed, 0);
        shard_machine_deinit(&m);
        shard_machine_init(&m);
        const uint32_t second = run_mix(seed, 1 + seed);
        assert_int_equal(first, second);
        shard_machine_deinit(&m);
        shard_machine_init(&m);
    }
}

static void an_unknown_version_stops_the_node(void **state)
{
    (void)state;
    const struct cmd_purge purge = {.rows_count = 0};
    const struct shard_command command = {.version = SHARD_COMMAND_VERSION + 1, .purge = &purge};
    const struct shard_command empty = {.version = SHARD_COMMAND_VERSION};
    VY_CLEANUP(vy_buf_deinit) struct vy_buf encoded;
    VY_CLEANUP(vy_buf_deinit) struct vy_buf result;

    vy_buf_init(&encoded, 1024);
    vy_buf_init(&result, 1024);
    assert_false(vy_failed(vy_pb_encode(&shard_command_desc, &command, &encoded)));
    assert_int_equal(shard_machine_apply_bytes(&m, vy_buf_bytes(&encoded), &result).code,
                     VY_CODE_UNSUPPORTED);
    vy_buf_reset(&encoded);
    assert_false(vy_failed(vy_pb_encode(&shard_command_desc, &empty, &encoded)));
    assert_int_equal(shard_machine_apply_bytes(&m, vy_buf_bytes(&encoded), &result).code,
                     VY_CODE_UNSUPPORTED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(an_account_not_set_up_asks_for_it),
        T(setting_up_twice_changes_nothing),
        T(a_name_is_made_once),
        T(uidvalidity_and_mailbox_id_are_never_used_again),
        T(delete_refuses_inbox_unknown_names_and_stale_lists),
        T(delete_with_children_leaves_a_name_that_can_be_made_again),
        T(rename_keeps_the_mailbox_and_moves_its_name),
        T(renaming_inbox_moves_its_messages),
        T(subscriptions_outlive_their_mailbox),
        T(opening_takes_recent_once),
        T(delivery_gives_rising_uids),
        T(delivery_stores_all_or_nothing),
        T(a_retried_delivery_stores_one_copy),
        T(a_refused_command_is_judged_anew_under_its_key),
        T(keys_of_two_accounts_do_not_meet),
        T(short_bodies_come_inside_the_command),
        T(p8_a_later_account_has_a_higher_uidvalidity),
        T(append_reports_uids_and_checks_target_and_quota),
        T(replies_join_the_thread),
        T(store_changes_flags_and_tells_what_it_left_alone),
        T(store_reports_missing_uids),
        T(store_refuses_what_changed_since),
        T(keywords_get_bits_and_a_limit),
        T(a_store_over_ten_thousand_writes_few_rows),
        T(copy_shares_the_email),
        T(move_leaves_the_message_in_one_place),
        T(move_within_one_mailbox_gives_new_uids),
        T(expunge_takes_only_deleted_messages_of_the_set),
        T(purge_removes_what_nobody_refers_to),
        T(deleting_a_mailbox_leaves_its_content_to_the_purge),
        T(a_staged_body_is_committed_once),
        T(an_unfinished_stage_goes_when_it_expired),
        T(a_fence_ends_older_sessions),
        T(erasing_leaves_a_tombstone_only),
        T(a_fence_before_first_use_is_remembered),
        T(modseq_never_falls),
        T(changes_are_recorded_in_order),
        T(two_machines_agree_whatever_they_have_cached),
        T(an_unknown_version_stops_the_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
