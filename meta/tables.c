/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/tables.h"

#include "base/assert.h"
#include <openssl/sha.h>

const struct store_family meta_families[META_FAMILY_COUNT] = {
#define X(title, family, prefix, erase) {.name = (family), .prefix_bytes = (prefix)},
    META_FAMILIES(X)
#undef X
};

/* ---- keys ---- */

static void key_add(struct meta_key *key, struct vy_bytes bytes)
{
    VY_ASSERT(bytes.len <= sizeof(key->data) - key->len);
    if (bytes.len > 0) {
        memcpy(key->data + key->len, bytes.data, bytes.len);
        key->len += bytes.len;
    }
}

static void key_add_u64(struct meta_key *key, uint64_t value)
{
    uint8_t bytes[8];
    vy_put_be64(bytes, value);
    key_add(key, vy_bytes(bytes, sizeof(bytes)));
}

struct meta_key meta_key_u64(uint64_t id)
{
    struct meta_key key = {.len = 0};
    key_add_u64(&key, id);
    return key;
}

struct meta_key meta_key_u64_pair(uint64_t first, uint64_t second)
{
    struct meta_key key = {.len = 0};
    key_add_u64(&key, first);
    key_add_u64(&key, second);
    return key;
}

struct meta_key meta_key_address(struct vy_bytes address)
{
    struct meta_key key = {.len = 0};
    size_t at = address.len;
    while (at > 0 && address.data[at - 1] != '@') {
        at--;
    }
    key_add(&key, vy_bytes_from(address, at));
    key_add(&key, vy_bytes("", 1));
    key_add(&key, vy_bytes_slice(address, 0, at == 0 ? 0 : at - 1));
    return key;
}

struct meta_key meta_key_login(uint64_t account_id, struct vy_bytes tuple_hash)
{
    struct meta_key key = meta_key_u64(account_id);
    key_add(&key, tuple_hash);
    return key;
}

struct meta_key meta_key_login_time(uint64_t account_id, bool is_failed, uint64_t last_ms,
                                    struct vy_bytes tuple_hash)
{
    const uint8_t failed = is_failed ? 1 : 0;
    struct meta_key key = meta_key_u64(account_id);
    key_add(&key, vy_bytes(&failed, 1));
    key_add_u64(&key, last_ms);
    key_add(&key, tuple_hash);
    return key;
}

struct meta_key meta_key_login_net(uint64_t account_id, struct vy_bytes net)
{
    struct meta_key key = meta_key_u64(account_id);
    key_add(&key, net);
    return key;
}

struct meta_key meta_key_node(struct vy_bytes role, struct vy_bytes node)
{
    struct meta_key key = {.len = 0};
    key_add(&key, META_KEY_NODE_PREFIX);
    key_add(&key, role);
    key_add(&key, VY_LIT("/"));
    key_add(&key, node);
    return key;
}

struct meta_key meta_key_member(uint64_t group_id, uint64_t member_id)
{
    struct meta_key key = {.len = 0};
    uint8_t ids[16];
    key_add(&key, META_KEY_MEMBER_PREFIX);
    vy_put_be64(ids, group_id);
    vy_put_be64(ids + 8, member_id);
    key_add(&key, vy_bytes(ids, sizeof(ids)));
    return key;
}

/* "ada+news@d.test" as "ada@d.test": what the directory would find it by. */
static void hash_target(struct vy_bytes target, uint8_t out[SHA256_DIGEST_LENGTH])
{
    uint8_t bare[META_ADDRESS_BYTES_MAX];
    const size_t plus = vy_bytes_find_byte(target, '+', 0);
    size_t at = target.len;
    VY_ASSERT(target.len <= sizeof(bare));
    while (at > 0 && target.data[at - 1] != '@') {
        at--;
    }
    const size_t local_end = at == 0 ? 0 : at - 1;
    const size_t kept = plus > 0 && plus < local_end ? plus : local_end;
    const size_t rest = target.len - local_end;
    if (target.len > 0) {
        memcpy(bare, target.data, kept);
        memcpy(bare + kept, target.data + local_end, rest);
    }
    SHA256(bare, kept + rest, out);
}

