/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one-use permission for an empty directory to become a member (P12): a small text file that
 * says who it will be and who the first members are. Written by whoever plans the cluster, deleted
 * by the member once its identity is on disk.
 *
 * Of version 1 for the first members of a group, whose log begins with them; of version 2 for a
 * member that joins: it begins with nothing and is filled by the others.
 *
 *   volary-replica-ticket 1
 *   cluster 0123456789abcdef0123456789abcdef
 *   group 2
 *   member 9f86d081884c7d65
 *   peer 9f86d081884c7d65 tcp:127.0.0.1:10071
 *   peer ...
 */
#include "base/arena.h"
#include "replica/replica.h"

#define TICKET_BYTES_MAX 4096U

struct ticket {
    uint8_t cluster_id[REPLICA_CLUSTER_ID_BYTES];
    uint64_t group_id;
    uint64_t member_id;
    bool is_join;
    size_t peer_count; /* the member itself included */
    struct replica_member peers[REPLICA_MEMBERS_MAX];
};
/* Strings of *out live in the arena. @errors SYNTAX, LIMIT */
VY_CHECKED struct vy_err ticket_parse(struct vy_arena *arena, struct vy_bytes text,
                                      struct ticket *out);
/* @errors NOT_FOUND; DENIED not a regular file of ours; SYNTAX, LIMIT, IO */
VY_CHECKED struct vy_err ticket_read(struct vy_arena *arena, const char *path, struct ticket *out);
/* The text of a ticket. @errors ARGUMENT, NOMEM */
VY_CHECKED struct vy_err ticket_format(const struct ticket *ticket, struct vy_buf *out);
/* A new file, 0600, synced. @errors EXISTS, IO, ARGUMENT */
VY_CHECKED struct vy_err ticket_write(const char *path, const struct ticket *ticket);
/* Removes the file for good (directory synced). @errors IO */
VY_CHECKED struct vy_err ticket_consume(const char *path);
