/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Meta and shards for tests of SMTP, in memory. dev.test is ours:
 *
 *   dev@ id 1, two@ id 2, jürgen@ id 9: group 1; far@ id 3: group 2; third@ id 10: group 3;
 * mx.dev.test: postmaster@ is id 1 full@ id 4 is over quota, gone@ id 5 has just gone, refused@ id
 * 6 is refused: group 1 both@ -> 1 2, pair@ -> 1 3, mixed@ -> 1 4, alias@ -> 1 loop@ is an alias in
 * a circle, closed@ takes no mail, late@ id 8 is found only when asked fresh many@ -> 1000 accounts
 * (100000 and up, group 3)
 *
 * dev@dev.test signs in with "secret", argon@dev.test with "secret" by Argon2id; disabled@,
 * limited@ and down@ answer so. SCRAM: the proof is "proof". dev may send as dev@ and alias@.
 */
#include "base/arena.h"
#include "frontend/smtp/smtp_session.h"

#define SMTP_BACKEND_COPIES_MAX 4096U

struct smtp_copy {
    uint64_t account_id;
    struct vy_bytes body; /* with the trace headers cut off */
    struct vy_bytes trace;
    struct vy_bytes reverse_path;
    uint8_t key[16];
    uint8_t delivery_id[16]; /* of several groups */
    bool is_held;            /* unseen, until that delivery is decided */
};

struct smtp_decision {
    uint8_t delivery_id[16];
    bool is_yes;
};

struct smtp_backend {
    struct vy_arena arena;
    struct smtp_copy *copies; /* SMTP_BACKEND_COPIES_MAX */
    size_t copies_count;
    struct smtp_decision *decisions; /* SMTP_BACKEND_COPIES_MAX; of all groups, as ids are unique */
    size_t decisions_count;
    bool knows_retries; /* P3: the same envelope and bytes again store nothing */
    size_t deliver_calls;
    size_t resolve_calls;
    uint64_t last_body_bytes;
};

struct smtp_backend *smtp_backend_new(void);
void smtp_backend_free(struct smtp_backend *backend);
uint64_t smtp_backend_group_of(void *arg, uint64_t account_id);
/* key: NULL: not known; else a delivery under a key that is there already stores nothing again. */
VY_CHECKED struct vy_err smtp_backend_call(struct smtp_backend *backend, uint32_t method,
                                           struct vy_bytes request, struct vy_bytes body,
                                           const uint8_t *key, struct vy_buf *reply);
/* What groups do on their own in time: whoever holds copies asks how it was decided. */
void smtp_backend_settle(struct smtp_backend *backend);
size_t smtp_backend_held(const struct smtp_backend *backend);
size_t smtp_backend_copies(const struct smtp_backend *backend, uint64_t account_id);
/* The newest copy, or NULL. */
const struct smtp_copy *smtp_backend_last(const struct smtp_backend *backend, uint64_t account_id);
