/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A group's members (rpc_group_members.c) and its calls (rpc_group.c).
 */
#include "base/buf.h"
#include "base/list.h"
#include "proto/rpc_group.h"

#define GROUP_NAME_BYTES 64U
#define GROUP_ADDRESS_BYTES_MAX 300U /* a little over what rpc_link_new takes */
#define RPC_GROUP_NOBODY SIZE_MAX

struct rpc_group_node {
    struct rpc_group *group;
    struct rpc_link *link; /* owned */
    char node[RPC_NAME_BYTES_MAX + 1];
    char address[GROUP_ADDRESS_BYTES_MAX + 1];
};

struct rpc_group {
    const struct rpc_config *config; /* borrowed */
    char name[GROUP_NAME_BYTES];
    uint32_t peer_roles;
    bool any_member;
    bool is_freed;
    unsigned ref_count; /* the holder, and our timer while it calls out */
    struct rpc_group_node *members[RPC_GROUP_MEMBERS_MAX]; /* owned */
    size_t member_count;
    size_t leader_index;  /* who led last, as far as known; with any_member whose turn it is */
    struct vy_list calls; /* all */
    size_t call_count;
    struct vy_timer *timer;
    uint64_t wake_ms;
};

/* Waiting for its turn (rpc NULL): retry_at_ms or, when no member is up, any link. On a member
 * otherwise: that call's end comes. */
struct rpc_group_call {
    struct rpc_group *group;
    struct vy_list node;  /* group->calls, or a list of what is due */
    struct rpc_call *rpc; /* owned until its end; NULL: waiting */
    size_t member_index;  /* whom rpc asks */
    uint32_t method;
    struct vy_buf request;
    struct rpc_call_options options; /* principal points to ours */
    uint8_t principal[RPC_PRINCIPAL_BYTES_MAX];
    const struct rpc_call_events *events; /* borrowed */
    void *arg;
    uint64_t deadline_ms; /* NEVER_MS: endless */
    uint64_t retry_at_ms; /* NEVER_MS: when a link comes up */
    uint32_t backoff_ms;
    uint32_t tried; /* members asked in this round, as bits */
    bool has_data;  /* part of the reply stream was handed on */
    bool has_body_taken;
    bool is_body_ended;
    bool wants_writable;
    bool is_over;         /* not to be repeated: told from the timer */
    bool is_outcome_open; /* some attempt may have been executed */
    enum vy_code last_code;
    char last_message[128];
};

/* rpc_group_members.c */
/* The member that a hint means; RPC_GROUP_NOBODY: none. */
size_t rpc_group_find(const struct rpc_group *group, struct vy_bytes hint);
/* The one that led last if it can be asked, else the next whose bit is not in `tried`. */
size_t rpc_group_choose(const struct rpc_group *group, uint32_t tried);
void rpc_group_set_leader(struct rpc_group *group, size_t index);
/* Links that are down are dialled soon: somebody waits. */
void rpc_group_hurry(struct rpc_group *group);
void rpc_group_free_members(struct rpc_group *group);

/* rpc_group.c */
void rpc_group_wake_at(struct rpc_group *group, uint64_t when_ms);
/* The member that the call is on leaves: the call may have been executed there. */
void rpc_group_call_leave(struct rpc_group_call *call);
