/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/key_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MARK_BYTES 16U
#define PATH_BYTES_MAX 4096U

struct mark {
    char text[2 * MARK_BYTES + 1]; /* hex digits and a line end; not NUL-terminated */
};

static struct mark mark_of(const struct cluster_key *key)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t code[32];
    struct mark mark;
    cluster_key_mac(key, "key-mark", VY_LIT(""), code);
    for (size_t i = 0; i < MARK_BYTES; i++) {
        mark.text[2 * i] = digits[code[i] >> 4];
        mark.text[2 * i + 1] = digits[code[i] & 15];
    }
    mark.text[2 * MARK_BYTES] = '\n';
    vy_wipe(code, sizeof(code));
    return mark;
}

static struct vy_err path_in(const char *dir, const char *name, char out[PATH_BYTES_MAX])
{
    const int len = snprintf(out, PATH_BYTES_MAX, "%s/%s", dir, name);
    return len > 0 && len < (int)PATH_BYTES_MAX
               ? vy_ok()
               : vy_error(VY_CODE_ARGUMENT, "path of the data directory is too long");
}

/* One read: a file of this size comes whole or is not ours. */
static struct vy_err read_mark(const char *path, struct mark *out, bool *is_there)
{
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *is_there = false;
        return vy_ok();
    }
    if (fd < 0) {
        return vy_error_sys(VY_CODE_IO, errno,
                            errno == ENOTDIR ? "data.dir is not a directory"
                                             : "mark of the cluster key");
    }
    const ssize_t count = read(fd, out->text, sizeof(out->text));
    const int sys = errno;
    (void)close(fd);
    if (count < 0) {
        return vy_error_sys(VY_CODE_IO, sys, "mark of the cluster key");
    }
    *is_there = true;
    return (size_t)count == sizeof(out->text)
               ? vy_ok()
               : vy_error(VY_CODE_CORRUPT, "mark of the cluster key is cut short");
}

static struct vy_err is_found(const struct cluster_key *key, const char *dir, bool *is_there)
{
    char path[PATH_BYTES_MAX];
    struct mark found;
    const struct mark wanted = mark_of(key);
    VY_TRY(path_in(dir, "cluster-key.mark", path));
    VY_TRY(read_mark(path, &found, is_there));
    if (*is_there && memcmp(found.text, wanted.text, sizeof(wanted.text)) != 0) {
        return vy_error(VY_CODE_PRECONDITION, "data.dir was filled under another cluster key");
    }
    return vy_ok();
}

struct vy_err key_mark_check(const struct cluster_key *key, const char *dir)
{
    bool is_there = false;
    return is_found(key, dir, &is_there);
}

static struct vy_err write_synced(const char *path, const struct mark *mark)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return vy_error_sys(VY_CODE_IO, errno, "mark of the cluster key");
    }
    const bool done =
        write(fd, mark->text, sizeof(mark->text)) == (ssize_t)sizeof(mark->text) && fsync(fd) == 0;
    const int sys = errno;
    const bool closed = close(fd) == 0;
    return done && closed ? vy_ok() : vy_error_sys(VY_CODE_IO, sys, "mark of the cluster key");
}

static struct vy_err sync_directory(const char *dir)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return vy_error_sys(VY_CODE_IO, errno, "data directory");
    }
    const bool done = fsync(fd) == 0;
    const int sys = errno;
    (void)close(fd);
    return done ? vy_ok() : vy_error_sys(VY_CODE_IO, sys, "data directory");
}

struct vy_err key_mark_write(const struct cluster_key *key, const char *dir)
{
    bool is_there = false;
    char path[PATH_BYTES_MAX];
    char fresh[PATH_BYTES_MAX];
    VY_TRY(is_found(key, dir, &is_there));
    if (is_there) {
        return vy_ok();
    }
    const struct mark mark = mark_of(key);
    VY_TRY(path_in(dir, "cluster-key.mark", path));
    VY_TRY(path_in(dir, "cluster-key.mark.new", fresh));
    VY_TRY(write_synced(fresh, &mark));
    if (rename(fresh, path) != 0) {
        return vy_error_sys(VY_CODE_IO, errno, "mark of the cluster key");
    }
    return sync_directory(dir);
}
