/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From an address to accounts: exact names, then what stands before '+', then the domain's
 * catch-all; aliases are expanded to a depth of META_ALIAS_DEPTH_MAX and META_ALIAS_TARGETS_MAX
 * names in all (S12), each account once (S11). Addresses are canonical (names.h). Never used for
 * login names: those are main addresses only (account_find in tables.h).
 */
#include "meta/tables.h"
#include "proto/meta.pb.h"

enum directory_kind {
    DIRECTORY_FOREIGN, /* the domain is not ours */
    DIRECTORY_UNKNOWN,
    DIRECTORY_ACCOUNT,
    DIRECTORY_ALIAS
};
struct directory_entry {
    enum directory_kind kind;
    bool is_catch_all;
    bool is_retired;                 /* UNKNOWN: a deleted account had the address */
    struct meta_account_row account; /* of DIRECTORY_ACCOUNT */
    struct alias_row alias;          /* of DIRECTORY_ALIAS */
    struct vy_bytes detail;          /* what stood behind '+' and was not part of the name */
};
VY_CHECKED struct vy_err directory_lookup(const struct meta_view *view, struct vy_bytes address,
                                          struct directory_entry *out);

/* Fills result and targets of the reply; targets live in the arena of the view. */
VY_CHECKED struct vy_err directory_resolve(const struct meta_view *view, struct vy_bytes address,
                                           struct resolve_reply *out);

/* The same for what was looked up already. */
VY_CHECKED struct vy_err directory_resolve_entry(const struct meta_view *view,
                                                 const struct directory_entry *entry,
                                                 struct resolve_reply *out);

/* May the account send as this address: its own, with any detail, or an alias that leads to it
 * alone (AUTH-4). */
VY_CHECKED struct vy_err directory_may_send(const struct meta_view *view, uint64_t account_id,
                                            struct vy_bytes address, bool *out);

enum directory_verdict {
    DIRECTORY_ALIAS_OK,
    DIRECTORY_ALIAS_LOOP,
    DIRECTORY_ALIAS_LIMIT,
    DIRECTORY_ALIAS_FOREIGN, /* a target is not of this cluster */
    DIRECTORY_ALIAS_UNKNOWN  /* a target does not exist */
};
/* Could `address` be an alias for these targets? *out_target: which one is to blame. */
VY_CHECKED struct vy_err directory_check_alias(const struct meta_view *view,
                                               struct vy_bytes address,
                                               const struct vy_bytes *targets, size_t target_count,
                                               enum directory_verdict *out,
                                               struct vy_bytes *out_target);
