/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "replica/dir.h"
#include "replica/store_rocks_private.h"

#define ROCKS_MEMORY_BYTES_DEFAULT (64ULL * 1024 * 1024)
#define ROCKS_MEMORY_BYTES_MIN (8ULL * 1024 * 1024)
#define ROCKS_MEMTABLE_BYTES_MIN (1ULL * 1024 * 1024)
#define ROCKS_MEMTABLE_BYTES_MAX (64ULL * 1024 * 1024)
#define ROCKS_WAL_BYTES_MAX (512ULL * 1024 * 1024) /* bounds the time of a start */
#define ROCKS_BLOB_FILE_BYTES (64ULL * 1024 * 1024)
#define ROCKS_MANIFEST_BYTES_MAX (16ULL * 1024 * 1024)
#define ROCKS_LOG_BYTES_MAX (1U * 1024 * 1024)
#define ROCKS_OPEN_ROOM_BYTES (8ULL * 1024 * 1024) /* manifest, options and first tables */
#define ROCKS_SYNC_STEP_BYTES (1ULL * 1024 * 1024) /* background files reach the disk evenly */
#define ROCKS_OPEN_FILES 256
#define ROCKS_OPEN_FILES_LARGE 2048 /* from ROCKS_MEMORY_LARGE on */
#define ROCKS_MEMORY_LARGE (1ULL << 30)
#define ROCKS_BLOOM_BITS_PER_KEY 10.0 /* 1 % false hits */
#define ROCKS_BLOCK_BYTES (8U * 1024)
#define ROCKS_INFO_LOG_WARN 2
/* The format of what we write, in a row of the family that RocksDB always has. */
#define ROCKS_FORMAT_KEY "volary-store-format"
#define ROCKS_FORMAT 1U

struct rocks_sizes {
    uint64_t memory_bytes;
    uint64_t cache_bytes;
    uint64_t memtables_bytes; /* of all families */
    uint64_t wal_bytes;
};

static struct rocks_sizes choose_sizes(uint64_t memory_bytes)
{
    const uint64_t memory = memory_bytes == 0 ? ROCKS_MEMORY_BYTES_DEFAULT
                                              : VY_MAX(memory_bytes, ROCKS_MEMORY_BYTES_MIN);
    return (struct rocks_sizes){
        .memory_bytes = memory,
        .cache_bytes = memory / 2,
        .memtables_bytes = memory / 2,
        .wal_bytes = VY_MIN(memory, ROCKS_WAL_BYTES_MAX),
    };
}

/* ---- options ---- */

static rocksdb_options_t *new_db_options(const struct rocks_sizes *sizes)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_create_missing_column_families(o, 1);
    rocksdb_options_set_paranoid_checks(o, 1);
    /* C7: what a power cut left of the last record is dropped, a hole is refused. Point-in-time
     * recovery would silently forget what lies behind a hole. */
    rocksdb_options_set_wal_recovery_mode(o, rocksdb_tolerate_corrupted_tail_records_recovery);
    rocksdb_options_set_max_total_wal_size(o, sizes->wal_bytes);
    rocksdb_options_set_db_write_buffer_size(o, (size_t)sizes->memtables_bytes);
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_max_open_files(
        o, sizes->memory_bytes >= ROCKS_MEMORY_LARGE ? ROCKS_OPEN_FILES_LARGE : ROCKS_OPEN_FILES);
    rocksdb_options_set_bytes_per_sync(o, ROCKS_SYNC_STEP_BYTES);
    rocksdb_options_set_max_manifest_file_size(o, ROCKS_MANIFEST_BYTES_MAX);
    rocksdb_options_set_avoid_unnecessary_blocking_io(o, 1);
    rocksdb_options_set_info_log_level(o, ROCKS_INFO_LOG_WARN);
    rocksdb_options_set_max_log_file_size(o, ROCKS_LOG_BYTES_MAX);
    rocksdb_options_set_keep_log_file_num(o, 2);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    return o;
}

static void set_table(rocksdb_options_t *o, rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_block_size(table, ROCKS_BLOCK_BYTES);
    /* Index and filters count as cache, or memory_bytes would not bound them. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(ROCKS_BLOOM_BITS_PER_KEY));
    rocksdb_options_set_block_based_table_factory(o, table);
    rocksdb_block_based_options_destroy(table);
}

static void set_blobs(rocksdb_options_t *o, uint32_t blob_min_bytes)
{
    rocksdb_options_set_enable_blob_files(o, 1);
    rocksdb_options_set_min_blob_size(o, blob_min_bytes);
    rocksdb_options_set_blob_file_size(o, ROCKS_BLOB_FILE_BYTES);
    /* Blobs are sealed: they do not compress. Cutoff 0: compactions leave them where they are,
     * which writes each body once; store_compact raises it for the time it runs. */
    rocksdb_options_set_blob_compression_type(o, rocksdb_no_compression);
    rocksdb_options_set_enable_blob_gc(o, 1);
    rocksdb_options_set_blob_gc_age_cutoff(o, 0.0);
}

