/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Memory for keys and passwords: locked, kept out of core files, wiped when freed, not printable by
 * the log API.
 */
#include "base/bytes.h"
#include "base/err.h"

struct vy_secret; /* opaque, owned by one holder */
VY_CHECKED struct vy_err vy_secret_new(struct vy_bytes bytes, struct vy_secret **out); /* copies */
void vy_secret_free(struct vy_secret *secret); /* NULL is allowed */
struct vy_bytes vy_secret_bytes(const struct vy_secret *secret);
void vy_wipe(void *memory, size_t len); /* not optimised away */
/* Reads a file of at most 4 KiB that only its owner may read (promises C2); a trailing newline is
 * cut. */
VY_CHECKED struct vy_err vy_secret_read_file(const char *path, struct vy_secret **out);
