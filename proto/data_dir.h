/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What every role with data of its own does first: load the cluster key, see that data.dir was not
 * filled under another one (key_mark.h), and make the directory when it is not there.
 */
#include "base/config.h"
#include "base/log.h"
#include "proto/cluster_key.h"

/* Reads data.key_file and data.dir. What is wrong is logged once, with the file.
 * @errors what cluster_key_load and key_mark_check say (C2, C4); IO. @blocks reads files */
VY_CHECKED struct vy_err data_dir_open(const struct vy_config *config, const struct vy_log *log,
                                       struct cluster_key **out);
