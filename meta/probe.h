/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Asks members of groups of shards how they do (struct meta_probe_ops): one SHARD_STATUS to each,
 * on its own link, all at once. Who does not answer in time is not reached.
 *
 * @thread  the loop's
 */
#include "meta/shard_links.h"

#define META_PROBE_DEADLINE_MS                                                                     \
    1000U /* an operator waits for it; a dial and an answer take a few ms */

struct meta_prober {
    struct meta_shard_links *links; /* borrowed; its stop ends open questions */
};
extern const struct meta_probe_ops meta_prober_ops; /* its arg is the prober */
