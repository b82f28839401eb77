/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Asks single members, of groups of shards and of meta, how far their files are rid of an erased
 * account (struct meta_expel_ops): one ACCOUNT_EXPEL, which begins the work there too. Bounded in
 * time; asking again is harmless.
 *
 * @thread  the loop's
 */
#include "meta/shard_links.h"

#define META_EXPEL_DEADLINE_MS 2000U /* of one question; the answer needs one row */

struct meta_expel_caller {
    struct meta_shard_links *links; /* borrowed; its stop ends open questions with UNAVAILABLE */
};
extern const struct meta_expel_ops meta_expel_caller_ops; /* its arg is the caller */
