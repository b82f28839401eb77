/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/check.h"

#include "mail/flags.h"
#include "shard/change.h"
#include "shard/email_row.h"
#include "shard/fsm.h"
#include "shard/log_replica.h"
#include "shard/read.h"

#define ARENA_BYTES_MAX (16U * 1024U * 1024U)

struct walk {
    const struct store_reader *reader;
    struct check *check;
    struct vy_arena arena; /* of one mailbox */
    uint64_t account_id;
    uint64_t mailbox_id;
    uint32_t last_uid;
    struct mailbox_row counted; /* what the index blocks say */
    struct account_row summed;  /* what the mailboxes say */
};

typedef struct vy_err (*walk_row_fn)(struct walk *walk, struct vy_bytes key, struct vy_bytes value);

static void problem(struct walk *walk, const char *what)
{
    check_problem(walk->check, "account %016llx, mailbox %016llx: %s",
                  (unsigned long long)walk->account_id, (unsigned long long)walk->mailbox_id, what);
}

/* Damage is a finding; the walk goes on. */
static struct vy_err note(struct walk *walk, struct vy_err err)
{
    if (err.code == VY_CODE_CORRUPT || err.code == VY_CODE_SYNTAX || err.code == VY_CODE_LIMIT) {
        problem(walk, err.what);
        return vy_ok();
    }
    return err;
}

static struct vy_err walk_rows(struct walk *walk, enum shard_family family,
                               const struct shard_key *from, const struct shard_key *to,
                               walk_row_fn fn)
{
    const struct store_range range = {.from =
                                          from == NULL ? vy_bytes(NULL, 0) : shard_key_bytes(from),
                                      .to = to == NULL ? vy_bytes(NULL, 0) : shard_key_bytes(to)};
    struct store_iter *iter = NULL;
    VY_TRY(store_iter_new(walk->reader, shard_store_family(family), &range, &iter));
    struct vy_err err = vy_ok();
    while (iter->is_valid && !vy_failed(err)) {
        check_count_row(walk->check, "tables", 0);
        err = fn(walk, iter->key, iter->value);
        if (!vy_failed(err)) {
            store_iter_next(iter);
        }
    }
    if (!vy_failed(err)) {
        err = store_iter_error(iter);
    }
    store_iter_free(iter);
    return err;
}

static struct vy_err row_exists(struct walk *walk, enum shard_family family,
                                const struct shard_key *key, bool *out)
{
    struct store_value value = {.is_found = false};
    VY_TRY(store_get(walk->reader, shard_store_family(family), shard_key_bytes(key), &value));
    *out = value.is_found;
    store_value_release(&value);
    return vy_ok();
}

/* ---- messages ---- */

static struct vy_err check_message(struct walk *walk, const struct block *block, uint32_t i)
{
    const struct shard_key email = keys_id(walk->account_id, block->email_id[i]);
    const struct shard_key ref =
        keys_ref(walk->account_id, block->email_id[i], walk->mailbox_id, block->uid[i]);
    bool has_email = false;
    bool has_ref = false;
    VY_TRY(row_exists(walk, SHARD_EMAIL, &email, &has_email));
    VY_TRY(row_exists(walk, SHARD_REF, &ref, &has_ref));
    if (!has_email) {
        problem(walk, "a message has no email row");
    }
    if (!has_ref) {
        problem(walk, "a message has no reference");
    }
    return vy_ok();
}

static void count_message(struct mailbox_row *counted, const struct block *block, uint32_t i)
{
    counted->message_count++;
    counted->size_bytes += block->size[i];
    counted->unseen_count += (block->flags[i] & MAIL_FLAG_SEEN) == 0;
    counted->deleted_count += (block->flags[i] & MAIL_FLAG_DELETED) != 0;
    counted->highest_modseq = VY_MAX(counted->highest_modseq, block->modseq[i]);
}

