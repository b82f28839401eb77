/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "replica/store_mem_private.h"

#define MEM_PRUNE_COUNT_MIN 64U

struct mem_value *mem_value_new(struct vy_bytes bytes)
{
    struct mem_value *value = malloc(sizeof(*value) + bytes.len);
    if (value != NULL) {
        atomic_init(&value->refs, 1);
        value->len = bytes.len;
        if (bytes.len > 0) {
            memcpy(value->data, bytes.data, bytes.len);
        }
    }
    return value;
}

struct mem_value *mem_value_ref(struct mem_value *value)
{
    if (value != NULL) {
        (void)atomic_fetch_add(&value->refs, 1);
    }
    return value;
}

void mem_value_unref(void *pin)
{
    struct mem_value *value = pin;
    if (value != NULL && atomic_fetch_sub(&value->refs, 1) == 1) {
        free(value);
    }
}

/* What a reader at `seq` sees: NULL when there is no such row. */
struct mem_value *mem_row_at(const struct skiplist_node *row, uint64_t seq)
{
    const struct mem_version *version = row->item;
    while (version != NULL && version->seq > seq) {
        version = version->older;
    }
    return version == NULL ? NULL : version->value;
}

static void drop_version(struct store_mem_disk *disk, struct mem_version **link)
{
    struct mem_version *version = *link;
    *link = version->older;
    mem_value_unref(version->value);
    free(version);
    disk->version_count--;
}

static void drop_newer_than(struct store_mem_disk *disk, struct skiplist_node *row, uint64_t seq)
{
    struct mem_version *version = row->item;
    while (version != NULL && version->seq > seq) {
        drop_version(disk, &version);
    }
    row->item = version;
}

/* Whether anything can still ask for a version that was replaced in batch `replaced_seq`. */
static bool is_wanted(const struct store_mem_disk *disk, const struct mem_version *version,
                      uint64_t replaced_seq)
{
    if (replaced_seq > disk->synced_seq) {
        return true; /* a crash may bring it back */
    }
    for (const struct mem_moment *m = disk->moments; m != NULL; m = m->next) {
        if (version->seq <= m->seq && m->seq < replaced_seq) {
            return true;
        }
    }
    return false;
}

static void prune_row(struct store_mem_disk *disk, struct skiplist_node *row)
{
    struct mem_version *newest = row->item;
    if (newest == NULL) {
        return;
    }
    uint64_t replaced_seq = newest->seq;
    for (struct mem_version **link = &newest->older; *link != NULL;) {
        if (is_wanted(disk, *link, replaced_seq)) {
            replaced_seq = (*link)->seq;
            link = &(*link)->older;
        } else {
            drop_version(disk, link);
        }
    }
    if (newest->older == NULL && newest->value == NULL) { /* deleted, and nothing before that */
        drop_version(disk, &newest);
    }
    row->item = newest;
}

/* Takes rows without versions out of the table. */
static void remove_empty_rows(struct skiplist *rows)
{
    for (struct skiplist_node *row = rows->heads[0]; row != NULL;) {
        struct skiplist_node *next = row->next[0];
        if (row->item == NULL) {
            free(skiplist_remove(rows, row->key));
        }
        row = next;
    }
}

/* Costs a walk over all rows, so it waits until the versions have doubled. */
void mem_disk_prune(struct store_mem_disk *disk)
{
    if (disk->version_count < disk->prune_count) {
        return;
    }
    for (size_t i = 0; i < disk->family_count; i++) {
        struct skiplist *rows = &disk->families[i].rows;
        for (struct skiplist_node *row = rows->heads[0]; row != NULL; row = row->next[0]) {
            prune_row(disk, row);
        }
        remove_empty_rows(rows);
    }
    disk->prune_count = VY_MAX(disk->version_count * 2, (size_t)MEM_PRUNE_COUNT_MIN);
}

void mem_disk_forget_behind(struct store_mem_disk *disk, uint64_t seq)
{
    for (size_t i = 0; i < disk->family_count; i++) {
        struct skiplist *rows = &disk->families[i].rows;
        for (struct skiplist_node *row = rows->heads[0]; row != NULL; row = row->next[0]) {
            drop_newer_than(disk, row, seq);
        }
        remove_empty_rows(rows);
    }
    disk->seq = seq;
}

void mem_disk_clear(struct store_mem_disk *disk)
{
    for (size_t i = 0; i < disk->family_count; i++) {
        struct skiplist *rows = &disk->families[i].rows;
        for (struct skiplist_node *row = rows->heads[0]; row != NULL;) {
            struct skiplist_node *next = row->next[0];
            struct mem_version *version = row->item;
            while (version != NULL) {
                drop_version(disk, &version);
            }
            free(row);
            row = next;
        }
        skiplist_init(rows);
    }
}
