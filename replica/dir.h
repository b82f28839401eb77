/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Directories that must survive a power cut: their entries are durable only once they are synced.
 */
#include "base/err.h"

/* Makes entries created in, or removed from, the directory that holds `path` durable. @blocks
 * @errors IO; LIMIT path too long */
VY_CHECKED struct vy_err dir_sync_parent(const char *path);
/* A directory with mode 0700, durable; fine when there is one. Its parent must exist. @blocks
 * @errors IO, LIMIT; DENIED there is something else of that name */
VY_CHECKED struct vy_err dir_make(const char *path);
