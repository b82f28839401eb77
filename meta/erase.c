/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Erasing an account from meta's tables: everything that one entry can do, and the job that the
 * leader drives to its end (saga.c). Credentials and the wrapped key go with the intent (P8).
 */
#include "meta/erase.h"

#include "meta/fsm_private.h"
#include "replica/idem.h"
#include <openssl/sha.h>

/* ---- rows: one handler per family, from the registry in tables.h ---- */

struct erasure {
    struct fsm_step *step;
    struct meta_account_row *account;
    uint64_t kept_until_ms;
};

static struct vy_err erase_nothing(struct erasure *erasure, unsigned family)
{
    (void)erasure;
    (void)family; /* has no rows of one account, or only what must outlive it */
    return vy_ok();
}

/* All rows whose keys begin with the account's number. */
static struct vy_err erase_range(struct erasure *erasure, unsigned family)
{
    const struct meta_key from = meta_key_u64(erasure->account->id);
    const struct meta_key to = meta_key_u64(erasure->account->id + 1);
    txn_delete_range(erasure->step->txn, family, meta_key_bytes(&from), meta_key_bytes(&to));
    return vy_ok();
}

/* The number is never used again: its row stays, and says what became of it. */
static struct vy_err erase_keep_row(struct erasure *erasure, unsigned family)
{
    struct meta_account_row *account = erasure->account;
    (void)family;
    *account = (struct meta_account_row){.id = account->id,
                                         .address = vy_bytes(NULL, 0),
                                         .state = account->state,
                                         .created_ms = account->created_ms,
                                         .epoch = account->epoch,
                                         .job_id = account->job_id};
    return fsm_put_account(erasure->step, account);
}

static struct vy_err erase_retire_address(struct erasure *erasure, unsigned family)
{
    const struct vy_bytes address = erasure->account->address;
    const struct address_row row = {.kind = ADDRESS_KIND_RETIRED,
                                    .account_id = erasure->account->id,
                                    .kept_until_ms = erasure->kept_until_ms};
    const struct meta_key key = meta_key_address(address);
    if (address.len == 0) {
        return vy_ok(); /* erased once before */
    }
    fsm_tell_address(erasure->step, address);
    return fsm_put(erasure->step, family, meta_key_bytes(&key), &address_row_desc, &row);
}

typedef struct vy_err (*erase_handler)(struct erasure *erasure, unsigned family);
static const erase_handler erase_handlers[META_FAMILY_COUNT] = {
#define X(name, family, prefix, erase) [META_FAMILY_##name - META_FAMILY_CLUSTER] = (erase),
    META_FAMILIES(X)
#undef X
};

/* ADDRESS comes behind ACCOUNT in the registry, and needs the address that ACCOUNT forgets. */
static struct vy_err erase_rows(struct erasure *erasure)
{
    struct meta_account_row before = *erasure->account;
    struct meta_account_row *after = erasure->account;
    for (unsigned i = 0; i < META_FAMILY_COUNT; i++) {
        struct meta_account_row account = before;
        erasure->account = &account;
        VY_TRY(erase_handlers[i](erasure, META_FAMILY_CLUSTER + i));
    }
    *after = (struct meta_account_row){
        .id = before.id, .state = before.state, .epoch = before.epoch, .job_id = before.job_id};
    return vy_ok();
}

/* ---- answers to repeated requests: they remember how a secret was made ---- */

_Static_assert(REPLICA_FAMILY_RAFT == 0 && REPLICA_FAMILY_SYS == 1 && REPLICA_FAMILY_IDEM == 2 &&
                   REPLICA_FAMILY_FIRST == 3,
               "P8: say what an account leaves in the engine's new family (raft: cut by expel.c; "
               "sys: nothing; idem: here)");

#define ANSWERS_MAX 4096U              /* of the last minutes; those behind expire */
#define ANSWER_BYTES_MAX (256U * 1024) /* one, with all its names */

struct answer_filter {
    struct vy_arena arena; /* of one answer */
    uint64_t account_id;
};

static bool is_answer_about(void *arg, struct vy_bytes bytes)
{
    struct answer_filter *filter = arg;
    struct operation_row row;
    vy_arena_reset(&filter->arena);
    const struct vy_err err = vy_pb_decode(&operation_row_desc, &filter->arena, bytes, &row);
    return !vy_failed(err) && row.result != NULL && row.result->account_id == filter->account_id;
}

static void forget_answers(struct fsm_step *step, uint64_t account_id)
{
    static const uint8_t scope[] = {META_OPERATION_SCOPE};
    struct answer_filter filter = {.account_id = account_id};
    vy_arena_init(&filter.arena, ANSWER_BYTES_MAX);
    idem_forget_matching(step->txn, vy_bytes(scope, sizeof(scope)), ANSWERS_MAX, is_answer_about,
                         &filter);
    vy_arena_deinit(&filter.arena);
}

/* ---- the intent ---- */

static struct vy_err begin_job(struct fsm_step *step, const struct meta_account_row *account,
                               uint64_t parent_job_id)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct erase_step_row steps[ERASE_STEP_COUNT];
    const struct meta_key open = meta_key_open_job(account->job_id);
    for (size_t i = 0; i < ERASE_STEP_COUNT; i++) {
        steps[i] = (struct erase_step_row){.step = erase_steps[i]};
    }
    SHA256(account->address.data, account->address.len, hash);
    const struct job_row job = {.id = account->job_id,
                                .account_id = account->id,
                                .address_sha256 =
                                    vy_bytes(hash, account->address.len == 0 ? 0 : sizeof(hash)),
                                .parent_job_id = parent_job_id,
                                .created_ms = step->entry->time_ms,
                                .steps_count = ERASE_STEP_COUNT,
                                .steps = steps};
    txn_put(step->txn, META_FAMILY_JOB, meta_key_bytes(&open), VY_LIT("1"));
    return erase_put_job(step, &job);
}

/* The account is none of its domain's, nor of the cluster's, any more. */
static struct vy_err put_counts(struct fsm_step *step, const struct meta_account_row *account,
                                struct counter_row *counter)
{
    struct domain_row domain;
    bool is_found = false;
    if (account->address.len > 0) {
        VY_TRY(domain_get(&step->view, fsm_domain_of(account->address), &domain, &is_found));
        counter->account_count -= counter->account_count > 0 ? 1 : 0;
    }
    if (is_found) {
        domain.account_count -= domain.account_count > 0 ? 1 : 0;
        VY_TRY(fsm_put(step, META_FAMILY_DOMAIN, domain.name, &domain_row_desc, &domain));
    }
    return fsm_put(step, META_FAMILY_CLUSTER, META_KEY_COUNTER, &counter_row_desc, counter);
}

struct vy_err erase_begin(struct fsm_step *step, struct meta_account_row *account,
                          const struct cmd_account_delete *cmd)
{
    const uint64_t now_ms = step->entry->time_ms;
    const uint64_t quarantine_ms = cmd->quarantine_ms;
    struct counter_row counter;
    VY_TRY(counter_get(&step->view, &counter));
    account->job_id = ++counter.next_job_id;
    VY_TRY(put_counts(step, account, &counter));
    VY_TRY(begin_job(step, account, cmd->parent_job_id));
    VY_TRY(domain_count_child(step, cmd->parent_job_id, ERASE_CHILD_BEGUN));
    struct erasure erasure = {.step = step,
                              .account = account,
                              .kept_until_ms = now_ms + VY_MIN(quarantine_ms, UINT64_MAX - now_ms)};
    VY_TRY(erase_rows(&erasure));
    forget_answers(step, account->id);
    fsm_tell_account(step, account);
    return vy_ok();
}
