/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a role (meta, shard, frontend) is to the program it runs in: started from one environment,
 * asked how it does, drained and stopped. The role binaries start one, the all-in-one starts three
 * of them in one process; program.h is the shell around both.
 *
 * @thread  env->loop's, unless said otherwise
 */
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/rng.h"
#include "proto/rpc.h"

/* Borrowed whole; outlives the role. */
struct role_env {
    struct vy_loop *loop;
    struct vy_clock *clock;
    struct vy_rng *rng; /* fit for keys; any thread */
    const struct vy_log *log;
    struct vy_metrics *metrics;
    const struct vy_config *config; /* keys of settings.h */
    struct rpc_inproc *inproc;      /* the all-in-one's hub; else NULL */
    struct rpc_tls_context *tls;    /* of links between nodes; NULL in the all-in-one */
    bool is_all_in_one;
};

struct role;
struct role_ops {
    const char *name;  /* "meta", "shard", "frontend" */
    unsigned settings; /* SETTINGS_* bit of settings.h */
    enum rpc_role rpc_role;
    /* Opens, binds and starts; serves soon after. What went wrong was logged once, with the next
     * step. @blocks while stores recover */
    struct vy_err (*start)(const struct role_env *env, struct role **out);
    /* One line a check, "meta.leader: ok" or "meta.leader: none known"; true when all are well. */
    bool (*write_readiness)(struct role *role, struct vy_buf *out);
    /* Of threads besides the loop: false when one of them hangs. NULL: none. */
    bool (*is_alive)(struct role *role);
    /* Takes no new work, finishes what was accepted within deadline_ms, hands over leadership, then
     * calls done once from the loop. */
    void (*stop)(struct role *role, uint32_t deadline_ms, vy_loop_fn done, void *arg);
    void (*free)(struct role *role); /* stopped; NULL is allowed */
    /* The command `check DIR` on the data of a stopped process; returns the exit code. NULL: the
     * role keeps no data. */
    int (*check)(const char *data_dir);
};
/* Roles embed this first. */
struct role {
    const struct role_ops *ops;
};

/* The link configuration that every role starts from (cluster and node name, TLS, hub). The caller
 * sets the loop where it is another one. */
void role_rpc_config(const struct role_env *env, const struct role_ops *ops,
                     struct rpc_config *out);