static struct vy_err check_block(struct walk *walk, struct vy_bytes key, struct vy_bytes value)
{
    struct block *block = VY_ARENA_NEW(&walk->arena, struct block);
    (void)key;
    if (block == NULL) {
        return vy_error(VY_CODE_NOMEM, "index block");
    }
    const struct vy_err err = block_decode(value, block);
    for (uint32_t i = 0; !vy_failed(err) && i < block->count; i++) {
        if (block->uid[i] <= walk->last_uid) {
            problem(walk, "UIDs of the index do not rise");
        }
        walk->last_uid = block->uid[i];
        count_message(&walk->counted, block, i);
        VY_TRY(check_message(walk, block, i));
    }
    vy_arena_reset(&walk->arena);
    return note(walk, err);
}

static struct vy_err check_gone(struct walk *walk, struct vy_bytes key, struct vy_bytes value)
{
    struct block *block = VY_ARENA_NEW(&walk->arena, struct block);
    uint64_t modseq = 0;
    if (block == NULL) {
        return vy_error(VY_CODE_NOMEM, "index block");
    }
    struct vy_err err = block_decode(value, block);
    if (!keys_parse_account(key, &walk->account_id) ||
        !keys_parse_modseq(key, &walk->mailbox_id, &modseq)) {
        err = vy_error(VY_CODE_CORRUPT, "key of an expunged block");
    }
    for (uint32_t i = 0; !vy_failed(err) && i < block->count; i++) {
        VY_TRY(check_message(walk, block, i));
    }
    vy_arena_reset(&walk->arena);
    return note(walk, err);
}

static struct vy_err check_change(struct walk *walk, struct vy_bytes key, struct vy_bytes value)
{
    struct change_record record;
    uint64_t modseq = 0;
    struct vy_err err = change_decode(value, &walk->arena, &record);
    if (!keys_parse_account(key, &walk->account_id) ||
        !keys_parse_modseq(key, &walk->mailbox_id, &modseq)) {
        err = vy_error(VY_CODE_CORRUPT, "key of a change record");
    }
    vy_arena_reset(&walk->arena);
    return note(walk, err);
}

/* ---- emails and bodies ---- */

static struct vy_err check_email(struct walk *walk, struct vy_bytes key, struct vy_bytes value)
{
    struct email_head head;
    walk->mailbox_id = 0;
    if (!keys_parse_account(key, &walk->account_id) ||
        key.len != SHARD_ACCOUNT_PREFIX_BYTES + SHARD_ID_BYTES) {
        return note(walk, vy_error(VY_CODE_CORRUPT, "key of an email"));
    }
    const struct vy_err err = email_row_head(value, &head);
    if (vy_failed(err)) {
        return note(walk, err);
    }
    for (uint32_t chunk = 0; chunk < head.chunk_count; chunk++) {
        const struct shard_key body =
            keys_body(walk->account_id, key.data + SHARD_ACCOUNT_PREFIX_BYTES, chunk);
        bool is_there = false;
        VY_TRY(row_exists(walk, SHARD_BODY, &body, &is_there));
        if (!is_there) {
            problem(walk, "an email lacks a chunk of its body");
        }
    }
    return vy_ok();
}

/* ---- mailboxes ---- */

static void compare(struct walk *walk, const struct mailbox_row *row)
{
    const struct mailbox_row *counted = &walk->counted;
    if (row->message_count != counted->message_count || row->size_bytes != counted->size_bytes) {
        problem(walk, "messages or bytes differ from the index");
    }
    if (row->unseen_count != counted->unseen_count ||
        row->deleted_count != counted->deleted_count) {
        problem(walk, "unseen or deleted messages differ from the index");
    }
    if (row->uidnext <= walk->last_uid) {
        problem(walk, "UIDNEXT is not above every UID");
    }
    if (row->highest_modseq < counted->highest_modseq) {
        problem(walk, "HIGHESTMODSEQ is below that of a message");
    }
}

static struct vy_err check_name(struct walk *walk, const struct mailbox_row *row)
{
    uint64_t found = 0;
    if (row->name_hash.len != SHARD_HASH_BYTES) {
        return vy_error(VY_CODE_CORRUPT, "hash of the mailbox name");
    }
    VY_TRY(read_mailbox_id(walk->reader, walk->account_id, row->name_hash.data, &found));
    return found == walk->mailbox_id ? vy_ok()
                                     : vy_error(VY_CODE_CORRUPT, "its name leads elsewhere");
}