struct meta_key meta_key_target(struct vy_bytes target, struct vy_bytes alias)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct meta_key key = {.len = 0};
    hash_target(target, hash);
    key_add(&key, vy_bytes(hash, META_TARGET_HASH_BYTES));
    if (alias.len > 0) {
        const struct meta_key name = meta_key_address(alias);
        key_add(&key, meta_key_bytes(&name));
    }
    return key;
}

static struct meta_key key_job(char kind, uint64_t number)
{
    struct meta_key key = {.len = 0};
    key_add(&key, vy_bytes(&kind, 1));
    key_add_u64(&key, number);
    return key;
}

struct meta_key meta_key_job(uint64_t job_id)
{
    return key_job('j', job_id);
}

struct meta_key meta_key_open_job(uint64_t job_id)
{
    return key_job('o', job_id);
}

struct meta_key meta_key_waiting_job(uint64_t job_id)
{
    return key_job('w', job_id);
}

struct meta_key meta_key_soft(uint64_t until_ms, uint64_t account_id)
{
    struct meta_key key = key_job('s', until_ms);
    key_add_u64(&key, account_id);
    return key;
}

uint64_t meta_key_parse_open_job(struct vy_bytes key)
{
    const bool is_one = key.len == 9 && (key.data[0] == 'o' || key.data[0] == 'w');
    return is_one ? vy_get_be64(key.data + 1) : UINT64_MAX;
}

bool meta_key_parse_soft(struct vy_bytes key, uint64_t *until_ms, uint64_t *account_id)
{
    if (key.len != 17 || key.data[0] != 's') {
        return false;
    }
    *until_ms = vy_get_be64(key.data + 1);
    *account_id = vy_get_be64(key.data + 9);
    return true;
}

/* ---- rows ---- */

struct vy_err table_get_bytes(const struct meta_view *view, unsigned family, struct vy_bytes key,
                              struct vy_bytes *out, bool *is_found)
{
    struct store_value value = {.is_found = false};
    VY_TRY(store_get(view->reader, family, key, &value));
    struct vy_err err = vy_ok();
    if (value.is_found) {
        err = vy_arena_dup(view->arena, value.bytes, out);
    }
    *is_found = value.is_found;
    store_value_release(&value);
    return err;
}

struct vy_err table_decode(const struct meta_view *view, const struct vy_pb_desc *desc,
                           struct vy_bytes value, void *row)
{
    const struct vy_err err = vy_pb_decode(desc, view->arena, value, row);
    return err.code == VY_CODE_SYNTAX ? vy_error(VY_CODE_CORRUPT, "row of meta's tables") : err;
}

struct vy_err table_get(const struct meta_view *view, unsigned family, struct vy_bytes key,
                        const struct vy_pb_desc *desc, void *row, bool *is_found)
{
    struct vy_bytes bytes = {.len = 0};
    memset(row, 0, desc->struct_bytes);
    VY_TRY(table_get_bytes(view, family, key, &bytes, is_found));
    return *is_found ? table_decode(view, desc, bytes, row) : vy_ok();
}

struct vy_err cluster_get(const struct meta_view *view, struct cluster_row *row, bool *is_found)
{
    return table_get(view, META_FAMILY_CLUSTER, META_KEY_CLUSTER, &cluster_row_desc, row, is_found);
}

struct vy_err counter_get(const struct meta_view *view, struct counter_row *row)
{
    bool is_found = false;
    VY_TRY(
        table_get(view, META_FAMILY_CLUSTER, META_KEY_COUNTER, &counter_row_desc, row, &is_found));
    if (!is_found) {
        row->next_account_id = 1; /* 0 means none everywhere */
    }
    return vy_ok();
}

struct vy_err audit_head_get(const struct meta_view *view, struct audit_head_row *row)
{
    bool is_found = false;
    return table_get(view, META_FAMILY_CLUSTER, META_KEY_AUDIT_HEAD, &audit_head_row_desc, row,
                     &is_found);
}

