/* SPDX-License-Identifier: Apache-2.0 */
/* What only a disk can do: other processes, being killed, damage in files, hard links. */
#include <rocksdb/c.h>

#include "base/assert.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replica/store_fixture.h"
#include "replica/store_reason.h"

/* ---- files of the database ---- */

/* The largest file with this ending; larger than nothing. */
static void find_file(const struct store_fixture *f, const char *suffix, char *out, size_t out_max)
{
    DIR *dir = opendir(f->dir);
    off_t largest = 0;
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat info;
        if (vy_bytes_ends_with(vy_cstr(entry->d_name), vy_cstr(suffix)) &&
            fstatat(dirfd(dir), entry->d_name, &info, 0) == 0 && info.st_size > largest) {
            largest = info.st_size;
            (void)snprintf(out, out_max, "%s/%s", f->dir, entry->d_name);
        }
    }
    (void)closedir(dir);
    assert_true(largest > 0);
}

static off_t size_of(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info.st_size;
}

static void flip_byte(const char *path, off_t at)
{
    uint8_t byte = 0;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
}

static bool dir_contains(const struct store_fixture *f, struct vy_bytes needle)
{
    static uint8_t content[4U * 1024 * 1024];
    bool is_found = false;
    DIR *dir = opendir(f->dir);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        const int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
        const ssize_t len = read(fd, content, sizeof(content));
        is_found = is_found || (len > 0 && vy_bytes_find(vy_bytes(content, (size_t)len), needle,
                                                         0) != SIZE_MAX);
        (void)close(fd);
    }
    (void)closedir(dir);
    return is_found;
}

static void write_rows(struct store_fixture *f, unsigned from, unsigned to, bool sync)
{
    for (unsigned i = from; i < to; i++) {
        char key[16];
        struct store_batch *batch = NULL;
        (void)snprintf(key, sizeof(key), "%04u", i);
        assert_false(vy_failed(store_batch_new(f->store, &batch)));
        store_batch_put(batch, FAMILY_ROWS, vy_cstr(key), VY_LIT("a value of some length"));
        store_batch_put(batch, FAMILY_PREFIX, vy_cstr(key), vy_cstr(key));
        assert_false(vy_failed(store_write(f->store, batch, sync)));
        store_batch_free(batch);
    }
}

/* How many rows there are: all from 0 on, in both families, or the test fails. */
static unsigned count_rows(struct store_fixture *f)
{
    unsigned count = 0;
    for (bool is_there = true; is_there; count++) {
        char key[16];
        struct store_value row;
        struct store_value other;
        (void)snprintf(key, sizeof(key), "%04u", count);
        const struct store_reader *newest = store_newest(f->store);
        assert_false(vy_failed(store_get(newest, FAMILY_ROWS, vy_cstr(key), &row)));
        assert_false(vy_failed(store_get(newest, FAMILY_PREFIX, vy_cstr(key), &other)));
        assert_int_equal(row.is_found, other.is_found);
        is_there = row.is_found;
        store_value_release(&row);
        store_value_release(&other);
    }
    return count - 1;
}

/* ---- processes ---- */

