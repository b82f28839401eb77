/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/account_keys.h"
#include "base/secret.h"
#include <stdlib.h>
#include <sys/mman.h>

#define ACCOUNTS_DEFAULT_MAX 65536U
#define WAITERS_MAX 4096U /* calls that wait for keys; more are BUSY */
#define SLAB_KEYS 256U    /* 18 KiB of locked memory at a time */

struct key_slab {
    struct key_slab *next;
    struct seal_keys keys[SLAB_KEYS];
};

/* A free place holds the next free one; the keys there are wiped. */
union free_keys {
    union free_keys *next;
    struct seal_keys keys;
};

struct key_waiter {
    struct vy_list list;
    account_keys_done_fn done;
    void *arg;
};

/* One question to meta; `waiters` get its answer. */
struct key_fetch {
    struct account_keys *table;
    uint64_t account_id;
    struct vy_list waiters;
};

struct account_keys {
    struct account_keys_config config;
    struct vy_map entries; /* account id -> struct account_entry, owned */
    struct vy_map fetches; /* account id -> struct key_fetch, owned */
    struct vy_list lru;    /* oldest use first */
    struct key_slab *slabs;
    union free_keys *free;
    size_t waiter_count;
};

/* ---- locked memory ---- */

static struct vy_err slab_add(struct account_keys *table)
{
    struct key_slab *slab =
        mmap(NULL, sizeof(*slab), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (slab == MAP_FAILED) {
        return vy_error(VY_CODE_NOMEM, "allocate account keys");
    }
    /* A small RLIMIT_MEMLOCK leaves the pages swappable, not readable by others: the service goes
     * on. */
    if (mlock(slab, sizeof(*slab)) != 0 || madvise(slab, sizeof(*slab), MADV_DONTDUMP) != 0) {
        vy_ignore(vy_error(VY_CODE_LIMIT, "lock account keys"), "not fatal");
    }
    slab->next = table->slabs;
    table->slabs = slab;
    for (size_t i = 0; i < SLAB_KEYS; i++) {
        union free_keys *place = (union free_keys *)(void *)&slab->keys[i];
        place->next = table->free;
        table->free = place;
    }
    return vy_ok();
}

static struct vy_err keys_alloc(struct account_keys *table, struct seal_keys **out)
{
    if (table->free == NULL) {
        VY_TRY(slab_add(table));
    }
    union free_keys *place = table->free;
    table->free = place->next;
    *out = &place->keys;
    return vy_ok();
}

static void keys_release(struct account_keys *table, const struct seal_keys *keys)
{
    union free_keys *place = (union free_keys *)(uintptr_t)keys;

    vy_wipe(place, sizeof(*place));
    place->next = table->free;
    table->free = place;
}

/* ---- entries ---- */

static void entry_free(struct account_keys *table, struct account_entry *entry)
{
    VY_ASSERT(entry->ref_count == 0);
    vy_list_remove(&entry->lru);
    keys_release(table, entry->keys);
    free(entry);
}

static void entry_remove(struct account_keys *table, struct account_entry *entry)
{
    vy_map_remove(&table->entries, entry->account_id);
    entry_free(table, entry);
}

/* Makes room for one more: the entry unused longest goes, if any is unused. */
static struct vy_err table_make_room(struct account_keys *table)
{
    if (table->entries.count < table->config.accounts_max) {
        return vy_ok();
    }
    VY_LIST_FOREACH(item, &table->lru)
    {
        struct account_entry *entry = VY_CONTAINER_OF(item, struct account_entry, lru);
        if (entry->ref_count == 0) {
            entry_remove(table, entry);
            return vy_ok();
        }
    }
    return vy_error(VY_CODE_BUSY, "all account keys are in use");
}

struct vy_err account_keys_new(const struct account_keys_config *config, struct account_keys **out)
{
    struct account_keys *table = calloc(1, sizeof(*table));

