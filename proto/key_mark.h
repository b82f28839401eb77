/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which cluster key a data directory was filled under. A member with another key would join, lead
 * and fail at every account; the mark lets it refuse to start instead (C2).
 * The mark is a MAC of nothing under a derived key: it tells keys apart and says nothing of them.
 */
#include "proto/cluster_key.h"

/* A directory without a mark passes: it is new. @errors PRECONDITION filled under another key;
 * CORRUPT no mark in the file; IO. @blocks reads a file */
VY_CHECKED struct vy_err key_mark_check(const struct cluster_key *key, const char *dir);
/* Marks a directory that has no mark yet, whole or not at all, and syncs it. To be called when the
 * directory is known to be this member's. @blocks writes a file */
VY_CHECKED struct vy_err key_mark_write(const struct cluster_key *key, const char *dir);
