/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The steps of an erasure, for the machine that keeps them and the leader that drives them. */
#include "proto/metalog.pb.h"

#define ERASE_STEP_COUNT 3U
extern const enum erase_step erase_steps[ERASE_STEP_COUNT]; /* in their order */

/* The first that is not done; NONE: all are. */
enum erase_step erase_next_step(const struct job_row *job);
