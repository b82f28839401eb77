/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/install.h"

#include "base/codec.h"
#include "replica/dir.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPLACED ".replaced"
#define REFUSED ".refused"
#define NOTE "/MEMBER"
#define NOTE_NEW "/MEMBER.new"
#define NOTE_VERSION 1U
/* version u16, cluster 16, group, member, incarnation, term, vote, index u64, crc u32 */
#define NOTE_BYTES 70U

struct paths {
    char incoming[INSTALL_PATH_BYTES_MAX];
    char staged[INSTALL_PATH_BYTES_MAX];
    char staged_note[INSTALL_PATH_BYTES_MAX];
    char replaced[INSTALL_PATH_BYTES_MAX];
    char refused[INSTALL_PATH_BYTES_MAX];
    char note[INSTALL_PATH_BYTES_MAX];
};

struct vy_err install_path(const char *dir, const char *suffix, char out[INSTALL_PATH_BYTES_MAX])
{
    const int len = snprintf(out, INSTALL_PATH_BYTES_MAX, "%s%s", dir, suffix);
    return len > 0 && (size_t)len < INSTALL_PATH_BYTES_MAX
               ? vy_ok()
               : vy_error(VY_CODE_LIMIT, "path of a database");
}

static struct vy_err find_paths(const char *dir, struct paths *out)
{
    VY_TRY(install_path(dir, INSTALL_INCOMING, out->incoming));
    VY_TRY(install_path(dir, INSTALL_INCOMING_DB, out->staged));
    VY_TRY(install_path(dir, INSTALL_INCOMING_DB NOTE, out->staged_note));
    VY_TRY(install_path(dir, REPLACED, out->replaced));
    VY_TRY(install_path(dir, REFUSED, out->refused));
    return install_path(dir, NOTE, out->note);
}

static bool is_file(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* ---- the note ---- */

static void encode_note(const struct install_note *note, uint8_t out[NOTE_BYTES])
{
    vy_put_be16(out, NOTE_VERSION);
    memcpy(out + 2, note->identity.cluster_id, REPLICA_CLUSTER_ID_BYTES);
    vy_put_be64(out + 18, note->identity.group_id);
    vy_put_be64(out + 26, note->identity.member_id);
    vy_put_be64(out + 34, note->identity.incarnation);
    vy_put_be64(out + 42, note->term);
    vy_put_be64(out + 50, note->voted_for);
    vy_put_be64(out + 58, note->index);
    vy_put_be32(out + 66, vy_crc32c(0, vy_bytes(out, 66)));
}

static struct vy_err decode_note(const uint8_t *bytes, size_t len, struct install_note *out)
{
    if (len >= 2 && vy_get_be16(bytes) > NOTE_VERSION) {
        return vy_error(VY_CODE_UNSUPPORTED, "the received database has a newer format");
    }
    if (len != NOTE_BYTES || vy_get_be32(bytes + 66) != vy_crc32c(0, vy_bytes(bytes, 66))) {
        return vy_error(VY_CODE_CORRUPT, "note in the received database");
    }
    memcpy(out->identity.cluster_id, bytes + 2, REPLICA_CLUSTER_ID_BYTES);
    out->identity.group_id = vy_get_be64(bytes + 18);
    out->identity.member_id = vy_get_be64(bytes + 26);
    out->identity.incarnation = vy_get_be64(bytes + 34);
    out->term = vy_get_be64(bytes + 42);
    out->voted_for = vy_get_be64(bytes + 50);
    out->index = vy_get_be64(bytes + 58);
    return vy_ok();
}

static struct vy_err write_synced(const char *path, const uint8_t *bytes, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return vy_error_sys(VY_CODE_IO, errno, "write note of a database");
    }
    const bool is_written = write(fd, bytes, len) == (ssize_t)len && fsync(fd) == 0;
    const int sys = errno;
    (void)close(fd); /* synced */
    return is_written ? vy_ok() : vy_error_sys(VY_CODE_IO, sys, "write note of a database");
}

struct vy_err install_write_note(const char *dir, const struct install_note *note)
{
    struct paths paths;
    char fresh[INSTALL_PATH_BYTES_MAX];
    uint8_t bytes[NOTE_BYTES];
    VY_TRY(find_paths(dir, &paths));
    VY_TRY(install_path(paths.staged, NOTE_NEW, fresh));
    encode_note(note, bytes);
    VY_TRY(write_synced(fresh, bytes, sizeof(bytes)));
    VY_TRY(dir_sync(paths.staged)); /* the database's own files */
    VY_TRY(dir_sync(paths.incoming));
    VY_TRY(dir_sync_parent(paths.incoming));
    if (rename(fresh, paths.staged_note) != 0) {
        return vy_error_sys(VY_CODE_IO, errno, "write note of a database");
    }
    return dir_sync(paths.staged);
}

