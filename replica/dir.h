/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Directories that must survive a power cut: their entries are durable only once they are synced.
 */
#include "base/err.h"
#include <stdbool.h>

/* Makes entries created in, or removed from, the directory that holds `path` durable. @blocks
 * @errors IO; LIMIT path too long */
VY_CHECKED struct vy_err dir_sync_parent(const char *path);
/* A directory with mode 0700, durable; fine when there is one. Its parent must exist. @blocks
 * @errors IO, LIMIT; DENIED there is something else of that name */
VY_CHECKED struct vy_err dir_make(const char *path);
/* The directory's own entries and, by its descriptor, nothing else. @blocks @errors IO */
VY_CHECKED struct vy_err dir_sync(const char *path);
/* Removes a directory with what is in it, at most DIR_DEPTH_MAX levels; fine when there is none.
 * Links are removed, not followed. @blocks @errors IO, LIMIT */
#define DIR_DEPTH_MAX 4U
VY_CHECKED struct vy_err dir_remove(const char *path);
bool dir_exists(const char *path); /* a directory of this name; no link to one */
