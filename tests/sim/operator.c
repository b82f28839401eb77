/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/operator.h"

#include "meta/admin.h"
#include "tests/sim/roles.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_BYTES_MAX 65536U
#define REPLY_BYTES_MAX (1024U * 1024)
#define TRY_MS 1500U
#define RETRY_MS 60U
#define TURN_MS 700U /* between changes at most, in the busiest runs; up to 8 times as long */
#define DELETE_PERMILLE 300U

static void try_member(struct operator* self);

/* ---- one try ---- */

/* On its way to a member and back. */
struct trip {
    struct operator* self;
    uint64_t serial;
    struct sim_process *process;
    struct vy_err err;
    struct vy_buf reply;
};

static void trip_free(struct trip *trip)
{
    vy_buf_deinit(&trip->reply);
    free(trip);
}

static bool is_outcome(struct vy_err err)
{
    switch (err.code) {
    case VY_CODE_NOT_LEADER:
    case VY_CODE_UNAVAILABLE:
    case VY_CODE_UNKNOWN:
    case VY_CODE_BUSY:
    case VY_CODE_CLOSED:
    case VY_CODE_CANCELLED:
        return false;
    default:
        return true;
    }
}

static void on_retry(void *arg)
{
    struct operator* self = arg;
    if (!self->world->is_ending && self->method != NULL) {
        try_member(self);
    }
}

static void take_outcome(struct operator* self, const struct trip *trip)
{
    const struct vy_pb_method *method = self->method;
    void *reply = NULL;
    vy_arena_reset(&self->arena);
    if (!vy_failed(trip->err)) {
        reply = sim_alloc(method->reply->struct_bytes);
        VY_ASSERT(!vy_failed(
            vy_pb_decode(method->reply, &self->arena, vy_buf_bytes(&trip->reply), reply)));
    }
    sim_say(self->world, "operator: %s of user%u: %s", method->method, self->account,
            vy_code_name(trip->err.code));
    self->serial++;
    self->method = NULL;
    self->done += !vy_failed(trip->err);
    self->on_done(self, trip->err, reply);
    free(reply);
}

/* Back at the operator. */
static void on_back(void *arg)
{
    struct trip *trip = arg;
    struct operator* self = trip->self;
    if (!self->world->is_ending && trip->serial == self->serial) {
        if (is_outcome(trip->err)) {
            take_outcome(self, trip);
        } else {
            self->serial++;
            sim_at(self->world, RETRY_MS, NULL, on_retry, self);
        }
    }
    trip_free(trip);
}

/* At the member. */
static void on_reply(void *arg, struct vy_err err, const char *message, struct vy_bytes reply)
{
    struct trip *trip = arg;
    (void)message;
    if (trip->process->is_mute) {
        trip_free(trip); /* its last words */
        return;
    }
    trip->err = err;
    vy_buf_append(&trip->reply, reply);
    sim_at(trip->self->world, 1, NULL, on_back, trip);
}

static void on_arrival(void *arg)
{
    struct trip *trip = arg;
    const struct meta_actor actor = {
        .kind = VY_LIT("operator"), .name = VY_LIT("sim"), .peer = VY_LIT("unix")};
    struct operator* self = trip->self;
    if (self->world->is_ending || trip->serial != self->serial || !sim_is_up(trip->process)) {
        trip_free(trip);
        return;
    }
    meta_admin_call(sim_meta_of(trip->process), self->method, vy_buf_bytes(&self->request), &actor,
                    on_reply, trip);
    sim_touch(trip->process);
}

static void on_late(void *arg)
{
    struct trip *trip = arg;
    if (!trip->self->world->is_ending && trip->serial == trip->self->serial) {
        try_member(trip->self);
    }
    trip_free(trip);
}

static struct trip *trip_new(struct operator* self, struct sim_process *process)
{
    struct trip *trip = sim_alloc(sizeof(*trip));
    trip->self = self;
    trip->serial = self->serial;
    trip->process = process;
    vy_buf_init(&trip->reply, REPLY_BYTES_MAX);
    return trip;
}

static void try_member(struct operator* self)
{
    self->serial++;
    self->member = (self->member + 1) % SIM_META_COUNT;
    struct sim_process *process = sim_meta(self->world, self->member);
    sim_at(self->world, 1, process, on_arrival, trip_new(self, process));
    sim_at(self->world, TRY_MS, NULL, on_late, trip_new(self, process));
}

