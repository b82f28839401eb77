/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one table of configuration keys, for every role (operations.md 1.5). A file may be shared by
 * roles: keys of others are left alone. Read the values with base/config.h by the names here.
 *
 *   meta.members, group.members   records: id (decimal), node, link, raft (rpc.h addresses); the
 *                                 all-in-one has one of each, with inproc: addresses
 *   ports.NAME                    0: that listener is off
 */
#include "base/config.h"
#include "base/net.h"

enum { SETTINGS_META = 1, SETTINGS_SHARD = 2, SETTINGS_FRONTEND = 4, SETTINGS_ALL = 7 };

extern const struct vy_config_key settings_keys[];
extern const size_t settings_key_count;

/* One member of meta's group or of a shard group, as the file names it; borrowed from the config.
 */
struct settings_member {
    uint64_t id;
    const char *node;
    const char *link; /* address of its RPC server */
    const char *raft; /* address for raft messages; NULL in a group of one */
};
#define SETTINGS_MEMBERS_MAX 9U
/* @key "meta.members" or "group.members". @errors ARGUMENT an id that is no number, or too many;
 * `report` says which */
VY_CHECKED struct vy_err settings_members(const struct vy_config *config, const char *key,
                                          struct settings_member *out, size_t *out_count,
                                          struct vy_buf *report);
/* Lists of networks in CIDR form. @errors ARGUMENT; LIMIT over max */
VY_CHECKED struct vy_err settings_networks(const struct vy_config *config, const char *key,
                                           struct vy_net *out, size_t max, size_t *out_count,
                                           struct vy_buf *report);