    if (table == NULL) {
        return vy_error(VY_CODE_NOMEM, "allocate account keys");
    }
    table->config = *config;
    if (config->accounts_max == 0) {
        table->config.accounts_max = ACCOUNTS_DEFAULT_MAX;
    }
    vy_map_init(&table->entries, config->hash_seed);
    vy_map_init(&table->fetches, config->hash_seed);
    vy_list_init(&table->lru);
    *out = table;
    return vy_ok();
}

static void fetch_answer(struct account_keys *table, struct key_fetch *fetch, struct vy_err err,
                         struct account_entry *entry)
{
    vy_map_remove(&table->fetches, fetch->account_id);
    if (entry != NULL) {
        account_keys_ref(entry); /* a waiter may not cause its eviction under the next one */
    }
    while (!vy_list_is_empty(&fetch->waiters)) {
        struct key_waiter *waiter =
            VY_CONTAINER_OF(vy_list_pop_front(&fetch->waiters), struct key_waiter, list);
        table->waiter_count--;
        waiter->done(waiter->arg, err, entry);
        free(waiter);
    }
    if (entry != NULL) {
        account_keys_unref(table, entry);
    }
    free(fetch);
}

void account_keys_free(struct account_keys *table)
{
    uint64_t id = 0;
    void *value = NULL;

    if (table == NULL) {
        return;
    }
    for (size_t i = 0; vy_map_next(&table->entries, &i, &id, &value);) {
        entry_free(table, value);
    }
    VY_ASSERT(table->fetches.count == 0);
    vy_map_deinit(&table->entries);
    vy_map_deinit(&table->fetches);
    while (table->slabs != NULL) {
        struct key_slab *slab = table->slabs;
        table->slabs = slab->next;
        vy_wipe(slab, sizeof(*slab));
        munmap(slab, sizeof(*slab));
    }
    free(table);
}

struct account_entry *account_keys_find(struct account_keys *table, uint64_t account_id)
{
    struct account_entry *entry = vy_map_get(&table->entries, account_id);

    if (entry == NULL) {
        return NULL;
    }
    vy_list_remove(&entry->lru);
    vy_list_push_back(&table->lru, &entry->lru);
    return entry;
}

void account_keys_ref(struct account_entry *entry)
{
    entry->ref_count++;
}

void account_keys_unref(struct account_keys *table, struct account_entry *entry)
{
    if (entry == NULL) {
        return;
    }
    VY_ASSERT(entry->ref_count > 0);
    entry->ref_count--;
    if (entry->ref_count == 0 && entry->is_gone) {
        entry_free(table, entry);
    }
}

/* ---- fetching ---- */

static bool state_can_login(enum account_state state)
{
    return state == ACCOUNT_STATE_ACTIVE;
}

/* Soft-deleted and erasing accounts take no mail (promise P8). */
static bool state_can_receive(enum account_state state)
{
    return state == ACCOUNT_STATE_ACTIVE || state == ACCOUNT_STATE_LOGIN_DISABLED;
}

static struct vy_err entry_unwrap(struct account_keys *table, uint64_t account_id,
                                  const struct account_key_reply *reply, struct seal_keys *keys)
{
    uint8_t plain[ACCOUNT_KEY_BYTES];

    VY_TRY(cluster_key_unwrap(table->config.cluster_key, account_id, reply->wrapped_key, plain));
    seal_keys_derive(plain, keys);
    vy_wipe(plain, sizeof(plain));
    return vy_ok();
}

static struct vy_err entry_add(struct account_keys *table, uint64_t account_id,
                               const struct account_key_reply *reply, struct account_entry **out)
{
    struct seal_keys *keys = NULL;
    struct account_entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL) {
        return vy_error(VY_CODE_NOMEM, "allocate account entry");
    }
    struct vy_err err = keys_alloc(table, &keys);
    if (vy_failed(err)) {
        free(entry);
        return err;
    }
    err = entry_unwrap(table, account_id, reply, keys);
    if (!vy_failed(err)) {
        err = vy_map_put(&table->entries, account_id, entry);
    }
    if (vy_failed(err)) {
        keys_release(table, keys);
        free(entry);
        return err;
    }
    *entry = (struct account_entry){
        .account_id = account_id,
        .epoch = reply->account_epoch,
        .quota_bytes = reply->quota_bytes,
        .can_login = state_can_login(reply->state),
        .can_receive = state_can_receive(reply->state),
        .is_stale = reply->is_stale,
        .keys = keys,
    };
    vy_list_init(&entry->lru);
    vy_list_push_back(&table->lru, &entry->lru);
    *out = entry;
    return vy_ok();
}

/*
 * A stale answer may permit, as the fences in the group's own log overrule it: whoever comes with
 * an epoch of before is refused there. It may not forbid, as no log of ours tells of an account
 * that was enabled again; only that it is erased stays true.
 */
