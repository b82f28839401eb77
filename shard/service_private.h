/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the service's own files: what a service holds. */
#include "shard/outlines.h"
#include "shard/purger.h"
#include "shard/service.h"
#include "shard/settler.h"
#include "shard/views.h"
#include "shard/watches.h"

struct service {
    struct service_config config;
    struct account_keys *accounts; /* owned */
    struct views *views;           /* owned */
    struct outlines *outlines;     /* owned */
    struct watches *watches;       /* owned */
    struct purger *purger;         /* owned */
    struct settler *settler;       /* owned */
    struct vy_list calls;          /* of struct call.list */
    uint16_t email_count;          /* of ids made; wraps */
    uint64_t ingest_bytes;         /* windows of the messages that are coming in */
    struct service_stats stats;
    uint64_t denied_next_ms; /* on the monotonic clock: when the next denied call is logged */
};

/* With BUSY: when to come again. */
#define CALL_RETRY_AFTER_MS 100U

/* ---- call.c ---- */
void call_free(struct call *call);
void call_start_handler(struct call *call);

/* ---- actor.c ---- */
/*
 * The one place that decides who acts (promise P17): the token is sealed by this cluster, not over,
 * and for this very account and epoch. Every method of the table passes here; its row says how.
 *
 * @errors AUTH, STALE, DENIED no actor where one is needed
 */
VY_CHECKED struct vy_err actor_check(struct service *service, const struct call_method *method,
                                     const struct shard_actor *actor, struct vy_arena *arena);
/* The account as this node knows it lets the caller in. @errors STALE, NOT_FOUND */
VY_CHECKED struct vy_err actor_check_entry(const struct account_entry *entry, uint64_t epoch);

/* ---- account_init.c ---- */
/* Fills the command that sets an account up in this group: INBOX and the mailboxes with special
 * uses. @errors LIMIT */
VY_CHECKED struct vy_err account_init_build(struct service *service, struct vy_arena *arena,
                                            const struct account_entry *entry,
                                            struct shard_command *out);

/* ---- methods_*.c: handlers of the table in service.c ---- */
void method_list_start(struct call *call);
void method_create_start(struct call *call);
void method_delete_start(struct call *call);
void method_rename_start(struct call *call);
void method_subscribe_start(struct call *call);
void method_open_start(struct call *call);
void method_close_start(struct call *call);
void method_sync_start(struct call *call);
void method_store_start(struct call *call);
void method_store_end(struct call *call);
void method_copy_start(struct call *call);
void method_expunge_start(struct call *call);
void method_fetch_start(struct call *call);
void method_fetch_writable(struct call *call);
void method_fetch_cancel(struct call *call);
void method_fetch_end(struct call *call);
void method_search_start(struct call *call);
void method_search_end(struct call *call);
void method_append_start(struct call *call);
void method_deliver_start(struct call *call);
void method_ingest_data(struct call *call, struct vy_bytes bytes);
void method_ingest_data_end(struct call *call);
void method_ingest_cancel(struct call *call);
void method_ingest_end(struct call *call);
void method_delivery_end_start(struct call *call);
void method_delivery_ask_start(struct call *call);
void method_quota_start(struct call *call);
void method_watch_start(struct call *call);
void method_watch_writable(struct call *call);
void method_watch_cancel(struct call *call);
void method_watch_end(struct call *call);
void method_fence_start(struct call *call);
void method_status_start(struct call *call);
void method_expel_start(struct call *call);
