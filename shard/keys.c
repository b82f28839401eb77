/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/keys.h"
#include "base/assert.h"
#include "base/map.h"
#include "replica/replica.h"

unsigned shard_store_family(enum shard_family family)
{
    return REPLICA_FAMILY_FIRST + (unsigned)family;
}

static void put_bytes(struct shard_key *key, const void *data, size_t len)
{
    VY_ASSERT(len <= SHARD_KEY_BYTES_MAX - key->len);
    memcpy(key->data + key->len, data, len);
    key->len += len;
}

static void put_u32(struct shard_key *key, uint32_t value)
{
    uint8_t raw[4];

    vy_put_be32(raw, value);
    put_bytes(key, raw, sizeof(raw));
}

static void put_u64(struct shard_key *key, uint64_t value)
{
    uint8_t raw[8];

    vy_put_be64(raw, value);
    put_bytes(key, raw, sizeof(raw));
}

struct shard_key keys_account(uint64_t account_id)
{
    struct shard_key key = {.len = SHARD_ACCOUNT_PREFIX_BYTES};

    vy_put_be16(key.data, vy_slot_of_account(account_id));
    vy_put_be64(key.data + 2, account_id);
    return key;
}

/* The smallest key greater than every key that starts with this one. */
static struct shard_key successor(struct shard_key key)
{
    while (key.len > 0 && key.data[key.len - 1] == 0xff) {
        key.len--;
    }
    VY_ASSERT(key.len > 0);
    key.data[key.len - 1]++;
    return key;
}

struct shard_key keys_account_end(uint64_t account_id)
{
    return successor(keys_account(account_id));
}

static struct shard_key tagged(uint64_t account_id, char tag)
{
    struct shard_key key = keys_account(account_id);

    put_bytes(&key, &tag, 1);
    return key;
}

static struct shard_key tagged_number(uint64_t account_id, char tag, uint64_t number)
{
    struct shard_key key = tagged(account_id, tag);

    put_u64(&key, number);
    return key;
}

static struct shard_key tagged_hash(uint64_t account_id, char tag, struct vy_bytes hash)
{
    struct shard_key key = tagged(account_id, tag);

    VY_ASSERT(hash.len == SHARD_HASH_BYTES);
    put_bytes(&key, hash.data, hash.len);
    return key;
}

struct shard_key keys_mailbox(uint64_t account_id, uint64_t mailbox_id)
{
    return tagged_number(account_id, 'm', mailbox_id);
}

struct shard_key keys_mailbox_first(uint64_t account_id)
{
    return tagged(account_id, 'm');
}

struct shard_key keys_mailbox_end(uint64_t account_id)
{
    return successor(tagged(account_id, 'm'));
}

struct shard_key keys_name(uint64_t account_id, struct vy_bytes hash)
{
    return tagged_hash(account_id, 'n', hash);
}

struct shard_key keys_subscription(uint64_t account_id, struct vy_bytes hash)
{
    return tagged_hash(account_id, 's', hash);
}

struct shard_key keys_subscription_first(uint64_t account_id)
{
    return tagged(account_id, 's');
}

struct shard_key keys_subscription_end(uint64_t account_id)
{
    return successor(tagged(account_id, 's'));
}

struct shard_key keys_keywords(uint64_t account_id, uint64_t mailbox_id)
{
    return tagged_number(account_id, 'k', mailbox_id);
}

struct shard_key keys_box_first(uint64_t account_id, uint64_t mailbox_id)
{
    struct shard_key key = keys_account(account_id);

    put_u64(&key, mailbox_id);
    return key;
}

struct shard_key keys_box_end(uint64_t account_id, uint64_t mailbox_id)
{
    return successor(keys_box_first(account_id, mailbox_id));
}

struct shard_key keys_block(uint64_t account_id, uint64_t mailbox_id, uint32_t uid)
{
    struct shard_key key = keys_box_first(account_id, mailbox_id);

    put_u32(&key, uid);
    return key;
}

struct shard_key keys_gone(uint64_t account_id, uint64_t mailbox_id, uint64_t modseq, uint32_t part)
{
    struct shard_key key = keys_change(account_id, mailbox_id, modseq);

    put_u32(&key, part);
    return key;
}

struct shard_key keys_change(uint64_t account_id, uint64_t mailbox_id, uint64_t modseq)
{
    struct shard_key key = keys_box_first(account_id, mailbox_id);

    put_u64(&key, modseq);
    return key;
}

struct shard_key keys_id(uint64_t account_id, const uint8_t id[SHARD_ID_BYTES])
{
    struct shard_key key = keys_account(account_id);

    put_bytes(&key, id, SHARD_ID_BYTES);
    return key;
}

struct shard_key keys_id_end(uint64_t account_id, const uint8_t id[SHARD_ID_BYTES])
{
    return successor(keys_id(account_id, id));
}

struct shard_key keys_body(uint64_t account_id, const uint8_t email_id[SHARD_ID_BYTES],
                           uint32_t chunk)
{
    struct shard_key key = keys_id(account_id, email_id);

    put_u32(&key, chunk);
    return key;
}

struct shard_key keys_ref(uint64_t account_id, const uint8_t email_id[SHARD_ID_BYTES],
                          uint64_t mailbox_id, uint32_t uid)
{
    struct shard_key key = keys_id(account_id, email_id);

    put_u64(&key, mailbox_id);
    put_u32(&key, uid);
    return key;
}

bool keys_parse_account(struct vy_bytes key, uint64_t *account_id)
{
    if (key.len < SHARD_ACCOUNT_PREFIX_BYTES) {
        return false;
    }
    *account_id = vy_get_be64(key.data + 2);
    return vy_get_be16(key.data) == vy_slot_of_account(*account_id);
}

bool keys_parse_block(struct vy_bytes key, uint64_t *mailbox_id, uint32_t *uid)
{
    if (key.len != SHARD_ACCOUNT_PREFIX_BYTES + 12) {
        return false;
    }
    *mailbox_id = vy_get_be64(key.data + SHARD_ACCOUNT_PREFIX_BYTES);
    *uid = vy_get_be32(key.data + SHARD_ACCOUNT_PREFIX_BYTES + 8);
    return true;
}

/* Keys of chg and gone. */
bool keys_parse_modseq(struct vy_bytes key, uint64_t *mailbox_id, uint64_t *modseq)
{
    if (key.len < SHARD_ACCOUNT_PREFIX_BYTES + 16) {
        return false;
    }
    *mailbox_id = vy_get_be64(key.data + SHARD_ACCOUNT_PREFIX_BYTES);
    *modseq = vy_get_be64(key.data + SHARD_ACCOUNT_PREFIX_BYTES + 8);
    return true;
}

bool keys_parse_ref(struct vy_bytes key, uint64_t *mailbox_id, uint32_t *uid)
{
    if (key.len != SHARD_ACCOUNT_PREFIX_BYTES + SHARD_ID_BYTES + 12) {
        return false;
    }
    *mailbox_id = vy_get_be64(key.data + SHARD_ACCOUNT_PREFIX_BYTES + SHARD_ID_BYTES);
    *uid = vy_get_be32(key.data + SHARD_ACCOUNT_PREFIX_BYTES + SHARD_ID_BYTES + 8);
    return true;
}
