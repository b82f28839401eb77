/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/*
 * The key layout of a shard's database. Every key starts with the account's slot (u16) and id
 * (u64), big-endian, so that an account is one range per family: erasing it is one DeleteRange
 * each, moving a slot one range each.
 *
 * family  key behind slot·account             value
 * acct    -                                   AccountRow: epoch, quota, counters
 * mbox    'm' mailbox u64                     MailboxRow: sealed name, role, UIDs, counters
 *         'n' name hash 16                    mailbox u64
 *         's' name hash 16                    sealed name: a subscription, with or without mailbox
 *         'k' mailbox u64                     KeywordRow: bit -> hash, sealed keyword
 * msg     mailbox u64, uid u32                index block (block.h) of messages from this uid on
 * gone    mailbox u64, modseq u64, part u32   index block of expunged messages whose content is kept for open views
 * chg     mailbox u64, modseq u64             change record (change.h)
 * email   email id 16                         head and sealed summary (email_row.h)
 * body    email id 16, chunk u32              sealed chunk of the message's bytes
 * ref     email id 16, mailbox u64, uid u32   empty: this message holds the email
 * thread  Message-ID hash 16                  ThreadRow: thread id, count
 * stage   stage id 16                         StageRow: a body being uploaded in chunks, until it is committed
 * held    delivery id 16                      HeldRow: a copy that waits for the decision of several groups
 */
/* clang-format on */
#include "base/bytes.h"

#define SHARD_ACCOUNT_PREFIX_BYTES 10U
#define SHARD_HASH_BYTES                                                                           \
    16U /* truncated HMAC-SHA-256: names, keywords, Message-IDs within one account */
#define SHARD_ID_BYTES 16U /* email, thread and stage ids */
#define SHARD_KEY_BYTES_MAX 48U

/*
 * X(NAME, family, erase): the registry of per-account families. `erase` is what removes an
 * account's rows there (erase.c); a family without it does not compile, so that no table escapes
 * promise P8.
 */
#define SHARD_FAMILIES(X)                                                                          \
    X(ACCT, "acct", erase_keep_tombstone)                                                          \
    X(MBOX, "mbox", erase_range)                                                                   \
    X(MSG, "msg", erase_range)                                                                     \
    X(GONE, "gone", erase_range)                                                                   \
    X(CHG, "chg", erase_range)                                                                     \
    X(EMAIL, "email", erase_range)                                                                 \
    X(BODY, "body", erase_range)                                                                   \
    X(REF, "ref", erase_range)                                                                     \
    X(THREAD, "thread", erase_range)                                                               \
    X(STAGE, "stage", erase_range)                                                                 \
    X(HELD, "held", erase_range)

enum shard_family {
#define X(name, family, erase) SHARD_##name,
    SHARD_FAMILIES(X)
#undef X
        SHARD_FAMILY_COUNT
};

/* Its place among the families of the database. */
unsigned shard_store_family(enum shard_family family);

struct shard_key {
    uint8_t data[SHARD_KEY_BYTES_MAX];
    size_t len;
};

static inline struct vy_bytes shard_key_bytes(const struct shard_key *key)
{
    return vy_bytes(key->data, key->len);
}

struct shard_key keys_account(uint64_t account_id);
/* First key behind everything of the account: the exclusive end of its range. */
struct shard_key keys_account_end(uint64_t account_id);
struct shard_key keys_mailbox(uint64_t account_id, uint64_t mailbox_id);
struct shard_key keys_mailbox_first(uint64_t account_id); /* where the list of mailboxes starts */
struct shard_key keys_mailbox_end(uint64_t account_id);
struct shard_key keys_name(uint64_t account_id, struct vy_bytes hash);
struct shard_key keys_subscription(uint64_t account_id, struct vy_bytes hash);
struct shard_key keys_subscription_first(uint64_t account_id);
struct shard_key keys_subscription_end(uint64_t account_id);
struct shard_key keys_keywords(uint64_t account_id, uint64_t mailbox_id);
struct shard_key keys_block(uint64_t account_id, uint64_t mailbox_id, uint32_t uid);
/* mailbox + 1, for msg, gone and chg: the exclusive end of a mailbox's range there. */
struct shard_key keys_box_first(uint64_t account_id, uint64_t mailbox_id);
struct shard_key keys_box_end(uint64_t account_id, uint64_t mailbox_id);
struct shard_key keys_gone(uint64_t account_id, uint64_t mailbox_id, uint64_t modseq,
                           uint32_t part);
struct shard_key keys_change(uint64_t account_id, uint64_t mailbox_id, uint64_t modseq);
/* email, thread, stage: an id or hash of 16 bytes behind the account. */
struct shard_key keys_id(uint64_t account_id, const uint8_t id[SHARD_ID_BYTES]);
struct shard_key keys_id_end(uint64_t account_id, const uint8_t id[SHARD_ID_BYTES]);
struct shard_key keys_body(uint64_t account_id, const uint8_t email_id[SHARD_ID_BYTES],
                           uint32_t chunk);
struct shard_key keys_ref(uint64_t account_id, const uint8_t email_id[SHARD_ID_BYTES],
                          uint64_t mailbox_id, uint32_t uid);

/* Parts of a key that was read back; false: not such a key. */
bool keys_parse_account(struct vy_bytes key, uint64_t *account_id);
bool keys_parse_block(struct vy_bytes key, uint64_t *mailbox_id, uint32_t *uid);
bool keys_parse_modseq(struct vy_bytes key, uint64_t *mailbox_id, uint64_t *modseq);
bool keys_parse_ref(struct vy_bytes key, uint64_t *mailbox_id, uint32_t *uid);
