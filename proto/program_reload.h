/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * SIGHUP: the configuration file is read again. What may change while running (log.level, the
 * node's certificate files) takes effect; the names of all else that differs are logged, it needs a
 * restart. A file with faults changes nothing and is told (C3).
 */
#include "base/config.h"
#include "base/log.h"
#include "proto/rpc_tls.h"

struct program_reload {
    unsigned settings;              /* SETTINGS_* of the process */
    const char *path;               /* NULL: there is no file, only the environment or options */
    const struct vy_config *config; /* what the process was started with */
    struct rpc_tls_context *tls;    /* NULL: none */
};
/* log: its level may change. True: the file was taken. */
bool program_reload(const struct program_reload *reload, struct vy_log *log);
