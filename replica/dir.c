/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* dirname() in a buffer: "a/b/" and "a/b" are in "a", "b" is in ".". */
static struct vy_err copy_parent(const char *path, char *out, size_t out_bytes)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    if (len >= out_bytes) {
        return vy_error(VY_CODE_LIMIT, "path");
    }
    (void)snprintf(out, out_bytes, "%.*s", len == 0 ? 1 : (int)len, len == 0 ? "." : path);
    return vy_ok();
}

struct vy_err dir_sync(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return vy_error_sys(VY_CODE_IO, errno, "open directory");
    }
    const int failed = fsync(fd);
    const int sys = errno;
    (void)close(fd); /* read only: nothing to lose */
    return failed != 0 ? vy_error_sys(VY_CODE_IO, sys, "sync directory") : vy_ok();
}

struct vy_err dir_sync_parent(const char *path)
{
    char parent[PATH_MAX];
    VY_TRY(copy_parent(path, parent, sizeof(parent)));
    return dir_sync(parent);
}

struct vy_err dir_make(const char *path)
{
    struct stat info;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return vy_error_sys(VY_CODE_IO, errno, "make directory");
    }
    if (stat(path, &info) != 0) {
        return vy_error_sys(VY_CODE_IO, errno, "make directory");
    }
    if (!S_ISDIR(info.st_mode)) {
        return vy_error(VY_CODE_DENIED, "not a directory");
    }
    return dir_sync_parent(path); /* also of one that an earlier start left unsynced */
}

/* ---- removing ---- */

static struct vy_err remove_at(int parent_fd, const char *name, unsigned depth);

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Takes the descriptor. */
static struct vy_err empty_dir(int fd, unsigned depth)
{
    struct vy_err err = vy_ok();
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        const int sys = errno;
        (void)close(fd);
        return vy_error_sys(VY_CODE_IO, sys, "read directory");
    }
    for (const struct dirent *item = readdir(dir); item != NULL && !vy_failed(err);
         item = readdir(dir)) {
        if (!is_dots(item->d_name)) {
            err = remove_at(dirfd(dir), item->d_name, depth + 1);
        }
    }
    (void)closedir(dir);
    return err;
}

/* A file or, to a depth, a directory. */
static struct vy_err remove_at(int parent_fd, const char *name, unsigned depth)
{
    if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT) {
        return vy_ok();
    }
    if (errno != EISDIR && errno != EPERM) {
        return vy_error_sys(VY_CODE_IO, errno, "remove file");
    }
    if (depth >= DIR_DEPTH_MAX) {
        return vy_error(VY_CODE_LIMIT, "directory to remove is too deep");
    }
    const int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return vy_error_sys(VY_CODE_IO, errno, "open directory to remove");
    }
    VY_TRY(empty_dir(fd, depth));
    if (unlinkat(parent_fd, name, AT_REMOVEDIR) != 0) {
        return vy_error_sys(VY_CODE_IO, errno, "remove directory");
    }
    return vy_ok();
}

struct vy_err dir_remove(const char *path)
{
    return remove_at(AT_FDCWD, path, 0);
}

bool dir_exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}
