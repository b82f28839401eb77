/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The administrator: one call of the admin API at a time, to the members of meta in turn, repeated
 * under its operation id until somebody knows the outcome.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "proto/pb.h"
#include "tests/sim/ledger.h"

struct operator_call;
struct operator
{
    struct sim_world *world;
    struct ledger *ledger;
    const struct vy_pb_method *method; /* NULL: rests */
    struct vy_buf request;
    struct vy_arena arena; /* of the reply */
    uint64_t serial;       /* of the try: answers of older ones are known by it */
    unsigned member;       /* asked last */
    uint64_t operation;    /* last operation id */
    unsigned account;      /* that it is about */
    uint64_t done;
    /* Called once; the reply is decoded and lives until the next call. */
    void (*on_done)(struct operator* self, struct vy_err err, const void *reply);
    uint64_t group_id;   /* of the account asked for last */
    uint64_t account_id; /* the same */
    char job[24];        /* of the account deleted last */
    bool is_job_complete;
    uint64_t turn_ms;
    bool is_stopping;
};

struct operator* operator_new(struct sim_world *world, struct ledger *ledger);
void operator_free(struct operator* self);
static inline bool operator_is_idle(const struct operator* self)
{
    return self->method == NULL;
}
/* Each begins one call; the operator is idle again when its outcome is in the ledger. */
void operator_create_domain(struct operator* self);
void operator_create_account(struct operator* self, unsigned account);
void operator_find_group(struct operator* self, unsigned account); /* into group_id */
/* In its two steps; the number of the job is in `job`. */
void operator_delete_account(struct operator* self, unsigned account);
void operator_get_job(struct operator* self); /* how that is, in is_job_complete */
/* Softly: its mail comes back with operator_restore. */
void operator_delete_softly(struct operator* self, unsigned account);
void operator_restore(struct operator* self, unsigned account);
void operator_change_password(struct operator* self, unsigned account);
/* Changes something every now and then from here on. */
void operator_start(struct operator* self);
