/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Meta's tables: column families, keys and typed rows (proto/metalog.proto). The only place that
 * knows how a key is built. Reads work alike on a snapshot, on the newest state and inside a
 * transaction; nothing here scans further than a page.
 *
 * Address keys are domain, NUL, local part: the addresses of a domain are one range.
 */
#include "base/arena.h"
#include "proto/metalog.pb.h"
#include "replica/replica.h"
#include "replica/store.h"
#include "replica/txn.h"

/*
 * X(NAME, family, prefix_bytes, erase): the registry of families. `erase` is what removes an
 * account's rows there when it is deleted (erase.c); a family without it does not compile, so that
 * no table escapes promise P8.
 *
 * CLUSTER       single rows, nodes
 * ACCOUNT       be64 id
 * ADDRESS       address key -> what is there
 * ALIAS         address key
 * CREDENTIAL    be64 account, be64 credential
 * LOGIN         be64 account, tuple hash; be64 account alone: LoginStatRow
 * LOGIN_TIME    be64 account, failed, be64 last time, tuple hash -> nothing
 * LOGIN_NET     be64 account, keyed hash of a network
 * AUDIT         be64 sequence
 * KEY           be64 account -> wrapped key; alone, so that one can be erased
 * ALIAS_TARGET  hash of a target's bare address, alias's address key -> nothing
 * JOB           'j' be64 job -> JobRow; 'o' be64 job: not done yet; 'w' be64 job: done, members are
 *               pending; 's' be64 time, be64 account: softly deleted until then
 * FACTOR        be64 account
 */
/* clang-format off */
#define META_FAMILIES(X)                                    \
    X(CLUSTER,      "meta_cluster", 0, erase_nothing)       \
    X(DOMAIN,       "domain",       0, erase_nothing)       \
    X(ACCOUNT,      "account",      0, erase_keep_row)      \
    X(ADDRESS,      "address",      0, erase_retire_address) \
    X(ALIAS,        "alias",        0, erase_nothing)       \
    X(CREDENTIAL,   "credential",   8, erase_range)         \
    X(LOGIN,        "login",        0, erase_range)         \
    X(LOGIN_TIME,   "login_time",   0, erase_range)         \
    X(AUDIT,        "audit",        0, erase_nothing)       \
    X(KEY,          "wrapped_key",  0, erase_range)         \
    X(ALIAS_TARGET, "alias_target", 0, erase_nothing)       \
    X(JOB,          "job",          0, erase_nothing)       \
    X(FACTOR,       "factor",       0, erase_range)         \
    X(LOGIN_NET,    "login_net",    0, erase_range)
/* clang-format on */

enum meta_family {
    META_FAMILY_BEFORE = REPLICA_FAMILY_FIRST - 1,
#define X(name, family, prefix, erase) META_FAMILY_##name,
    META_FAMILIES(X)
#undef X
        META_FAMILY_END
};
#define META_FAMILY_COUNT ((size_t)META_FAMILY_END - META_FAMILY_CLUSTER)
extern const struct store_family meta_families[META_FAMILY_COUNT];

#define META_TUPLE_BYTES 16U
#define META_NET_BYTES 16U
#define META_ADDRESS_BYTES_MAX 254U /* RFC 5321 section 4.5.3.1.3, without the brackets */

/* What reads need: a state and the memory for rows. */
struct meta_view {
    const struct store_reader *reader; /* borrowed */
    struct vy_arena *arena;            /* borrowed; rows and all they point to live there */
};

#define META_TARGET_HASH_BYTES 16U
struct meta_key {
    size_t len;
    uint8_t data[META_TARGET_HASH_BYTES + META_ADDRESS_BYTES_MAX + 2];
};
static inline struct vy_bytes meta_key_bytes(const struct meta_key *key)
{
    return vy_bytes(key->data, key->len);
}
struct meta_key meta_key_u64(uint64_t id);
struct meta_key meta_key_u64_pair(uint64_t first, uint64_t second);
/* address: canonical, at most META_ADDRESS_BYTES_MAX bytes, with one '@' that counts: the last. */
struct meta_key meta_key_address(struct vy_bytes address);
struct meta_key meta_key_login(uint64_t account_id, struct vy_bytes tuple_hash);
struct meta_key meta_key_login_time(uint64_t account_id, bool is_failed, uint64_t last_ms,
                                    struct vy_bytes tuple_hash);
struct meta_key meta_key_login_net(uint64_t account_id, struct vy_bytes net);
struct meta_key meta_key_node(struct vy_bytes role, struct vy_bytes node);
struct meta_key meta_key_member(uint64_t group_id, uint64_t member_id);

/* The rows of one target begin with what meta_key_target gives for an empty alias. A detail of the
 * target ("+x") does not count. */
