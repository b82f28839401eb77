/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/dir.h"

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

struct vy_err dir_sync_parent(const char *path)
{
    char parent[PATH_MAX];
    VY_TRY(copy_parent(path, parent, sizeof(parent)));
    const int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return vy_error_sys(VY_CODE_IO, errno, "open directory");
    }
    const int failed = fsync(fd);
    const int sys = errno;
    (void)close(fd); /* read only: nothing to lose */
    return failed != 0 ? vy_error_sys(VY_CODE_IO, sys, "sync directory") : vy_ok();
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
