/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The change feeds of ACCOUNT_WATCH: hints, coalesced per mailbox, to every session of an account.
 * A feed that cannot keep up forgets nothing: for each mailbox it holds the highest modseq, and
 * when it has too many of them it ends, and its session looks at everything when it opens anew.
 *
 * @thread  the service's loop
 */
#include "base/err.h"
#include "shard/fsm.h"

#define WATCHES_ACCOUNT_MAX 1024U /* of one account; more are BUSY */
#define WATCH_PENDING_MAX 64U     /* mailboxes with untold changes of one feed */

struct call;
struct service;
struct watches;

VY_CHECKED struct vy_err watches_new(struct service *service, struct watches **out);
void watches_free(struct watches *watches); /* no feed is open; NULL is allowed */

/* MAILBOX and LIST events. */
void watches_on_change(struct watches *watches, const struct fsm_event *event);
/* Feeds of sessions older than `epoch` are told that they are over, and end. */
void watches_on_fence(struct watches *watches, uint64_t account_id, uint64_t epoch);
void watches_end_all(struct watches *watches, struct vy_err err);
