/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the database that hold nothing live any more. RocksDB removes them in the background,
 * after the flush or compaction that emptied them has returned; who must know that bytes are gone
 * asks here.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "replica/store_rocks_private.h"

/* What is live, as RocksDB says. */
struct live_files {
    const rocksdb_livefiles_t *tables;
    int table_count;
    uint64_t first_wal;
};

/* "000123.sst": its number; false: not such a file. */
static bool parse_number(struct vy_bytes name, const char *suffix, uint64_t *out)
{
    const struct vy_bytes end = vy_cstr(suffix);
    return vy_bytes_ends_with(name, end) &&
           vy_parse_u64(vy_bytes_slice(name, 0, name.len - end.len), out);
}

/* Names of tables come with a slash in front. */
static bool is_live_table(const struct live_files *live, struct vy_bytes name)
{
    for (int i = 0; i < live->table_count; i++) {
        struct vy_bytes known = vy_cstr(rocksdb_livefiles_name(live->tables, i));
        if (known.len > 0 && known.data[0] == '/') {
            known = vy_bytes_from(known, 1);
        }
        if (vy_bytes_equal(known, name)) {
            return true;
        }
    }
    return false;
}

/* newest: files above it were begun later, and may not be live yet. */
static bool is_dead(const struct live_files *live, uint64_t newest, struct vy_bytes name)
{
    uint64_t number = 0;
    if (parse_number(name, ".log", &number)) {
        return number < live->first_wal;
    }
    return parse_number(name, ".sst", &number) && number <= newest && !is_live_table(live, name);
}

static uint64_t newest_live(const struct live_files *live)
{
    uint64_t newest = 0;
    for (int i = 0; i < live->table_count; i++) {
        struct vy_bytes name = vy_cstr(rocksdb_livefiles_name(live->tables, i));
        uint64_t number = 0;
        name = vy_bytes_from(name, name.len > 0 && name.data[0] == '/' ? 1 : 0);
        if (parse_number(name, ".sst", &number)) {
            newest = VY_MAX(newest, number);
        }
    }
    return newest;
}

static struct vy_err count_in(int dir_fd, const struct live_files *live, size_t *out)
{
    const int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        return vy_error_sys(VY_CODE_IO, errno, "read database directory");
    }
    const uint64_t newest = newest_live(live);
    size_t count = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += is_dead(live, newest, vy_cstr(entry->d_name)) ? 1 : 0;
    }
    (void)closedir(dir);
    *out = count;
    return vy_ok();
}

static struct vy_err count(struct rocks_store *store, size_t *out)
{
    struct live_files live = {.table_count = 0};
    if (rocksdb_property_int(store->db, "rocksdb.min-log-number-to-keep", &live.first_wal) != 0) {
        return vy_error(VY_CODE_INTERNAL, "oldest write-ahead log that is kept");
    }
    const rocksdb_livefiles_t *tables = rocksdb_livefiles(store->db);
    live.tables = tables;
    live.table_count = rocksdb_livefiles_count(tables);
    const struct vy_err err = count_in(store->dir_fd, &live, out);
    rocksdb_livefiles_destroy(tables);
    return err;
}

/* Files that were missed, as a log that was being synced when the last flush ended, are looked for
 * again when removing is allowed again, and else only after the next flush. */
static struct vy_err look_again(struct rocks_store *store)
{
    char *message = NULL;
    rocksdb_disable_file_deletions(store->db, &message);
    VY_TRY(rocks_error(message, "remove files"));
    rocksdb_enable_file_deletions(store->db, /* force = */ 0, &message);
    return rocks_error(message, "remove files");
}

struct vy_err rocks_remove_dead_files(struct store *base, size_t *out_left)
{
    VY_TRY(count(rocks_of(base), out_left));
    if (*out_left == 0) {
        return vy_ok();
    }
    VY_TRY(look_again(rocks_of(base)));
    return count(rocks_of(base), out_left);
}
