/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The admin API (proto/admin.proto), independent of what carries it: gRPC, JSON and the command
 * line call the same functions. Every write takes an operation id (the same id: the same result,
 * done once, for 15 minutes), supports validate_only, and lands in the audit chain with its actor.
 * Reads and writes are the leader's: NOT_LEADER elsewhere.
 */
#include "meta/meta.h"
#include "proto/admin.pb.h"

struct meta_actor {
    struct vy_bytes kind; /* "operator" (unix socket), "certificate", "token" */
    struct vy_bytes name;
    struct vy_bytes peer; /* address or socket */
};

#define ADMIN_PAGE_ROWS_MAX 1000U
#define ADMIN_PAGE_ROWS_DEFAULT 100U

/*
 * One call.
 *
 * @method   a row of admin_methods[]
 * @request  encoded; copied
 * @actor    copied
 * @reply    called exactly once, now or later, from the loop; message says what and why
 * @errors   SYNTAX, ARGUMENT, EXISTS, NOT_FOUND, PRECONDITION, LIMIT; NOT_LEADER, UNAVAILABLE,
 *           UNKNOWN (ask again with the same operation id); UNSUPPORTED
 */
void meta_admin_call(struct meta *meta, const struct vy_pb_method *method, struct vy_bytes request,
                     const struct meta_actor *actor, meta_reply_fn reply, void *arg);
/* NULL: there is no such method. */
const struct vy_pb_method *meta_admin_find_method(struct vy_bytes service, struct vy_bytes method);
