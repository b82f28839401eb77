/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Settles deliveries to several groups whose frontend said no last word. Copies that a group holds
 * for too long are asked about at the group that decides; its "yes" makes them messages, its "no"
 * removes them. Only the leader does so; what it needs to know lies in the family held, so that any
 * leader goes on where another stopped.
 *
 * @thread  the service's loop
 */
#include "base/err.h"
#include "shard/keys.h"

struct service;
struct settler;

/* A client that lost the answer tries again for hours, and through an outage: a day. */
#define SETTLER_RETRY_KEEP_MS (24ULL * 60 * 60 * 1000)
/* Senders give a message up after 4 to 5 days (RFC 5321 section 4.5.4.1). A group that cannot ask
 * for longer drops what it holds; the decision outlasts that by two days, more than clocks of
 * groups may differ. */
#define SETTLER_HOLD_KEEP_MS (6ULL * 24 * 60 * 60 * 1000)
#define SETTLER_DECISION_KEEP_MS (8ULL * 24 * 60 * 60 * 1000)
#define SETTLER_ASK_AFTER_MS_MAX (10ULL * 60 * 1000)
#define SETTLER_HELD_BYTES_MAX (1024ULL * 1024 * 1024) /* of a group; more is refused with BUSY */

VY_CHECKED struct vy_err settler_new(struct service *service, struct settler **out);
void settler_free(struct settler *settler); /* NULL is allowed */
void settler_on_leader(struct settler *settler, bool is_leader);
/* A copy of so many bytes is held now. */
void settler_note_held(struct settler *settler, uint64_t bytes);
/* The client of this delivery has come again: its first attempt is most likely dead. */
void settler_hurry(struct settler *settler, const uint8_t delivery_id[SHARD_ID_BYTES]);
bool settler_is_full(const struct settler *settler);
bool settler_is_quiet(const struct settler *settler);