static uint64_t memtable_bytes(const struct store_family *family, const struct rocks_sizes *sizes)
{
    if (family->memtable_bytes > 0) {
        return family->memtable_bytes;
    }
    /* Shares overlap: db_write_buffer_size bounds the sum, and a busy family may use an idle one's
     * share. */
    const uint64_t share = sizes->memtables_bytes / (family->blob_min_bytes > 0 ? 2 : 4);
    return VY_MIN(VY_MAX(share, ROCKS_MEMTABLE_BYTES_MIN), ROCKS_MEMTABLE_BYTES_MAX);
}

static rocksdb_options_t *new_family_options(const struct store_family *family,
                                             const struct rocks_sizes *sizes,
                                             rocksdb_cache_t *cache)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_write_buffer_size(o, (size_t)memtable_bytes(family, sizes));
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    rocksdb_options_set_compression(o, family->blob_min_bytes > 0 ? rocksdb_no_compression
                                                                  : rocksdb_lz4_compression);
    if (family->prefix_bytes > 0) {
        rocksdb_options_set_prefix_extractor(
            o, rocksdb_slicetransform_create_fixed_prefix(family->prefix_bytes));
    }
    if (family->blob_min_bytes > 0) {
        set_blobs(o, family->blob_min_bytes);
    }
    set_table(o, cache);
    return o;
}

/* ---- the directory ---- */

static bool has_suffix(const char *name, const char *suffix)
{
    return vy_bytes_ends_with(vy_cstr(name), vy_cstr(suffix));
}

/* A database whose CURRENT is gone looks like none; opening it would throw its files away. */
static struct vy_err check_no_leftovers(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return vy_error_sys(VY_CODE_IO, errno, "read database directory");
    }
    bool has_data = false;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        has_data = has_data || has_suffix(entry->d_name, ".sst") ||
                   has_suffix(entry->d_name, ".blob") || has_suffix(entry->d_name, ".log");
    }
    (void)closedir(dir);
    return has_data ? vy_error(VY_CODE_CORRUPT, "database files without CURRENT") : vy_ok();
}

/* NOT_FOUND: there is no database here. */
static struct vy_err find_database(const struct store_options *options, int dir_fd)
{
    struct stat info;
    if (fstatat(dir_fd, "CURRENT", &info, 0) == 0) {
        return vy_ok();
    }
    if (errno != ENOENT) {
        return vy_error_sys(VY_CODE_IO, errno, "look for database");
    }
    VY_TRY(check_no_leftovers(options->dir));
    return vy_error(VY_CODE_NOT_FOUND, "no database here");
}

/* The lock on the directory makes "open elsewhere" a fact of its own, not a text of RocksDB's, and
 * also holds within this process. */
static struct vy_err lock_dir(const struct store_options *options, int *out)
{
    if (!options->must_exist && !options->is_read_only) {
        VY_TRY(dir_make(options->dir));
    }
    const int fd = open(options->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return vy_error_sys(errno == ENOENT ? VY_CODE_NOT_FOUND : VY_CODE_IO, errno,
                            "open database directory");
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const int sys = errno;
        (void)close(fd);
        return sys == EWOULDBLOCK ? vy_error(VY_CODE_BUSY, "database is open elsewhere")
                                  : vy_error_sys(VY_CODE_IO, sys, "lock database directory");
    }
    *out = fd;
    return vy_ok();
}

/* ---- families ---- */

static bool is_known_family(const struct store_options *options, const char *name)
{
    bool is_known = strcmp(name, "default") == 0;
    for (size_t i = 0; i < options->family_count; i++) {
        is_known = is_known || strcmp(name, options->families[i].name) == 0;
    }
    return is_known;
}

