/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Removes for good what was expunged, once no view can ask for it any more, and body stages that
 * nobody finished. Only the leader does so, and not before it has led for one view lease: the views
 * of the leader before it may still live.
 *
 * @thread  the service's loop
 */
#include "base/err.h"
#include "shard/fsm.h"

struct service;
struct purger;

VY_CHECKED struct vy_err purger_new(struct service *service, struct purger **out);
void purger_free(struct purger *purger); /* NULL is allowed */
/* A row of gone was written. */
void purger_note(struct purger *purger, const struct fsm_event *event);
void purger_on_lost(struct purger *purger); /* some were not noted */
bool purger_is_quiet(const struct purger *purger);
void purger_on_leader(struct purger *purger, bool is_leader);