struct vy_err domain_get(const struct meta_view *view, struct vy_bytes name, struct domain_row *row,
                         bool *is_found)
{
    if (name.len > META_ADDRESS_BYTES_MAX) { /* no such row was ever written */
        *row = (struct domain_row){.created_ms = 0};
        *is_found = false;
        return vy_ok();
    }
    return table_get(view, META_FAMILY_DOMAIN, name, &domain_row_desc, row, is_found);
}

struct vy_err account_get(const struct meta_view *view, uint64_t id, struct meta_account_row *row,
                          bool *is_found)
{
    const struct meta_key key = meta_key_u64(id);
    return table_get(view, META_FAMILY_ACCOUNT, meta_key_bytes(&key), &meta_account_row_desc, row,
                     is_found);
}

struct vy_err address_get(const struct meta_view *view, struct vy_bytes address,
                          struct address_row *row, bool *is_found)
{
    if (address.len > META_ADDRESS_BYTES_MAX) {
        *row = (struct address_row){.account_id = 0};
        *is_found = false;
        return vy_ok();
    }
    const struct meta_key key = meta_key_address(address);
    return table_get(view, META_FAMILY_ADDRESS, meta_key_bytes(&key), &address_row_desc, row,
                     is_found);
}

/* Of an address that address_get has found. */
struct vy_err alias_get(const struct meta_view *view, struct vy_bytes address,
                        struct alias_row *row, bool *is_found)
{
    const struct meta_key key = meta_key_address(address);
    return table_get(view, META_FAMILY_ALIAS, meta_key_bytes(&key), &alias_row_desc, row, is_found);
}

struct vy_err credential_get(const struct meta_view *view, uint64_t account_id,
                             uint64_t credential_id, struct credential_row *row, bool *is_found)
{
    const struct meta_key key = meta_key_u64_pair(account_id, credential_id);
    return table_get(view, META_FAMILY_CREDENTIAL, meta_key_bytes(&key), &credential_row_desc, row,
                     is_found);
}

struct vy_err factor_get(const struct meta_view *view, uint64_t account_id, struct factor_row *row,
                         bool *is_found)
{
    const struct meta_key key = meta_key_u64(account_id);
    return table_get(view, META_FAMILY_FACTOR, meta_key_bytes(&key), &factor_row_desc, row,
                     is_found);
}

struct vy_err job_get(const struct meta_view *view, uint64_t job_id, struct job_row *row,
                      bool *is_found)
{
    const struct meta_key key = meta_key_job(job_id);
    return table_get(view, META_FAMILY_JOB, meta_key_bytes(&key), &job_row_desc, row, is_found);
}

struct vy_err account_key_get(const struct meta_view *view, uint64_t account_id,
                              struct vy_bytes *wrapped, bool *is_found)
{
    const struct meta_key key = meta_key_u64(account_id);
    return table_get_bytes(view, META_FAMILY_KEY, meta_key_bytes(&key), wrapped, is_found);
}

struct vy_err login_net_get(const struct meta_view *view, uint64_t account_id, struct vy_bytes net,
                            struct login_net_row *row, bool *is_found)
{
    const struct meta_key key = meta_key_login_net(account_id, net);
    return table_get(view, META_FAMILY_LOGIN_NET, meta_key_bytes(&key), &login_net_row_desc, row,
                     is_found);
}

struct vy_err account_find(const struct meta_view *view, struct vy_bytes address,
                           struct meta_account_row *row, bool *is_found)
{
    struct address_row there;
    VY_TRY(address_get(view, address, &there, is_found));
    if (!*is_found || there.kind != ADDRESS_KIND_ACCOUNT) {
        *is_found = false;
        return vy_ok();
    }
    return account_get(view, there.account_id, row, is_found);
}

/* ---- pages ---- */

struct page_reader {
    const struct meta_view *view;
    const struct table_page *page;
    struct vy_bytes *keys;
    uint8_t *rows;
};

