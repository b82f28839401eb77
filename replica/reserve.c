/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/reserve.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct vy_err reserve_init(struct reserve *reserve, const char *dir)
{
    struct stat info;
    if (asprintf(&reserve->path, "%s/RESERVE", dir) < 0) {
        reserve->path = NULL;
        return vy_error(VY_CODE_NOMEM, "reserve of the disk");
    }
    reserve->is_held = lstat(reserve->path, &info) == 0 && info.st_blocks > 0;
    return vy_ok();
}

void reserve_deinit(struct reserve *reserve)
{
    free(reserve->path);
    reserve->path = NULL;
}

/* Blocks, not zeros: nothing is written. */
static bool allocate(int fd, uint64_t bytes)
{
    struct statfs info;
    return fstatfs(fd, &info) == 0 && info.f_type != TMPFS_MAGIC && info.f_type != RAMFS_MAGIC &&
           fallocate(fd, 0, 0, (off_t)bytes) == 0;
}

bool reserve_hold(struct reserve *reserve, uint64_t bytes)
{
    const int fd = open(reserve->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return false;
    }
    reserve->is_held = allocate(fd, bytes);
    (void)close(fd); /* no content to lose */
    if (!reserve->is_held) {
        (void)unlink(reserve->path);
    }
    return reserve->is_held;
}

bool reserve_release(struct reserve *reserve)
{
    const bool was_held = reserve->is_held;
    reserve->is_held = false;
    return unlink(reserve->path) == 0 && was_held;
}
