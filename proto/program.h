/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The shell around the roles of a process: command line, configuration, log, loop, signals, the ops
 * port, the ready line, the pid file, draining on SIGTERM. `main` of a role binary is one call.
 */
#include "proto/role.h"

/* volary-meta, volary-shard, volary-frontend: --config FILE, --check-config, --version, --help.
 * Returns the exit code. */
int program_main(int argc, char **argv, const struct role_ops *role);

/* The same for a process that has made its configuration itself (the all-in-one). */
struct program {
    const char *name;                    /* "volary" */
    const struct role_ops *const *roles; /* in the order of starting; stopped backwards */
    size_t role_count;
    const struct vy_config *config; /* borrowed */
    const char *config_path;        /* read again on SIGHUP; NULL: none */
    unsigned settings;              /* SETTINGS_* of all roles together */
    /* After all roles are ready and before the ready line; may be NULL. */
    void (*on_ready)(void *arg, const struct role_env *env, vy_loop_fn done, void *done_arg);
    void *on_ready_arg;
};
int program_run(const struct program *program);

/* The configuration of these roles (SETTINGS_*) from a file (NULL: none) and the environment; owned
 * by the caller. NULL: what is wrong was said on stderr. */
struct vy_config *program_load_config(unsigned roles, const char *path);