static struct vy_err page_add(struct page_reader *reader, const struct store_iter *iter,
                              size_t index)
{
    const struct vy_pb_desc *desc = reader->page->desc;
    VY_TRY(vy_arena_dup(reader->view->arena, iter->key, &reader->keys[index]));
    if (desc == NULL) {
        return vy_ok();
    }
    struct vy_bytes value = {.len = 0};
    VY_TRY(vy_arena_dup(reader->view->arena, iter->value, &value));
    return table_decode(reader->view, desc, value, reader->rows + index * desc->struct_bytes);
}

static struct vy_err page_read(struct page_reader *reader, struct store_iter *iter,
                               struct table_rows *out)
{
    size_t count = 0;
    while (iter->is_valid && count < reader->page->rows_max) {
        VY_TRY(page_add(reader, iter, count));
        count++;
        store_iter_next(iter);
    }
    VY_TRY(store_iter_error(iter));
    *out = (struct table_rows){
        .count = count, .keys = reader->keys, .rows = reader->rows, .is_more = iter->is_valid};
    return vy_ok();
}

struct vy_err table_read_page(const struct meta_view *view, const struct table_page *page,
                              struct table_rows *out)
{
    const size_t row_bytes = page->desc == NULL ? 1 : page->desc->struct_bytes;
    struct page_reader reader = {
        .view = view,
        .page = page,
        .keys = VY_ARENA_ARRAY(view->arena, page->rows_max, struct vy_bytes),
        .rows = vy_arena_array(view->arena, page->rows_max, row_bytes),
    };
    if (reader.keys == NULL || reader.rows == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a page");
    }
    const struct store_range range = {
        .from = page->from, .to = page->to, .is_reverse = page->is_reverse};
    struct store_iter *iter = NULL;
    VY_TRY(store_iter_new(view->reader, page->family, &range, &iter));
    const struct vy_err err = page_read(&reader, iter, out);
    store_iter_free(iter);
    return err;
}

struct vy_err credential_list(const struct meta_view *view, uint64_t account_id,
                              const struct credential_row **out, size_t *out_count)
{
    const struct meta_key from = meta_key_u64_pair(account_id, 0);
    const struct meta_key to = meta_key_u64_pair(account_id, UINT64_MAX);
    const struct table_page page = {.family = META_FAMILY_CREDENTIAL,
                                    .from = meta_key_bytes(&from),
                                    .to = meta_key_bytes(&to),
                                    .rows_max = META_APP_PASSWORDS_MAX + 1,
                                    .desc = &credential_row_desc};
    struct table_rows rows = {.count = 0};
    VY_TRY(table_read_page(view, &page, &rows));
    *out = rows.rows;
    *out_count = rows.count;
    return vy_ok();
}

struct vy_err node_list(const struct meta_view *view, const struct node_row **out,
                        size_t *out_count)
{
    uint8_t end[16];
    const struct table_page page = {.family = META_FAMILY_CLUSTER,
                                    .from = META_KEY_NODE_PREFIX,
                                    .to = store_prefix_end(META_KEY_NODE_PREFIX, end),
                                    .rows_max = META_NODES_MAX,
                                    .desc = &node_row_desc};
    struct table_rows rows = {.count = 0};
    VY_TRY(table_read_page(view, &page, &rows));
    *out = rows.rows;
    *out_count = rows.count;
    return vy_ok();
}

struct vy_err member_get(const struct meta_view *view, uint64_t group_id, uint64_t member_id,
                         struct member_row *row, bool *is_found)
{
    const struct meta_key key = meta_key_member(group_id, member_id);
    return table_get(view, META_FAMILY_CLUSTER, meta_key_bytes(&key), &member_row_desc, row,
                     is_found);
}

struct vy_err member_list(const struct meta_view *view, const struct member_row **out,
                          size_t *out_count)
{
    uint8_t end[16];
    const struct table_page page = {.family = META_FAMILY_CLUSTER,
                                    .from = META_KEY_MEMBER_PREFIX,
                                    .to = store_prefix_end(META_KEY_MEMBER_PREFIX, end),
                                    .rows_max = META_MEMBERS_MAX,
                                    .desc = &member_row_desc};
    struct table_rows rows = {.count = 0};
    VY_TRY(table_read_page(view, &page, &rows));
    *out = rows.rows;
    *out_count = rows.count;
    return vy_ok();
}
