/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints of the store in memory: a directory with one real file per family, of records key
 * length u32, value length u32, key, value. So the shipping of files is the same for both engines.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "replica/store_mem_private.h"

#define RECORD_HEAD_BYTES 8U

static void image_path(char out[PATH_MAX], const char *dir, size_t family)
{
    (void)snprintf(out, PATH_MAX, "%s/%03zu.rows", dir, family);
}

/* ---- writing ---- */

static bool write_row(FILE *file, struct vy_bytes key, struct vy_bytes value)
{
    uint8_t head[RECORD_HEAD_BYTES];
    vy_put_be32(head, (uint32_t)key.len);
    vy_put_be32(head + 4, (uint32_t)value.len);
    return fwrite(head, sizeof(head), 1, file) == 1 &&
           (key.len == 0 || fwrite(key.data, key.len, 1, file) == 1) &&
           (value.len == 0 || fwrite(value.data, value.len, 1, file) == 1);
}

static struct vy_err write_family(const struct store_mem_disk *disk, const char *dir, size_t family)
{
    char path[PATH_MAX];
    image_path(path, dir, family);
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return vy_error_sys(VY_CODE_IO, errno, "image of a memory disk");
    }
    bool is_written = true;
    const struct skiplist *rows = &disk->families[family].rows;
    for (const struct skiplist_node *row = rows->heads[0]; row != NULL; row = row->next[0]) {
        const struct mem_value *value = mem_row_at(row, disk->seq);
        if (value != NULL) {
            is_written = is_written && write_row(file, row->key, mem_value_bytes(value));
        }
    }
    is_written = fclose(file) == 0 && is_written;
    return is_written ? vy_ok() : vy_error_sys(VY_CODE_IO, errno, "image of a memory disk");
}

struct vy_err mem_checkpoint(struct store *base, const char *dir)
{
    struct store_mem_disk *disk = VY_CONTAINER_OF(base, struct mem_store, store)->disk;
    if (mkdir(dir, 0700) != 0) {
        return vy_error_sys(errno == EEXIST ? VY_CODE_EXISTS : VY_CODE_IO, errno,
                            "directory of the checkpoint");
    }
    struct vy_err err = vy_ok();
    (void)pthread_mutex_lock(&disk->lock);
    for (size_t i = 0; i < disk->family_count && !vy_failed(err); i++) {
        err = write_family(disk, dir, i);
    }
    (void)pthread_mutex_unlock(&disk->lock);
    return err;
}

/* ---- loading ---- */

/* Adds the next row. False: the end; *err says whether it is a good one. */
static bool load_row(struct store_mem_disk *disk, size_t family, FILE *file, struct vy_err *err)
{
    uint8_t head[RECORD_HEAD_BYTES];
    const size_t got = fread(head, 1, sizeof(head), file);
    if (got == 0 && feof(file)) {
        return false;
    }
    *err = vy_error(VY_CODE_CORRUPT, "image of a memory disk");
    const uint32_t key_len = vy_get_be32(head);
    const uint32_t value_len = vy_get_be32(head + 4);
    if (got != sizeof(head) || key_len > STORE_KEY_BYTES_MAX || value_len > STORE_VALUE_BYTES_MAX) {
        return false;
    }
    uint8_t *bytes = malloc((size_t)key_len + value_len + 1);
    const bool is_read = bytes != NULL && fread(bytes, 1, (size_t)key_len + value_len, file) ==
                                              (size_t)key_len + value_len;
    const bool is_put = is_read && mem_row_put(disk, (unsigned)family, vy_bytes(bytes, key_len),
                                               vy_bytes(bytes + key_len, value_len));
    free(bytes);
    *err = is_put ? vy_ok() : *err;
    return is_put;
}

static struct vy_err load_family(struct store_mem_disk *disk, const char *dir, size_t family)
{
    char path[PATH_MAX];
    struct vy_err err = vy_ok();
    image_path(path, dir, family);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return vy_error_sys(VY_CODE_CORRUPT, errno, "image of a memory disk");
    }
    while (load_row(disk, family, file, &err)) {
    }
    (void)fclose(file); /* read only */
    return err;
}

static void exchange_rows(struct store_mem_disk *disk, struct skiplist rows[STORE_FAMILIES_MAX])
{
    for (size_t i = 0; i < disk->family_count; i++) {
        const struct skiplist other = disk->families[i].rows;
        disk->families[i].rows = rows[i];
        rows[i] = other;
    }
}

/* All or nothing. */
static struct vy_err load_families(struct store_mem_disk *disk, const char *dir)
{
    struct skiplist rows[STORE_FAMILIES_MAX];
    struct vy_err err = vy_ok();
    for (size_t i = 0; i < disk->family_count; i++) {
        skiplist_init(&rows[i]);
    }
    exchange_rows(disk, rows);
    disk->seq++;
    for (size_t i = 0; i < disk->family_count && !vy_failed(err); i++) {
        err = load_family(disk, dir, i);
    }
    if (!vy_failed(err)) {
        exchange_rows(disk, rows); /* for clearing the old ones */
    }
    mem_disk_clear(disk);
    exchange_rows(disk, rows);
    disk->synced_seq = disk->seq;
    return err;
}

struct vy_err mem_image_load(struct store_mem_disk *disk, const char *dir)
{
    char path[PATH_MAX];
    if (dir == NULL) {
        return vy_ok();
    }
    image_path(path, dir, 0);
    if (access(path, F_OK) != 0) {
        return vy_ok();
    }
    VY_TRY(load_families(disk, dir));
    for (size_t i = disk->family_count; i > 0; i--) {
        image_path(path, dir, i - 1); /* the first one last: it says that there is an image */
        if (unlink(path) != 0) {
            return vy_error_sys(VY_CODE_IO, errno, "image of a memory disk");
        }
    }
    return vy_ok();
}
