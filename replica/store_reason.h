/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Why a store failed, in words for the operator: what the engine's library said, with path and
 * errno, and what to do next. The error value has no room for either.
 *
 * @thread  any
 */
#include "base/err.h"
#include <pthread.h>

#define STORE_REASON_BYTES                                                                         \
    384U /* longer texts lose their middle: path and errno stand at the ends */

struct store_reason {
    pthread_mutex_t lock;
    char text[STORE_REASON_BYTES]; /* of the last failure; "" */
};
void store_reason_init(struct store_reason *reason);
void store_reason_deinit(struct store_reason *reason);
/* reason NULL: nobody wants to know. */
void store_reason_note(struct store_reason *reason, const char *text);
/* The text that goes with this failure: the library's, else that of its errno, else "". */
void store_reason_copy(struct store_reason *reason, struct vy_err err,
                       char out[STORE_REASON_BYTES]);

/* The errno whose text ends the message, as in "IO error: ...: No space left on device"; 0: none.
 */
int store_reason_errno(const char *text);
/* What the operator does about it; never NULL. */
const char *store_next_step(struct vy_err err);