static struct vy_err check_mailbox(struct walk *walk)
{
    struct mailbox_row row;
    bool found = false;
    VY_TRY(note(walk, read_mailbox(walk->reader, &walk->arena, walk->account_id, walk->mailbox_id,
                                   &row, &found)));
    if (!found) {
        return vy_ok(); /* it was told */
    }
    VY_TRY(note(walk, check_name(walk, &row)));
    const struct shard_key from = keys_box_first(walk->account_id, walk->mailbox_id);
    const struct shard_key to = keys_box_end(walk->account_id, walk->mailbox_id);
    walk->last_uid = 0;
    walk->counted = (struct mailbox_row){.version = 1};
    VY_TRY(walk_rows(walk, SHARD_MSG, &from, &to, check_block));
    compare(walk, &row);
    walk->summed.message_count += walk->counted.message_count;
    walk->summed.used_bytes += walk->counted.size_bytes;
    walk->summed.mailbox_count++;
    return vy_ok();
}

static struct vy_err check_mailbox_row(struct walk *walk, struct vy_bytes key,
                                       struct vy_bytes value)
{
    (void)value;
    if (key.len != SHARD_ACCOUNT_PREFIX_BYTES + 9) {
        return note(walk, vy_error(VY_CODE_CORRUPT, "key of a mailbox"));
    }
    walk->mailbox_id = vy_get_be64(key.data + SHARD_ACCOUNT_PREFIX_BYTES + 1);
    return check_mailbox(walk);
}

static void compare_account(struct walk *walk, const struct account_row *row)
{
    walk->mailbox_id = 0;
    if (row->erased && walk->summed.mailbox_count > 0) {
        problem(walk, "the account is erased and has mailboxes");
    }
    if (!row->erased && row->mailbox_count != walk->summed.mailbox_count) {
        problem(walk, "its count of mailboxes differs from the mailboxes");
    }
    if (!row->erased && (row->message_count != walk->summed.message_count ||
                         row->used_bytes != walk->summed.used_bytes)) {
        problem(walk, "its messages or quota differ from the mailboxes");
    }
}

static struct vy_err check_account(struct walk *walk, struct vy_bytes key, struct vy_bytes value)
{
    struct account_row row;
    bool found = false;
    (void)value;
    walk->mailbox_id = 0;
    walk->summed = (struct account_row){.version = 1};
    if (!keys_parse_account(key, &walk->account_id)) {
        return note(walk, vy_error(VY_CODE_CORRUPT, "key of an account"));
    }
    VY_TRY(note(walk, read_account(walk->reader, &walk->arena, walk->account_id, &row, &found)));
    vy_arena_reset(&walk->arena); /* the row has only numbers */
    const struct shard_key from = keys_mailbox_first(walk->account_id);
    const struct shard_key to = keys_mailbox_end(walk->account_id);
    VY_TRY(walk_rows(walk, SHARD_MBOX, &from, &to, check_mailbox_row));
    if (found) {
        compare_account(walk, &row);
    }
    return vy_ok();
}

/* ---- all of it ---- */

struct vy_err shard_check_tables(const struct store_reader *reader, struct check *check)
{
    struct walk walk = {.reader = reader, .check = check};
    vy_arena_init(&walk.arena, ARENA_BYTES_MAX);
    struct vy_err err = walk_rows(&walk, SHARD_ACCT, NULL, NULL, check_account);
    if (!vy_failed(err)) {
        err = walk_rows(&walk, SHARD_GONE, NULL, NULL, check_gone);
    }
    if (!vy_failed(err)) {
        err = walk_rows(&walk, SHARD_CHG, NULL, NULL, check_change);
    }
    if (!vy_failed(err)) {
        err = walk_rows(&walk, SHARD_EMAIL, NULL, NULL, check_email);
    }
    vy_arena_deinit(&walk.arena);
    return err;
}

int shard_check_main(const char *data_dir)
{
    struct store_family families[SHARD_FAMILY_COUNT];
    shard_list_families(families);
    const struct check_config config = {.families = families,
                                        .family_count = SHARD_FAMILY_COUNT,
                                        .check_tables = shard_check_tables};
    return check_main(data_dir, "shard", &config);
}