/* ---- calls ---- */

static void call(struct operator* self, const char *service, const char *name, const void *request,
                 void (*on_done)(struct operator* self, struct vy_err err, const void *reply))
{
    char full[64];
    VY_ASSERT(self->method == NULL);
    (void)snprintf(full, sizeof(full), "volary.admin.v1.%s", service);
    self->method = meta_admin_find_method(vy_cstr(full), vy_cstr(name));
    VY_ASSERT(self->method != NULL);
    vy_buf_reset(&self->request);
    VY_ASSERT(!vy_failed(vy_pb_encode(self->method->request, request, &self->request)));
    self->on_done = on_done;
    try_member(self);
}

/* Valid until the next one. */
static const struct admin_write_options *write_options(struct operator* self)
{
    static uint8_t id[16];
    static struct admin_write_options options;
    vy_put_be64(id, self->world->seed);
    vy_put_be64(id + 8, ++self->operation);
    options = (struct admin_write_options){.operation_id = vy_bytes(id, sizeof(id))};
    return &options;
}

static void must_succeed(struct operator* self, struct vy_err err)
{
    SIM_CHECK(self->world, !vy_failed(err), "operator: user%u: %s (%s)", self->account,
              vy_code_name(err.code), err.what == NULL ? "" : err.what);
}

static void copy_text(char *out, size_t out_bytes, struct vy_bytes text)
{
    (void)snprintf(out, out_bytes, "%.*s", (int)text.len, (const char *)text.data);
}

static void domain_created(struct operator* self, struct vy_err err, const void *reply)
{
    (void)reply;
    must_succeed(self, err);
}

void operator_create_domain(struct operator* self)
{
    const struct admin_create_domain_request request = {.name = VY_LIT(SIM_DOMAIN),
                                                        .write = write_options(self)};
    call(self, "DomainService", "CreateDomain", &request, domain_created);
}

static void account_created(struct operator* self, struct vy_err err, const void *reply)
{
    struct ledger_account *account = &self->ledger->accounts[self->account];
    const struct admin_create_account_reply *created = reply;
    must_succeed(self, err);
    copy_text(account->password, sizeof(account->password), created->password);
    account->valid_at = ledger_now(self->ledger);
    account->exists = true;
}

void operator_create_account(struct operator* self, unsigned account)
{
    self->account = account;
    const struct admin_create_account_request request = {
        .account = vy_cstr(self->ledger->accounts[account].address),
        .quota_bytes = 1ULL << 30,
        .write = write_options(self)};
    call(self, "AccountService", "CreateAccount", &request, account_created);
}

static void group_found(struct operator* self, struct vy_err err, const void *reply)
{
    const struct admin_account *account = reply;
    must_succeed(self, err);
    self->group_id = account->group_id;
    SIM_CHECK(self->world, vy_parse_u64(account->id, &self->account_id), "id of an account");
}

void operator_find_group(struct operator* self, unsigned account)
{
    self->account = account;
    const struct admin_get_account_request request = {
        .account = vy_cstr(self->ledger->accounts[account].address)};
    call(self, "AccountService", "GetAccount", &request, group_found);
}

static void password_changed(struct operator* self, struct vy_err err, const void *reply)
{
    struct ledger_account *account = &self->ledger->accounts[self->account];
    const struct admin_set_password_reply *changed = reply;
    must_succeed(self, err);
    memcpy(account->old_password, account->password, sizeof(account->old_password));
    copy_text(account->password, sizeof(account->password), changed->password);
    account->valid_at = ledger_now(self->ledger);
    account->is_changing = false;
    ledger_note_fence(self->ledger, account->number);
}

void operator_change_password(struct operator* self, unsigned account)
{
    self->account = account;
    const struct admin_set_password_request request = {
        .account = vy_cstr(self->ledger->accounts[account].address), .write = write_options(self)};
    self->ledger->accounts[account].is_changing = true;
    ledger_note_fence(self->ledger, account);
    call(self, "AccountService", "SetPassword", &request, password_changed);
}

/* ---- deleting ---- */

static void account_deleted(struct operator* self, struct vy_err err, const void *reply)
{
    const struct admin_delete_account_reply *deleted = reply;
    must_succeed(self, err);
    copy_text(self->job, sizeof(self->job), deleted->intent);
}

