/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Results of commands by idempotency key, written in the batch of the effect: a repeated command is
 * answered, not done again (R4). Rows expire by entry time, a few per entry, so every replica has
 * the same rows at the same index.
 */
#include "replica/txn.h"

#define IDEM_KEY_BYTES_MAX 64U /* 16 from the caller, behind whatever scope the machine adds */
#define IDEM_ROW_KEY 'k'       /* what the row of a key begins with, before the key */
#define IDEM_KEEP_MS (15U * 60 * 1000) /* P3: a retry within 15 minutes finds its result */

/* The stored result, valid until apply returns. False: unknown key, or expired. */
bool idem_find(struct txn *txn, struct vy_bytes key, uint64_t now_ms, struct vy_bytes *out);
/* key: 1 to IDEM_KEY_BYTES_MAX bytes. now_ms is the entry's time. Replaces an older result. */
void idem_store(struct txn *txn, struct vy_bytes key, struct vy_bytes result, uint64_t expires_ms);
/* Forgets one key; nothing when it is not known. */
void idem_remove(struct txn *txn, struct vy_bytes key);
/* Removes at most `max` rows that expired by now_ms; the engine calls it once an entry. Returns how
 * many. */
size_t idem_expire(struct txn *txn, uint64_t now_ms, size_t max);
/* Forgets all keys that start with `prefix` (an erased account). At most `max` rows; true: none
 * left. */
bool idem_forget(struct txn *txn, struct vy_bytes prefix, size_t max);
/* The same for those whose result matches; looks at `max` rows at most, those that are left expire.
 */
void idem_forget_matching(struct txn *txn, struct vy_bytes prefix, size_t max,
                          bool (*matches)(void *arg, struct vy_bytes result), void *arg);