static struct vy_err check_families(const struct rocks_store *store,
                                    const struct store_options *options,
                                    const rocksdb_options_t *db_options)
{
    char *message = NULL;
    size_t count = 0;
    char **names = rocksdb_list_column_families(db_options, options->dir, &count, &message);
    bool is_known = true;
    for (size_t i = 0; i < count; i++) {
        is_known = is_known && is_known_family(options, names[i]);
    }
    rocksdb_list_column_families_destroy(names, count); /* there is a list after an error too */
    VY_TRY(rocks_error_noted(store, message, "list families"));
    return is_known ? vy_ok() : vy_error(VY_CODE_UNSUPPORTED, "families that are not in the list");
}

/* A file that the manifest names and that is not there is damage, whatever the errno. */
static struct vy_err open_error(const struct rocks_store *store, char *message)
{
    if (message == NULL) {
        return vy_ok();
    }
    const bool is_missing =
        vy_bytes_find(vy_cstr(message), VY_LIT("No such file or directory"), 0) != SIZE_MAX;
    const struct vy_err err = rocks_error_noted(store, message, "open database");
    return is_missing ? vy_error(VY_CODE_CORRUPT, "open database: a file is missing") : err;
}

static struct vy_err open_families(struct rocks_store *store, const struct store_options *options,
                                   const struct rocks_sizes *sizes,
                                   const rocksdb_options_t *db_options)
{
    const struct store_family own = {.name = "default", .memtable_bytes = ROCKS_MEMTABLE_BYTES_MIN};
    const char *names[STORE_FAMILIES_MAX + 1] = {own.name};
    rocksdb_options_t *family_options[STORE_FAMILIES_MAX + 1];
    rocksdb_column_family_handle_t *handles[STORE_FAMILIES_MAX + 1] = {NULL};
    rocksdb_cache_t *cache = rocksdb_cache_create_lru((size_t)sizes->cache_bytes);
    const size_t count = options->family_count + 1;

    family_options[0] = new_family_options(&own, sizes, cache);
    for (size_t i = 1; i < count; i++) {
        names[i] = options->families[i - 1].name;
        family_options[i] = new_family_options(&options->families[i - 1], sizes, cache);
    }
    char *message = NULL;
    const rocksdb_options_t *const *per_family = (const rocksdb_options_t *const *)family_options;
    store->db = options->is_read_only
                    ? rocksdb_open_for_read_only_column_families(
                          db_options, options->dir, (int)count, names, per_family, handles,
                          /* error_if_wal_file_exists = */ 0, &message)
                    : rocksdb_open_column_families(db_options, options->dir, (int)count, names,
                                                   per_family, handles, &message);
    for (size_t i = 0; i < count; i++) {
        rocksdb_options_destroy(family_options[i]);
    }
    rocksdb_cache_destroy(cache); /* the database holds on to it */
    VY_TRY(open_error(store, message));

    store->own = handles[0];
    for (size_t i = 0; i < options->family_count; i++) {
        store->families[i] = (struct rocks_family){
            .handle = handles[i + 1],
            .prefix_bytes = options->families[i].prefix_bytes,
            .has_blobs = options->families[i].blob_min_bytes > 0,
        };
    }
    return vy_ok();
}

/* ---- format ---- */

static struct vy_err write_format(struct rocks_store *store)
{
    uint8_t value[4];
    char *message = NULL;
    vy_put_be32(value, ROCKS_FORMAT);
    rocksdb_put_cf(store->db, store->write_synced, store->own, ROCKS_FORMAT_KEY,
                   strlen(ROCKS_FORMAT_KEY), (const char *)value, sizeof(value), &message);
    VY_TRY(rocks_error_noted(store, message, "write format"));
    /* A row left in memory would keep the whole write-ahead log since then. */
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flush_cf(store->db, options, store->own, &message);
    rocksdb_flushoptions_destroy(options);
    return rocks_error_noted(store, message, "write format");
}

/* Written once, before anything else; a crash in between leaves an empty database without it. */
static struct vy_err check_format(struct rocks_store *store, bool is_read_only)
{
    char *message = NULL;
    size_t len = 0;
    char *value = rocksdb_get_cf(store->db, store->read, store->own, ROCKS_FORMAT_KEY,
                                 strlen(ROCKS_FORMAT_KEY), &len, &message);
    VY_TRY(rocks_error_noted(store, message, "read format"));
    if (value == NULL) {
        return is_read_only ? vy_error(VY_CODE_CORRUPT, "the database has no format")
                            : write_format(store);
    }
    const uint32_t format = len == 4 ? vy_get_be32((const uint8_t *)value) : 0;
    rocksdb_free(value);
    if (format == 0) {
        return vy_error(VY_CODE_CORRUPT, "format of the database");
    }
    return format <= ROCKS_FORMAT ? vy_ok()
                                  : vy_error(VY_CODE_UNSUPPORTED, "format of a newer version");
}

