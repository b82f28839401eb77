/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The account keys in use on this node: unwrapped, in locked memory that stays out of core files,
 * in a table of limited size. What is not there is asked from meta and unwrapped with the cluster
 * key; the wrapped form touches no disk here.
 *
 * @thread  everything belongs to the service's loop; a worker may read the keys of an entry that
 * its job holds a reference to
 */
#include "base/list.h"
#include "base/map.h"
#include "proto/cluster_key.h"
#include "proto/meta.pb.h"
#include "shard/seal.h"

/* How a shard reaches meta; tests give a fake. The callback comes once, from the loop, perhaps
 * within the call. */
typedef void (*shard_meta_key_fn)(void *arg, struct vy_err err,
                                  const struct account_key_reply *reply);
struct shard_meta_ops {
    void (*account_key)(void *meta, uint64_t account_id, shard_meta_key_fn done, void *arg);
};

struct account_entry {
    uint64_t account_id;
    uint64_t epoch;       /* the highest known: of meta's answer or a fence since */
    uint64_t quota_bytes; /* as meta said when the keys were fetched */
    bool can_login;       /* state as meta said */
    bool can_receive;
    bool is_known_here;           /* the group has an account row: no need to look again */
    bool is_stale;                /* meta's answer was one of allow_stale */
    bool is_gone;                 /* fenced: out of the table, wiped with the last reference */
    unsigned ref_count;           /* jobs that use it, beside the table */
    const struct seal_keys *keys; /* in locked memory */
    struct vy_list lru;
};

struct account_keys; /* the table */

struct account_keys_config {
    const struct cluster_key *cluster_key; /* borrowed */
    const struct shard_meta_ops *meta_ops;
    void *meta;
    size_t accounts_max; /* entries kept; 0: 65,536 */
    uint64_t hash_seed;
};
VY_CHECKED struct vy_err account_keys_new(const struct account_keys_config *config,
                                          struct account_keys **out);
/* Every reference is back by now. */
void account_keys_free(struct account_keys *table);

/* NULL: not loaded. The entry is borrowed; take a reference to keep it over a turn of the loop. */
struct account_entry *account_keys_find(struct account_keys *table, uint64_t account_id);
void account_keys_ref(struct account_entry *entry);
void account_keys_unref(struct account_keys *table, struct account_entry *entry);

/*
 * Finds or fetches. done comes once, perhaps within the call; requests for one account share one
 * question to meta.
 * @errors of done: NOT_FOUND no such account, or it is erased; CORRUPT the key is not of this
 * cluster; UNAVAILABLE, BUSY too many in use
 */
typedef void (*account_keys_done_fn)(void *arg, struct vy_err err, struct account_entry *entry);
void account_keys_load(struct account_keys *table, uint64_t account_id, account_keys_done_fn done,
                       void *arg);

/* After a fence: jobs see the new epoch, the keys are wiped as soon as none holds them, the next
 * use asks meta again. */
void account_keys_fence(struct account_keys *table, uint64_t account_id, uint64_t epoch);
/* Meta answers with what is current again: accounts known by a stale answer are asked for anew. */
void account_keys_drop_stale(struct account_keys *table);
/* Fences may have been missed: everything is asked for anew. */
void account_keys_drop_all(struct account_keys *table);
size_t account_keys_count(const struct account_keys *table);