struct vy_err install_read_note(const char *dir, bool *is_found, struct install_note *out)
{
    struct paths paths;
    uint8_t bytes[NOTE_BYTES + 1];
    VY_TRY(find_paths(dir, &paths));
    *is_found = false;
    const int fd = open(paths.note, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? vy_ok()
                   : vy_error_sys(VY_CODE_IO, errno, "read note of a database");
    }
    const ssize_t len = read(fd, bytes, sizeof(bytes));
    const int sys = errno;
    (void)close(fd);
    if (len < 0) {
        return vy_error_sys(VY_CODE_IO, sys, "read note of a database");
    }
    VY_TRY(decode_note(bytes, (size_t)len, out));
    *is_found = true;
    return vy_ok();
}

/* ---- swapping ---- */

/* C5: nobody may have the database open, nor open it while it moves. -1: there is none. */
static struct vy_err lock_dir(const char *path, int *out)
{
    *out = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*out < 0) {
        return errno == ENOENT ? vy_ok() : vy_error_sys(VY_CODE_IO, errno, "lock database");
    }
    if (flock(*out, LOCK_EX | LOCK_NB) != 0) {
        (void)close(*out);
        *out = -1;
        return vy_error(VY_CODE_BUSY, "database is open elsewhere");
    }
    return vy_ok();
}

static void unlock_dir(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

static struct vy_err move(const char *from, const char *to)
{
    if (rename(from, to) != 0) {
        return vy_error_sys(VY_CODE_IO, errno, "move database");
    }
    VY_TRY(dir_sync_parent(to));
    return dir_sync_parent(from);
}

static struct vy_err swap_locked(const char *dir, const struct paths *paths)
{
    if (dir_exists(dir)) {
        VY_TRY(dir_remove(paths->replaced));
        VY_TRY(move(dir, paths->replaced));
    }
    return move(paths->staged, dir);
}

static struct vy_err with_lock(const char *dir, const struct paths *paths,
                               struct vy_err (*what)(const char *dir, const struct paths *paths))
{
    int old_fd = -1;
    int new_fd = -1;
    VY_TRY(lock_dir(dir, &old_fd));
    struct vy_err err = lock_dir(paths->staged, &new_fd);
    if (!vy_failed(err)) {
        err = what(dir, paths);
    }
    unlock_dir(new_fd);
    unlock_dir(old_fd);
    return err;
}

struct vy_err install_swap(const char *dir)
{
    struct paths paths;
    VY_TRY(find_paths(dir, &paths));
    return with_lock(dir, &paths, swap_locked);
}

/* ---- a start, and ends ---- */

static struct vy_err remove_leftovers(const struct paths *paths)
{
    VY_TRY(dir_remove(paths->refused));
    VY_TRY(dir_remove(paths->replaced));
    return dir_remove(paths->incoming);
}

static struct vy_err recover_locked(const char *dir, const struct paths *paths)
{
    const bool is_swapped = dir_exists(dir) && dir_exists(paths->replaced);
    if (is_file(paths->staged_note) && !is_swapped) {
        return swap_locked(dir, paths);
    }
    if (!dir_exists(dir) && dir_exists(paths->replaced)) {
        VY_TRY(move(paths->replaced, dir)); /* a crash while a useless one was taken out */
    }
    return is_file(paths->note) ? vy_ok() : remove_leftovers(paths);
}

struct vy_err install_recover(const char *dir)
{
    struct paths paths;
    VY_TRY(find_paths(dir, &paths));
    if (!is_file(paths.staged_note) && !dir_exists(paths.replaced) && !dir_exists(paths.refused)) {
        return vy_ok();
    }
    return with_lock(dir, &paths, recover_locked);
}

struct vy_err install_finish(const char *dir)
{
    struct paths paths;
    VY_TRY(find_paths(dir, &paths));
    if (unlink(paths.note) != 0 && errno != ENOENT) {
        return vy_error_sys(VY_CODE_IO, errno, "remove note of a database");
    }
    VY_TRY(dir_sync(dir));
    return remove_leftovers(&paths);
}

struct vy_err install_roll_back(const char *dir, bool *is_back)
{
    struct paths paths;
    *is_back = false;
    VY_TRY(find_paths(dir, &paths));
    if (!dir_exists(paths.replaced)) {
        return vy_ok();
    }
    VY_TRY(dir_remove(paths.refused));
    VY_TRY(move(dir, paths.refused));
    VY_TRY(move(paths.replaced, dir));
    *is_back = true;
    VY_TRY(dir_remove(paths.refused));
    return dir_remove(paths.incoming);
}
