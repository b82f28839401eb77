/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For tests of the engine: a state machine that keeps keys and values and counts, with
 * idempotency; and proposals and reads that remember their answers.
 */
#include "replica/replica.h"

enum { KV_FAMILY_ROWS = REPLICA_FAMILY_FIRST, KV_FAMILY_BODIES, KV_FAMILY_END };

/* Commands: "set KEY VALUE", "add KEY TOKEN" (once per token within 15 minutes: the counter's value
 * is the result), "del KEY", "drop KEY" (of a body), "time", "fail" (the machine's end). */
struct kv_fsm {
    struct replica_fsm base;
    uint64_t written_index;
    uint64_t applied_index;
    uint64_t apply_count;
    bool is_leader;
    uint64_t term;
    unsigned installs; /* snapshots put in place */
    unsigned leader_begins;
    unsigned leader_ends;
};
void kv_init(struct kv_fsm *fsm);

/* One call and its answer. */
struct call {
    unsigned answers;
    enum vy_code code;
    char result[64];
};
void call_on_proposed(void *arg, struct vy_err err, struct vy_bytes result);
void call_on_read(void *arg, struct vy_err err);
struct vy_err kv_propose(struct replica *replica, struct call *call, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The value of a row as the store has it now; "" when there is none. */
const char *kv_get(struct replica *replica, const char *key, char *out, size_t out_bytes);
