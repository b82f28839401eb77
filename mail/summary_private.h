/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Numbers of the summary's encoding, shared by its two files. */
#include "mail/summary.h"

/* LEB128 of u64, shortest form. */
void summary_put_varint(struct vy_buf *out, uint64_t value);
/* False: cut off, too long or not the shortest form. */
bool summary_take_varint(struct vy_bytes *rest, uint64_t *out);
/* Appends the parts table. */
void summary_put_parts(struct vy_buf *out, const struct mime_tree *tree);