static void delete_prepared(struct operator* self, struct vy_err err, const void *reply)
{
    const struct admin_prepare_delete_reply *prepared = reply;
    must_succeed(self, err);
    const struct admin_delete_account_request request = {
        .account = vy_cstr(self->ledger->accounts[self->account].address),
        .token = prepared->token,
        .write = write_options(self)};
    call(self, "AccountService", "DeleteAccount", &request, account_deleted);
}

void operator_delete_account(struct operator* self, unsigned account)
{
    self->account = account;
    const struct admin_prepare_delete_request request = {
        .account = vy_cstr(self->ledger->accounts[account].address)};
    call(self, "AccountService", "PrepareDelete", &request, delete_prepared);
}

static void job_told(struct operator* self, struct vy_err err, const void *reply)
{
    const struct admin_job *job = reply;
    must_succeed(self, err);
    self->is_job_complete = job->completed_ms != 0;
}

void operator_get_job(struct operator* self)
{
    const struct admin_get_job_request request = {.id = vy_cstr(self->job)};
    call(self, "JobService", "GetJob", &request, job_told);
}

static void softly_deleted(struct operator* self, struct vy_err err, const void *reply)
{
    struct ledger_account *account = &self->ledger->accounts[self->account];
    (void)reply;
    must_succeed(self, err);
    account->exists = false;
    account->deleted_at = ledger_now(self->ledger);
    account->is_changing = false;
    ledger_note_fence(self->ledger, account->number);
}

void operator_delete_softly(struct operator* self, unsigned account)
{
    self->account = account;
    const struct admin_delete_account_request request = {
        .account = vy_cstr(self->ledger->accounts[account].address),
        .soft = true,
        .write = write_options(self)};
    self->ledger->accounts[account].is_changing = true;
    ledger_note_fence(self->ledger, account);
    call(self, "AccountService", "DeleteAccount", &request, softly_deleted);
}

static void account_restored(struct operator* self, struct vy_err err, const void *reply)
{
    struct ledger_account *account = &self->ledger->accounts[self->account];
    (void)reply;
    must_succeed(self, err);
    account->exists = true;
    account->deleted_at = 0;
    account->valid_at = ledger_now(self->ledger);
    account->is_changing = false;
    ledger_note_fence(self->ledger, account->number);
}

void operator_restore(struct operator* self, unsigned account)
{
    self->account = account;
    const struct admin_restore_account_request request = {
        .account = vy_cstr(self->ledger->accounts[account].address), .write = write_options(self)};
    self->ledger->accounts[account].is_changing = true;
    ledger_note_fence(self->ledger, account);
    call(self, "AccountService", "RestoreAccount", &request, account_restored);
}

/* ---- life ---- */

/* At most one account is away at a time. */
static void change_something(struct operator* self)
{
    for (unsigned i = 0; i < LEDGER_ACCOUNTS; i++) {
        if (!self->ledger->accounts[i].exists) {
            operator_restore(self, i);
            return;
        }
    }
    const unsigned account = (unsigned)sim_random(self->world, LEDGER_ACCOUNTS);
    if (sim_chance(self->world, DELETE_PERMILLE)) {
        operator_delete_softly(self, account);
    } else {
        operator_change_password(self, account);
    }
}

static void on_turn(void *arg)
{
    struct operator* self = arg;
    if (self->world->is_ending) {
        return;
    }
    if (operator_is_idle(self) && !self->is_stopping) {
        change_something(self);
    }
    sim_at(self->world, 1 + sim_random(self->world, self->turn_ms), NULL, on_turn, self);
}

void operator_start(struct operator* self)
{
    sim_at(self->world, 0, NULL, on_turn, self);
}

struct operator* operator_new(struct sim_world *world, struct ledger *ledger)
{
    struct operator* self = sim_alloc(sizeof(*self));
    self->world = world;
    self->ledger = ledger;
    self->turn_ms = TURN_MS << sim_random(world, 4);
    vy_buf_init(&self->request, REQUEST_BYTES_MAX);
    vy_arena_init(&self->arena, REPLY_BYTES_MAX);
    return self;
}

void operator_free(struct operator* self)
{
    vy_buf_deinit(&self->request);
    vy_arena_deinit(&self->arena);
    free(self);
}