struct meta_key meta_key_target(struct vy_bytes target, struct vy_bytes alias);
struct meta_key meta_key_job(uint64_t job_id);
struct meta_key meta_key_open_job(uint64_t job_id);
struct meta_key meta_key_waiting_job(uint64_t job_id);
struct meta_key meta_key_soft(uint64_t until_ms, uint64_t account_id);
/* The job, or UINT64_MAX: no key of an open or waiting job. */
uint64_t meta_key_parse_open_job(struct vy_bytes key);
bool meta_key_parse_soft(struct vy_bytes key, uint64_t *until_ms, uint64_t *account_id);

#define META_KEY_CLUSTER VY_LIT("cluster")
#define META_KEY_COUNTER VY_LIT("counter")
#define META_KEY_AUDIT_HEAD VY_LIT("audit-head")
#define META_KEY_NODE_PREFIX VY_LIT("node/")
#define META_KEY_MEMBER_PREFIX VY_LIT("member/")

/* *is_found tells whether *row was filled. @errors CORRUPT a row that does not decode; NOMEM; what
 * the store says */
VY_CHECKED struct vy_err table_get(const struct meta_view *view, unsigned family,
                                   struct vy_bytes key, const struct vy_pb_desc *desc, void *row,
                                   bool *is_found);
/* The same for bytes that are no message; *out lives in the arena. */
VY_CHECKED struct vy_err table_get_bytes(const struct meta_view *view, unsigned family,
                                         struct vy_bytes key, struct vy_bytes *out, bool *is_found);
VY_CHECKED struct vy_err table_decode(const struct meta_view *view, const struct vy_pb_desc *desc,
                                      struct vy_bytes value, void *row);

/* Typed reads. A row that is not there leaves a zeroed struct and *is_found false. */
VY_CHECKED struct vy_err cluster_get(const struct meta_view *view, struct cluster_row *row,
                                     bool *is_found);
VY_CHECKED struct vy_err counter_get(const struct meta_view *view, struct counter_row *row);
VY_CHECKED struct vy_err audit_head_get(const struct meta_view *view, struct audit_head_row *row);
VY_CHECKED struct vy_err domain_get(const struct meta_view *view, struct vy_bytes name,
                                    struct domain_row *row, bool *is_found);
VY_CHECKED struct vy_err account_get(const struct meta_view *view, uint64_t id,
                                     struct meta_account_row *row, bool *is_found);
VY_CHECKED struct vy_err address_get(const struct meta_view *view, struct vy_bytes address,
                                     struct address_row *row, bool *is_found);
VY_CHECKED struct vy_err alias_get(const struct meta_view *view, struct vy_bytes address,
                                   struct alias_row *row, bool *is_found);
VY_CHECKED struct vy_err credential_get(const struct meta_view *view, uint64_t account_id,
                                        uint64_t credential_id, struct credential_row *row,
                                        bool *is_found);
VY_CHECKED struct vy_err account_key_get(const struct meta_view *view, uint64_t account_id,
                                         struct vy_bytes *wrapped, bool *is_found);

VY_CHECKED struct vy_err factor_get(const struct meta_view *view, uint64_t account_id,
                                    struct factor_row *row, bool *is_found);

VY_CHECKED struct vy_err job_get(const struct meta_view *view, uint64_t job_id, struct job_row *row,
                                 bool *is_found);

/* What an account's network has done; net: META_NET_BYTES, the keyed hash of both. */
VY_CHECKED struct vy_err login_net_get(const struct meta_view *view, uint64_t account_id,
                                       struct vy_bytes net, struct login_net_row *row,
                                       bool *is_found);

/* The account whose main address this is. */
VY_CHECKED struct vy_err account_find(const struct meta_view *view, struct vy_bytes address,
                                      struct meta_account_row *row, bool *is_found);

/* All credentials of an account: at most one main one and META_APP_PASSWORDS_MAX others. */
#define META_APP_PASSWORDS_MAX 50U
#define META_APP_NETWORKS_MAX 16U
#define META_RECOVERY_CODES 10U
VY_CHECKED struct vy_err credential_list(const struct meta_view *view, uint64_t account_id,
                                         const struct credential_row **out, size_t *out_count);
#define META_NODES_MAX 1024U
VY_CHECKED struct vy_err node_list(const struct meta_view *view, const struct node_row **out,
                                   size_t *out_count);

/* Members that were planned, also those that are gone. */
#define META_MEMBERS_MAX 4096U
VY_CHECKED struct vy_err member_get(const struct meta_view *view, uint64_t group_id,
                                    uint64_t member_id, struct member_row *row, bool *is_found);
VY_CHECKED struct vy_err member_list(const struct meta_view *view, const struct member_row **out,
                                     size_t *out_count);

/* One page of a family, decoded. */
struct table_page {
    unsigned family;
    struct vy_bytes from; /* first key */
    struct vy_bytes to;   /* first key beyond; empty: none */
    bool is_reverse;
    size_t rows_max;
    const struct vy_pb_desc *desc; /* NULL: rows are not decoded */
};
struct table_rows {
    size_t count;
    const struct vy_bytes *keys;
    const void *rows; /* array of what desc describes */
    bool is_more;
};
VY_CHECKED struct vy_err table_read_page(const struct meta_view *view,
                                         const struct table_page *page, struct table_rows *out);