/* A child is this program started anew, as RocksDB's threads do not survive a fork: see main. */
static pid_t start_child(const char *mode, const struct store_fixture *f)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execl("/proc/self/exe", "store_rocks_test", mode, f->dir, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* A child that is killed when it is done: nothing is closed. */
static void in_killed_child(const char *mode, const struct store_fixture *f)
{
    int status = 0;
    const pid_t pid = start_child(mode, f);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void child_writes(struct store_fixture *f)
{
    write_rows(f, 0, 100, true);
    assert_false(vy_failed(store_flush(f->store)));
    write_rows(f, 100, 150, false);
}

static void child_writes_log(struct store_fixture *f)
{
    write_rows(f, 0, 100, true);
}

/* Tells that the store is open, and holds it until the parent has tried. */
static void child_holds(struct store_fixture *f)
{
    char byte = 'x';
    (void)f;
    assert_int_equal(write(STDOUT_FILENO, &byte, 1), 1);
    assert_int_equal(read(STDIN_FILENO, &byte, 1), 1);
}

static int run_child(const char *mode, const char *dir)
{
    /* clang-format off */
    static const struct { const char *mode; void (*run)(struct store_fixture *f); } rows[] = {
        { "writes",     child_writes },
        { "writes-log", child_writes_log },
        { "holds",      child_holds },
    };
    /* clang-format on */
    struct store_fixture f = {.engine = STORE_FIXTURE_ROCKS,
                              .family_count = STORE_FIXTURE_FAMILIES};
    (void)snprintf(f.dir, sizeof(f.dir), "%s", dir);
    store_fixture_open(&f);
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        if (strcmp(mode, rows[i].mode) == 0) {
            rows[i].run(&f);
        }
    }
    return raise(SIGKILL);
}

/* P1: the process may die at any time; what it wrote is there, whole batches only. */
static void a_killed_process_loses_nothing(void **state)
{
    (void)state;
    struct store_fixture f;
    store_fixture_init(&f, STORE_FIXTURE_ROCKS);
    in_killed_child("writes", &f);
    store_fixture_open(&f);
    assert_int_equal(count_rows(&f), 150);
    write_rows(&f, 150, 160, true);
    store_fixture_close(&f);
    store_fixture_open(&f);
    assert_int_equal(count_rows(&f), 160);
    store_fixture_deinit(&f);
}

/* A child with its standard input and output at our ends of two pipes. */
static pid_t start_holder(const struct store_fixture *f, int *from_child, int *to_child)
{
    int out[2];
    int in[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(out[1], STDOUT_FILENO);
        (void)dup2(in[0], STDIN_FILENO);
        (void)execl("/proc/self/exe", "store_rocks_test", "holds", f->dir, (char *)NULL);
        _exit(127);
    }
    (void)close(out[1]);
    (void)close(in[0]);
    *from_child = out[0];
    *to_child = in[1];
    return pid;
}

/* C5. */
static void another_process_keeps_us_out(void **state)
{
    (void)state;
    struct store_fixture f;
    int from_child = -1;
    int to_child = -1;
    int status = 0;
    char byte = 'x';
    store_fixture_init(&f, STORE_FIXTURE_ROCKS);
    const pid_t pid = start_holder(&f, &from_child, &to_child);
    assert_int_equal(read(from_child, &byte, 1), 1);
    assert_int_equal(store_fixture_try_open(&f, false).code, VY_CODE_BUSY);
    assert_int_equal(store_fixture_try_open(&f, true).code, VY_CODE_BUSY);
    assert_int_equal(write(to_child, &byte, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    store_fixture_open(&f); /* the lock dies with its process */
    (void)close(from_child);
    (void)close(to_child);
    store_fixture_deinit(&f);
}

/* ---- damage ---- */

/* C7: the tail that was being written is dropped. */
static void a_torn_tail_of_the_log_is_dropped(void **state)
{
    (void)state;
    struct store_fixture f;
    char path[512];
    store_fixture_init(&f, STORE_FIXTURE_ROCKS);
    in_killed_child("writes-log", &f);
    find_file(&f, ".log", path, sizeof(path));
    assert_int_equal(truncate(path, size_of(path) - 3), 0);
    store_fixture_open(&f);
    assert_int_equal(count_rows(&f), 99);
    store_fixture_deinit(&f);
}

/* C7: a hole is fatal; what lies behind it was acknowledged. */
static void a_hole_in_the_log_is_refused(void **state)
{
    (void)state;
    struct store_fixture f;
    char path[512];
    store_fixture_init(&f, STORE_FIXTURE_ROCKS);
    in_killed_child("writes-log", &f);
    find_file(&f, ".log", path, sizeof(path));
    flip_byte(path, size_of(path) / 2);
    assert_int_equal(store_fixture_try_open(&f, false).code, VY_CODE_CORRUPT);
    store_fixture_deinit(&f);
}

static void prepare_table(struct store_fixture *f, const char *suffix, char *path, size_t path_max)
{
    store_fixture_init(f, STORE_FIXTURE_ROCKS);
    store_fixture_open(f);
    write_rows(f, 0, 100, true);
    char large[4096];
    memset(large, 'b', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    store_fixture_put(f, FAMILY_BLOBS, "blob", large);
    assert_false(vy_failed(store_flush(f->store)));
    store_fixture_close(f);
    find_file(f, suffix, path, path_max);
}

static struct vy_err walk_all(struct store_fixture *f, unsigned family)
{
    const struct store_range all = {.is_reverse = false};
    struct store_iter *iter = NULL;
    VY_TRY(store_iter_new(store_newest(f->store), family, &all, &iter));
    while (iter->is_valid) {
        store_iter_next(iter);
    }
    const struct vy_err err = store_iter_error(iter);
    store_iter_free(iter);
    return err;
}

/* C6, P4: damage in a table is refused at the start or by the read, never served. */
static void damage_in_a_table_is_not_served(void **state)
{
    (void)state;
    static const char *const suffixes[] = {".sst", ".blob"};
    for (size_t i = 0; i < VY_COUNT_OF(suffixes); i++) {
        struct store_fixture f;
        char path[512];
        prepare_table(&f, suffixes[i], path, sizeof(path));
        flip_byte(path, i == 0 ? 20 : size_of(path) / 2);
        struct vy_err err = store_fixture_try_open(&f, true);
        for (unsigned family = 0; family < STORE_FIXTURE_FAMILIES && !vy_failed(err); family++) {
            err = walk_all(&f, family);
        }
        assert_int_equal(err.code, VY_CODE_CORRUPT);
        store_fixture_deinit(&f);
    }
}

static void damage_in_a_blob_fails_the_read(void **state)
{
    (void)state;
    struct store_fixture f;
    struct store_value value;
    char path[512];
    prepare_table(&f, ".blob", path, sizeof(path));
    flip_byte(path, size_of(path) / 2);
    store_fixture_open(&f);
    assert_int_equal(store_get(store_newest(f.store), FAMILY_BLOBS, VY_LIT("blob"), &value).code,
                     VY_CODE_CORRUPT);
    store_fixture_deinit(&f);
}

/* C6: files that are gone or cut are damage, and are not replaced by an empty database. */
static void missing_files_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {".sst", "CURRENT", "MANIFEST"};
    for (size_t i = 0; i < VY_COUNT_OF(names); i++) {
        struct store_fixture f;
        char path[512];
        prepare_table(&f, ".sst", path, sizeof(path));
        if (strcmp(names[i], "MANIFEST") == 0) {
            (void)snprintf(path, sizeof(path), "%s/CURRENT", f.dir);
            flip_byte(path, 12); /* names another one */
        } else {
            find_file(&f, names[i], path, sizeof(path));
            assert_int_equal(unlink(path), 0);
        }
        const struct vy_err err = store_fixture_try_open(&f, false);
        if (err.code != VY_CODE_CORRUPT) {
            fail_msg("%s: %s", names[i], vy_code_name(err.code));
        }
        store_fixture_deinit(&f);
    }
}

/* RocksDB opens without it; reading says so. */
static void a_missing_blob_file_fails_the_read(void **state)
{
    (void)state;
    struct store_fixture f;
    struct store_value value;
    char path[512];
    prepare_table(&f, ".blob", path, sizeof(path));
    assert_int_equal(unlink(path), 0);
    const struct vy_err err = store_fixture_try_open(&f, false);
    assert_true(vy_failed(err) ||
                vy_failed(store_get(store_newest(f.store), FAMILY_BLOBS, VY_LIT("blob"), &value)));
    store_fixture_deinit(&f);
}

/* ---- versions ---- */

static void put_format(const struct store_fixture *f, const uint8_t *value, size_t len)
{
    const char *const names[] = {"default", "rows", "blobs", "prefix"};
    rocksdb_column_family_handle_t *handles[4];
    char *message = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    const rocksdb_options_t *const all[] = {options, options, options, options};
    rocksdb_t *db = rocksdb_open_column_families(options, f->dir, 4, names, all, handles, &message);
    assert_null(message);
    rocksdb_writeoptions_t *write = rocksdb_writeoptions_create();
    rocksdb_put_cf(db, write, handles[0], "volary-store-format", 19, (const char *)value, len,
                   &message);
    assert_null(message);
    rocksdb_writeoptions_destroy(write);
    for (size_t i = 0; i < 4; i++) {
        rocksdb_column_family_handle_destroy(handles[i]);
    }
    rocksdb_close(db);
    rocksdb_options_destroy(options);
}

/* C4 */
static void a_newer_format_is_refused(void **state)
{
    (void)state;
    struct store_fixture f;
    static const uint8_t newer[] = {0, 0, 0, 2};
    static const uint8_t damaged[] = {0, 0, 1};
    store_fixture_init(&f, STORE_FIXTURE_ROCKS);
    store_fixture_open(&f);
    store_fixture_close(&f);
    put_format(&f, newer, sizeof(newer));
    assert_int_equal(store_fixture_try_open(&f, false).code, VY_CODE_UNSUPPORTED);
    put_format(&f, damaged, sizeof(damaged));
    assert_int_equal(store_fixture_try_open(&f, false).code, VY_CODE_CORRUPT);
    store_fixture_deinit(&f);
}

static void the_directory_is_ours_alone(void **state)
{
    (void)state;
    struct store_fixture f;
    struct stat info;
    store_fixture_init(&f, STORE_FIXTURE_ROCKS);
    assert_int_equal(store_fixture_try_open(&f, /* must_exist = */ true).code, VY_CODE_NOT_FOUND);
    assert_int_not_equal(stat(f.dir, &info), 0); /* nothing was made */
    store_fixture_open(&f);
    assert_int_equal(stat(f.dir, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    store_fixture_deinit(&f);
}

/* ---- care ---- */

static void a_checkpoint_is_a_store_of_that_moment(void **state)
{
    (void)state;
    struct store_fixture f;
    struct store_fixture copy;
    store_fixture_init(&f, STORE_FIXTURE_ROCKS);
    store_fixture_init(&copy, STORE_FIXTURE_ROCKS);
    store_fixture_open(&f);
    write_rows(&f, 0, 20, false);
    assert_false(vy_failed(store_checkpoint(f.store, copy.dir)));
    write_rows(&f, 20, 30, false);
    assert_int_equal(store_checkpoint(f.store, copy.dir).code, VY_CODE_EXISTS);
    assert_false(vy_failed(store_fixture_try_open(&copy, /* must_exist = */ true)));
    assert_int_equal(count_rows(&copy), 20);
    assert_int_equal(count_rows(&f), 30);
    store_fixture_deinit(&copy);
    store_fixture_deinit(&f);
}

/* Erasing: after a compaction no file holds the deleted rows, blobs included. */
static void compaction_takes_deleted_rows_out_of_the_files(void **state)
{
    (void)state;
    struct store_fixture f;
    char large[4096];
    memset(large, 'x', sizeof(large));
    memcpy(large, "SECRET-BODY", 11);
    large[sizeof(large) - 1] = '\0';
    store_fixture_init(&f, STORE_FIXTURE_ROCKS);
    store_fixture_open(&f);
    store_fixture_put(&f, FAMILY_BLOBS, "a-kept", "kept");
    store_fixture_put(&f, FAMILY_BLOBS, "b-gone", large);
    large[0] = 'K';
    store_fixture_put(&f, FAMILY_BLOBS, "c-kept", large);
    assert_false(vy_failed(store_flush(f.store)));
    assert_true(dir_contains(&f, VY_LIT("SECRET-BODY")));
    struct store_batch *batch = NULL;
    assert_false(vy_failed(store_batch_new(f.store, &batch)));
    store_batch_delete_range(batch, FAMILY_BLOBS, VY_LIT("b"), VY_LIT("c"));
    assert_false(vy_failed(store_write(f.store, batch, true)));
    store_batch_free(batch);
    assert_false(vy_failed(store_flush(f.store)));
    assert_false(vy_failed(store_compact(f.store, FAMILY_BLOBS, VY_LIT(""), VY_LIT(""))));
    store_fixture_close(&f); /* files without readers are removed by now */
    assert_false(dir_contains(&f, VY_LIT("SECRET-BODY")));
    assert_false(dir_contains(&f, VY_LIT("b-gone")));
    store_fixture_open(&f);
    store_fixture_check(&f, FAMILY_BLOBS, "c-kept", large);
    store_fixture_deinit(&f);
}

/* Whoever has to repair it needs path and cause, not "open database". */
static void what_rocksdb_says_of_a_failed_open_is_kept_C4(void **state)
{
    (void)state;
    struct store_fixture f;
    struct store_reason reason;
    char text[STORE_REASON_BYTES];
    char lock[sizeof(f.dir) + 8];
    store_fixture_init(&f, STORE_FIXTURE_ROCKS);
    (void)snprintf(lock, sizeof(lock), "%s/LOCK", f.dir);
    assert_int_equal(mkdir(f.dir, 0700), 0);
    assert_int_equal(mkdir(lock, 0700), 0); /* no file can be made there */
    store_reason_init(&reason);
    f.reason = &reason;
    const struct vy_err err = store_fixture_try_open(&f, false);
    store_reason_copy(&reason, err, text);
    assert_int_equal(err.code, VY_CODE_IO);
    assert_int_equal(err.sys, EISDIR);
    assert_non_null(strstr(text, lock));
    assert_non_null(strstr(text, "Is a directory"));
    assert_int_equal(rmdir(lock), 0);
    store_fixture_deinit(&f);
    store_reason_deinit(&reason);
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        return run_child(argv[1], argv[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_process_loses_nothing),
        cmocka_unit_test(another_process_keeps_us_out),
        cmocka_unit_test(a_torn_tail_of_the_log_is_dropped),
        cmocka_unit_test(a_hole_in_the_log_is_refused),
        cmocka_unit_test(damage_in_a_table_is_not_served),
        cmocka_unit_test(damage_in_a_blob_fails_the_read),
        cmocka_unit_test(missing_files_are_refused),
        cmocka_unit_test(a_missing_blob_file_fails_the_read),
        cmocka_unit_test(a_newer_format_is_refused),
        cmocka_unit_test(what_rocksdb_says_of_a_failed_open_is_kept_C4),
        cmocka_unit_test(the_directory_is_ours_alone),
        cmocka_unit_test(a_checkpoint_is_a_store_of_that_moment),
        cmocka_unit_test(compaction_takes_deleted_rows_out_of_the_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