static struct vy_err fetch_take(struct key_fetch *fetch, const struct account_key_reply *reply,
                                struct account_entry **out)
{
    if (reply->is_stale && reply->state < ACCOUNT_STATE_ERASING &&
        !state_can_receive(reply->state)) {
        return vy_error(VY_CODE_UNAVAILABLE, "state of the account is not certain");
    }
    if (reply->state == ACCOUNT_STATE_NONE || reply->state >= ACCOUNT_STATE_ERASING ||
        reply->wrapped_key.len == 0) {
        return vy_error(VY_CODE_NOT_FOUND, "account has no key");
    }
    VY_TRY(table_make_room(fetch->table));
    return entry_add(fetch->table, fetch->account_id, reply, out);
}

static void fetch_on_key(void *arg, struct vy_err err, const struct account_key_reply *reply)
{
    struct key_fetch *fetch = arg;
    struct account_entry *entry = NULL;

    if (!vy_failed(err)) {
        err = fetch_take(fetch, reply, &entry);
    }
    fetch_answer(fetch->table, fetch, err, entry);
}

static struct vy_err fetch_join(struct account_keys *table, uint64_t account_id,
                                account_keys_done_fn done, void *arg, struct key_fetch **out_new)
{
    struct key_fetch *fetch = vy_map_get(&table->fetches, account_id);

    if (table->waiter_count >= WAITERS_MAX) {
        return vy_error(VY_CODE_BUSY, "too many calls wait for account keys");
    }
    struct key_waiter *waiter = calloc(1, sizeof(*waiter));
    if (waiter == NULL) {
        return vy_error(VY_CODE_NOMEM, "allocate key waiter");
    }
    if (fetch == NULL) {
        fetch = calloc(1, sizeof(*fetch));
        if (fetch == NULL || vy_failed(vy_map_put(&table->fetches, account_id, fetch))) {
            free(fetch);
            free(waiter);
            return vy_error(VY_CODE_NOMEM, "allocate key fetch");
        }
        fetch->table = table;
        fetch->account_id = account_id;
        vy_list_init(&fetch->waiters);
        *out_new = fetch;
    }
    *waiter = (struct key_waiter){.done = done, .arg = arg};
    vy_list_init(&waiter->list);
    vy_list_push_back(&fetch->waiters, &waiter->list);
    table->waiter_count++;
    return vy_ok();
}

void account_keys_load(struct account_keys *table, uint64_t account_id, account_keys_done_fn done,
                       void *arg)
{
    struct account_entry *entry = account_keys_find(table, account_id);
    struct key_fetch *started = NULL;

    if (entry != NULL) {
        done(arg, vy_ok(), entry);
        return;
    }
    const struct vy_err err = fetch_join(table, account_id, done, arg, &started);
    if (vy_failed(err)) {
        done(arg, err, NULL);
        return;
    }
    if (started != NULL) {
        table->config.meta_ops->account_key(table->config.meta, account_id, fetch_on_key, started);
    }
}

void account_keys_fence(struct account_keys *table, uint64_t account_id, uint64_t epoch)
{
    struct account_entry *entry = vy_map_remove(&table->entries, account_id);

    if (entry == NULL) {
        return;
    }
    entry->epoch = VY_MAX(entry->epoch, epoch);
    entry->is_gone = true;
    if (entry->ref_count == 0) {
        entry_free(table, entry);
    }
}

void account_keys_drop_stale(struct account_keys *table)
{
    for (struct vy_list *item = table->lru.next; item != &table->lru;) {
        const struct account_entry *entry = VY_CONTAINER_OF(item, struct account_entry, lru);
        item = item->next;
        if (entry->is_stale && !entry->is_gone) {
            account_keys_fence(table, entry->account_id, entry->epoch);
        }
    }
}

void account_keys_drop_all(struct account_keys *table)
{
    for (struct vy_list *item = table->lru.next; item != &table->lru;) {
        const struct account_entry *entry = VY_CONTAINER_OF(item, struct account_entry, lru);
        item = item->next;
        if (!entry->is_gone) {
            account_keys_fence(table, entry->account_id, entry->epoch);
        }
    }
}

size_t account_keys_count(const struct account_keys *table)
{
    return table->entries.count;
}
