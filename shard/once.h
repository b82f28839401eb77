/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a group remembers so that a delivery happens once (promise P3), in the engine's table of
 * answers, whose rows expire by the time that entries carry:
 *
 *   of a copy, under its account and retry token    where it is stored, or that it is held
 *   of a held copy, under account and delivery id   which message it became
 *   of a delivery to several groups, under its id   the decision, yes or no
 *
 * Rows of an account go when it is erased; those of a delivery name none.
 *
 * @thread  the replica's writer, inside a command
 */
#include "shard/fsm_private.h"

enum once_copy { ONCE_COPY_NEW, ONCE_COPY_HELD, ONCE_COPY_STORED };
enum once_decision { ONCE_UNDECIDED, ONCE_YES, ONCE_NO };

/* token: 16 bytes, or anything else for none. *out when it is not new; lasts until the command is
 * done. Of a held copy email_id is the id of its delivery. */
enum once_copy once_find_copy(struct apply *apply, uint64_t account_id, struct vy_bytes token,
                              struct recipient_result *out);
void once_note_stored(struct apply *apply, struct vy_bytes token,
                      const struct recipient_result *result, uint64_t keep_ms);
void once_note_held(struct apply *apply, uint64_t account_id, struct vy_bytes token,
                    struct vy_bytes delivery_id, uint64_t expires_ms);
/* It is held no more, and did not become a message. */
void once_forget_held(struct apply *apply, uint64_t account_id, struct vy_bytes token);

bool once_find_end(struct apply *apply, uint64_t account_id, struct vy_bytes delivery_id,
                   struct recipient_result *out);
void once_note_end(struct apply *apply, struct vy_bytes delivery_id,
                   const struct recipient_result *result, uint64_t keep_ms);

enum once_decision once_find_decision(struct apply *apply, struct vy_bytes delivery_id);
void once_decide(struct apply *apply, struct vy_bytes delivery_id, enum once_decision decision,
                 uint64_t keep_ms);