/* ---- open and close ---- */

/* Bytes of the write-ahead log that opening turns into tables. */
static struct vy_err wal_bytes(const struct store_options *options, uint64_t *out)
{
    DIR *dir = opendir(options->dir);
    if (dir == NULL) {
        return vy_error_sys(VY_CODE_IO, errno, "read database directory");
    }
    *out = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat info;
        if (has_suffix(entry->d_name, ".log") &&
            fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
            *out += (uint64_t)info.st_size;
        }
    }
    (void)closedir(dir);
    return vy_ok();
}

/* RocksDB aborts the process where space runs out while it opens (promises.md E4). */
static struct vy_err check_room(const struct rocks_store *store,
                                const struct store_options *options)
{
    struct statvfs info;
    uint64_t needed = 0;
    VY_TRY(wal_bytes(options, &needed));
    needed += needed / 10 + ROCKS_OPEN_ROOM_BYTES;
    if (fstatvfs(store->dir_fd, &info) != 0) {
        return vy_error_sys(VY_CODE_IO, errno, "free space");
    }
    return (uint64_t)info.f_bavail * info.f_frsize >= needed
               ? vy_ok()
               : vy_error_sys(VY_CODE_FULL, ENOSPC, "room to open the database");
}

static struct vy_err open_locked(struct rocks_store *store, const struct store_options *options)
{
    const struct rocks_sizes sizes = choose_sizes(options->memory_bytes);
    const struct vy_err found = find_database(options, store->dir_fd);
    const bool must_exist = options->must_exist || options->is_read_only;
    if (vy_failed(found) && (found.code != VY_CODE_NOT_FOUND || must_exist)) {
        return found;
    }
    if (!options->is_read_only) {
        VY_TRY(check_room(store, options));
    }
    rocksdb_options_t *db_options = new_db_options(&sizes);
    struct vy_err err = vy_failed(found) ? vy_ok() : check_families(store, options, db_options);
    if (!vy_failed(err)) {
        err = open_families(store, options, &sizes, db_options);
    }
    rocksdb_options_destroy(db_options);
    VY_TRY(err);
    atomic_store(&store->has_failed, options->is_read_only);
    const uint64_t needed = sizes.wal_bytes + sizes.memtables_bytes;
    store->floor_bytes = needed + needed / 10;
    return check_format(store, options->is_read_only);
}

void rocks_close(struct store *base)
{
    struct rocks_store *store = rocks_of(base);
    if (store->db != NULL) {
        rocksdb_cancel_all_background_work(store->db, /* wait = */ 1);
        rocksdb_column_family_handle_destroy(store->own);
        for (size_t i = 0; i < base->family_count; i++) {
            rocksdb_column_family_handle_destroy(store->families[i].handle);
        }
        rocksdb_close(store->db);
    }
    rocksdb_readoptions_destroy(store->read);
    rocksdb_writeoptions_destroy(store->write_synced);
    rocksdb_writeoptions_destroy(store->write_unsynced);
    if (store->dir_fd >= 0) {
        (void)close(store->dir_fd); /* and its lock */
    }
    free(store);
}

static struct vy_err check_options(const struct store_options *options)
{
    if (options->family_count == 0 || options->family_count > STORE_FAMILIES_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "number of families");
    }
    for (size_t i = 0; i < options->family_count; i++) {
        if (strcmp(options->families[i].name, "default") == 0) {
            return vy_error(VY_CODE_ARGUMENT, "family name is RocksDB's own");
        }
    }
    return vy_ok();
}

struct vy_err store_rocks_open(const struct store_options *options, struct store **out)
{
    VY_TRY(check_options(options));
    struct rocks_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return vy_error(VY_CODE_NOMEM, "store");
    }
    store->store.ops = &rocks_store_ops;
    store->store.newest.ops = &rocks_newest_ops;
    store->store.family_count = options->family_count;
    store->dir_fd = -1;
    store->reason = options->reason;
    store->read = rocksdb_readoptions_create();
    store->write_unsynced = rocksdb_writeoptions_create();
    store->write_synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(store->write_synced, 1);

    struct vy_err err = lock_dir(options, &store->dir_fd);
    if (!vy_failed(err)) {
        err = open_locked(store, options);
    }
    if (vy_failed(err)) {
        rocks_close(&store->store);
        return err;
    }
    *out = &store->store;
    return vy_ok();
}
