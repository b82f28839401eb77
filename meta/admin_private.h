/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the handlers of the admin API share. Each is named by its rpc and ends its call. */
#include "meta/meta_private.h"
#include "meta/password.h"

struct admin_secret;

/* A write on its way; in the call's arena, call->state points to it. */
struct admin_write {
    const struct admin_write_options *options; /* never NULL */
    struct vy_bytes name;                      /* canonical: whom or what it is about */
    struct vy_bytes detail;                    /* for the audit record */
    struct vy_bytes subject;                   /* of the audit record; empty: name */
    struct meta_account_row account;           /* when it is about an account */
    struct meta_command command;
    struct admin_secret *secret;      /* when it makes a credential */
    struct admin_factor_work *factor; /* when it is about a second factor */
    bool sets_quota;                  /* the fence takes the quota along */
    bool erases;                      /* the fence erases */
    uint64_t domain_accounts;         /* of a domain, as it was confirmed */
    uint64_t domain_aliases;
};

/* ---- beginning and ending ---- */

/* NULL: the call has ended (no leader, bad operation id, no memory). */
struct admin_write *admin_write_new(struct meta_call *call,
                                    const struct admin_write_options *options);
static inline struct admin_write *admin_write_of(struct meta_call *call)
{
    return call->state;
}
/* Finds write->account by an address as typed. False: the call has ended. */
bool admin_find_account(struct meta_call *call, struct vy_bytes typed);
/* Seals the audit record under the account's key (0: the cluster's) and proposes write->command. */
void admin_propose(struct meta_call *call, uint64_t account_id, meta_call_fn next);
/* True: refused, and the call has ended. */
bool admin_is_refused(struct meta_call *call);
/* What a secret is for, so that the same operation makes the same one: its id, and the name. In the
 * arena. @errors LIMIT */
VY_CHECKED struct vy_err admin_secret_context(struct meta_call *call, struct vy_bytes *out);
/* The account as it is now, as the answer of a write. */
void admin_answer_account(struct meta_call *call);
/* Tells the account's group its epoch, if it can be told; then next. Reads the account again. */
void admin_fence(struct meta_call *call, meta_call_fn next);
void admin_reply_empty(struct meta_call *call);
/* Who calls, keyed: two calls of one administrator have the same. */
void admin_actor_mac(struct meta_call *call, uint8_t out[32]);

/* ---- secrets ---- */

struct admin_secret {
    enum credential_kind kind;
    struct vy_bytes typed;                /* of a chosen password */
    struct vy_bytes prepared;             /* the same */
    char shown[PASSWORD_SHOWN_BYTES + 1]; /* of a generated one */
    struct password_verifier verifier;
};
/* Generates when chosen is empty. Then next, with write->secret->verifier.row filled. Ends the call
 * on bad passwords. The verifier is made on a worker. */
void admin_make_secret(struct meta_call *call, struct vy_bytes chosen, enum credential_kind kind,
                       meta_call_fn next);
/* What to show, once: also for a repeated operation, from the seed that the result remembers. */
struct vy_bytes admin_shown_secret(struct meta_call *call);

/* ---- pages ---- */

size_t admin_page_rows(const struct admin_page_options *page);
/* A family read from behind page->after (a row's name) within a domain, if one is given. */
struct admin_list {
    unsigned family;
    const struct vy_pb_desc *desc;
    struct vy_bytes domain; /* as typed; empty: all. Only for families by address */
    const struct admin_page_options *page;
};
VY_CHECKED struct vy_err admin_read_addresses(const struct meta_view *view,
                                              const struct admin_list *list,
                                              struct table_rows *out);
/* The address that a key of those families stands for; in the arena. */
VY_CHECKED struct vy_err admin_address_of_key(struct vy_arena *arena, struct vy_bytes key,
                                              struct vy_bytes *out);
/* Read on a worker, behind a barrier; then next. */
void admin_read(struct meta_call *call, meta_call_fn work, meta_call_fn next);

/* ---- texts ---- */

VY_CHECKED struct vy_err admin_text_u64(struct vy_arena *arena, uint64_t value,
                                        struct vy_bytes *out);
VY_CHECKED struct vy_err admin_fill_account(const struct meta_view *view,
                                            const struct meta_account_row *row,
                                            const struct cluster_row *cluster,
                                            struct admin_account *out);
struct vy_bytes admin_state_text(uint32_t state);
struct vy_bytes admin_verdict_text(enum login_verdict verdict);
bool admin_is_verdict_text(struct vy_bytes text); /* is one of those */
struct vy_bytes admin_protocol_text(uint32_t protocol);
struct vy_bytes admin_mechanism_text(uint32_t mechanism);

/* ---- handlers ---- */

void admin_create_domain(struct meta_call *call);
void admin_list_domains(struct meta_call *call);
void admin_delete_domain(struct meta_call *call);
void admin_prepare_delete_domain(struct meta_call *call);
void admin_set_domain(struct meta_call *call);
void admin_create_account(struct meta_call *call);
void admin_list_accounts(struct meta_call *call);
void admin_get_account(struct meta_call *call);
void admin_set_account_state(struct meta_call *call);
void admin_set_password(struct meta_call *call);
void admin_set_quota(struct meta_call *call);
void admin_prepare_delete(struct meta_call *call);
void admin_delete_account(struct meta_call *call);
void admin_restore_account(struct meta_call *call);
void admin_list_jobs(struct meta_call *call);
void admin_get_job(struct meta_call *call);
void admin_verify_certificate(struct meta_call *call);
void admin_get_certificate_key(struct meta_call *call);
void admin_create_alias(struct meta_call *call);
void admin_list_aliases(struct meta_call *call);
void admin_delete_alias(struct meta_call *call);
void admin_create_app_password(struct meta_call *call);
void admin_list_app_passwords(struct meta_call *call);
void admin_delete_app_password(struct meta_call *call);
void admin_list_logins(struct meta_call *call);
void admin_list_login_networks(struct meta_call *call);
void admin_list_factors(struct meta_call *call);
void admin_enroll_factor(struct meta_call *call);
void admin_confirm_factor(struct meta_call *call);
void admin_verify_factor(struct meta_call *call);
void admin_disable_factor(struct meta_call *call);
void admin_renew_recovery_codes(struct meta_call *call);
void admin_set_sign_in_policy(struct meta_call *call);
void admin_get_status(struct meta_call *call);
void admin_list_slots(struct meta_call *call);
void admin_add_member(struct meta_call *call);
void admin_remove_member(struct meta_call *call);
void admin_list_audit(struct meta_call *call);
void admin_verify_audit(struct meta_call *call);
void admin_get_checkpoint(struct meta_call *call);
