/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The steps of an erasure, for the machine that keeps them and the leader that drives them. */
#include "proto/metalog.pb.h"

#include <stddef.h>

#define ERASE_STEP_COUNT 3U        /* of an account */
#define ERASE_DOMAIN_STEP_COUNT 4U /* of a domain */
#define ERASE_STEPS_MAX 4U
#define ERASE_MEMBERS_MAX                                                                          \
    64U /* of meta's group and of the account's, with those that came later                        \
         */
extern const enum erase_step erase_steps[ERASE_STEP_COUNT]; /* in their order */
extern const enum erase_step erase_domain_steps[ERASE_DOMAIN_STEP_COUNT];

/* The first that is not done; of an erasure that ended with members pending, what comes next for
 * them; NONE: it is complete. */
enum erase_step erase_next_step(const struct job_row *job);

/* Nobody will ask this member any more. */
static inline bool erase_is_settled(const struct erase_member_row *member)
{
    return member->done_ms != 0 || member->left_ms != 0;
}
size_t erase_pending_members(const struct job_row *job);
