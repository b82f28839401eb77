/* SPDX-License-Identifier: Apache-2.0 */
/* Second factors: enrolled, confirmed, tried, removed; and who needs app passwords without one. */
#include "base/codec.h"
#include "base/secret.h"
#include "meta/admin_private.h"
#include "meta/factor_code.h"

#define CODE_BYTES_MAX 64U
#define SEED_BYTES 16U

struct admin_factor_work {
    struct vy_bytes code; /* as typed; empty: an administrator's decision */
    struct factor_row row;
    struct factor_proof proof;
    struct recovery_codes codes;
    uint8_t seed[SEED_BYTES];
    meta_call_fn propose; /* again when the row changed meanwhile */
    meta_call_fn answer;
};

static struct admin_factor_work *work_of(struct meta_call *call)
{
    return admin_write_of(call)->factor;
}

/* Finds the account. False: the call has ended. */
static bool begin(struct meta_call *call, struct vy_bytes account,
                  const struct admin_write_options *options)
{
    struct admin_write *write = admin_write_new(call, options);
    if (write == NULL || !admin_find_account(call, account)) {
        return false;
    }
    write->factor = VY_ARENA_NEW(&call->arena, struct admin_factor_work);
    if (write->factor == NULL) {
        meta_call_fail(call, vy_error(VY_CODE_LIMIT, "memory for a second factor"));
        return false;
    }
    return true;
}

/* A code cannot be tried without using it up. False: the call has ended. */
static bool take_code(struct meta_call *call, struct vy_bytes code)
{
    if (code.len > CODE_BYTES_MAX) {
        meta_call_fail(call, vy_error(VY_CODE_ARGUMENT, "code is longer than 64 bytes"));
        return false;
    }
    if (code.len > 0 && admin_write_of(call)->options->validate_only) {
        meta_call_fail(call, vy_error(VY_CODE_ARGUMENT,
                                      "a code is used up when it is tried: no dry run with one"));
        return false;
    }
    work_of(call)->code = code;
    return true;
}

/* A code, or a decision that is written down with its reason (APP-8). */
static bool take_code_or_override(struct meta_call *call, struct vy_bytes code, bool overridden)
{
    if (overridden && admin_write_of(call)->options->reason.len == 0) {
        meta_call_fail(call, vy_error(VY_CODE_ARGUMENT,
                                      "without a code a reason is needed, for the audit record"));
        return false;
    }
    if (overridden && code.len > 0) {
        meta_call_fail(call, vy_error(VY_CODE_ARGUMENT, "either a code or an override"));
        return false;
    }
    return take_code(call, code);
}

/* ---- a code on its way ---- */

/* The row as it is now, and what the code proves about it. */
static struct vy_err judge(struct meta_call *call)
{
    struct admin_factor_work *work = work_of(call);
    const struct meta_view view = meta_call_view(call);
    const uint64_t account_id = admin_write_of(call)->account.id;
    bool is_found = false;
    VY_TRY(factor_get(&view, account_id, &work->row, &is_found));
    if (work->code.len == 0 || !is_found) {
        return vy_ok();
    }
    return factor_judge(call, account_id, &work->row, work->code, &work->proof);
}

static void judge_and_propose(struct meta_call *call)
{
    const struct vy_err err = judge(call);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    work_of(call)->propose(call);
}

static const struct factor_proof *proof_of(struct meta_call *call)
{
    const struct admin_factor_work *work = work_of(call);
    return work->code.len > 0 ? &work->proof : NULL;
}

static void on_committed(struct meta_call *call)
{
    if (call->result.outcome == META_OUTCOME_STALE && ++call->stale_tries <= CALL_STALE_TRIES_MAX) {
        judge_and_propose(call);
        return;
    }
    if (!admin_is_refused(call)) {
        work_of(call)->answer(call);
    }
}

/* True: the code was wrong, and the call has ended. */
static bool is_wrong(struct meta_call *call)
{
    if (call->result.code_verdict != LOGIN_VERDICT_BADCODE) {
        return false;
    }
    meta_call_fail_text(call, vy_error(VY_CODE_AUTH, "wrong code"),
                        "the code is not right, or was used before: take the one that the app "
                        "shows now, and look at the clock of its device");
    return true;
}

static void run(struct meta_call *call, meta_call_fn propose, meta_call_fn answer)
{
    struct admin_factor_work *work = work_of(call);
    work->propose = propose;
    work->answer = answer;
    judge_and_propose(call);
}

/* ---- enrolling ---- */

static struct vy_err fill_enrolled(struct meta_call *call, struct admin_enroll_factor_reply *reply)
{
    const struct admin_write *write = admin_write_of(call);
    const struct meta_view view = meta_call_view(call);
    uint8_t secret[TOTP_SECRET_BYTES];
    struct factor_row row;
    struct vy_buf buf;
    struct vy_bytes domain = write->name;
    bool is_found = false;
    VY_TRY(factor_get(&view, write->account.id, &row, &is_found));
    if (!is_found || row.id != call->result.credential_id || row.state != FACTOR_STATE_PENDING) {
        return vy_error(VY_CODE_PRECONDITION,
                        "the factor was enrolled anew, or confirmed, meanwhile");
    }
    VY_TRY(factor_open_secret(call, write->account.id, &row, secret));
    while (vy_bytes_find_byte(domain, '@', 0) != SIZE_MAX) {
        (void)vy_bytes_cut(&domain, '@');
    }
    vy_buf_init(&buf, 4096);
    vy_base32_encode(&buf, vy_bytes(secret, sizeof(secret)));
    struct vy_err err = vy_arena_dup(&call->arena, vy_buf_bytes(&buf), &reply->secret);
    vy_buf_reset(&buf);
    totp_append_uri(&buf, domain, write->name, secret);
    err = vy_failed(err) ? err : vy_buf_error(&buf);
    err = vy_failed(err) ? err : vy_arena_dup(&call->arena, vy_buf_bytes(&buf), &reply->uri);
    vy_wipe(secret, sizeof(secret));
    vy_wipe(buf.data, buf.capacity);
    vy_buf_deinit(&buf);
    return err;
}

static void enroll_answer(struct meta_call *call)
{
    struct admin_enroll_factor_reply reply = {.account = admin_write_of(call)->name};
    if (!admin_write_of(call)->options->validate_only) {
        const struct vy_err err = fill_enrolled(call, &reply);
        if (vy_failed(err)) {
            meta_call_fail(call, err);
            return;
        }
    }
    meta_call_reply(call, &reply);
}

static void enroll_propose(struct meta_call *call)
{
    struct admin_write *write = admin_write_of(call);
    struct cmd_factor_enroll body = {.account_id = write->account.id};
    uint8_t secret[TOTP_SECRET_BYTES];
    vy_rng_fill(call->meta->config.rng, secret, sizeof(secret));
    const struct vy_err err =
        factor_seal_secret(call, write->account.id, secret, &body.secret_sealed);
    vy_wipe(secret, sizeof(secret));
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    write->command.factor_enroll = &body;
    admin_propose(call, write->account.id, on_committed);
}

void admin_enroll_factor(struct meta_call *call)
{
    const struct admin_enroll_factor_request *request = call->message;
    if (begin(call, request->account, request->write)) {
        run(call, enroll_propose, enroll_answer);
    }
}

/* ---- recovery codes ---- */

static struct vy_err make_codes(struct meta_call *call, struct vy_bytes seed)
{
    struct vy_bytes context = {.len = 0};
    VY_TRY(admin_secret_context(call, &context));
    return recovery_codes_make(call->meta->config.key, admin_write_of(call)->account.id, seed,
                               context, &work_of(call)->codes);
}

/* The seed goes into the result only for who may ask again. */
static struct vy_err begin_codes(struct meta_call *call, struct vy_bytes *seed)
{
    struct admin_factor_work *work = work_of(call);
    vy_rng_fill(call->meta->config.rng, work->seed, sizeof(work->seed));
    const struct vy_bytes made = vy_bytes(work->seed, sizeof(work->seed));
    *seed = admin_write_of(call)->options->operation_id.len > 0 ? made : vy_bytes(NULL, 0);
    return make_codes(call, made);
}

static void codes_answer(struct meta_call *call)
{
    struct admin_factor_work *work = work_of(call);
    struct admin_recovery_codes_reply reply = {.account = admin_write_of(call)->name};
    struct vy_bytes *shown = VY_ARENA_ARRAY(&call->arena, META_RECOVERY_CODES, struct vy_bytes);
    struct vy_err err = shown == NULL ? vy_error(VY_CODE_LIMIT, "memory for codes") : vy_ok();
    if (!vy_failed(err) && call->result.replayed) {
        err = make_codes(call, call->result.seed);
    }
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    if (!admin_write_of(call)->options->validate_only) {
        for (size_t i = 0; i < META_RECOVERY_CODES; i++) {
            shown[i] = vy_cstr(work->codes.shown[i]);
        }
        reply.recovery_codes = shown;
        reply.recovery_codes_count = META_RECOVERY_CODES;
    }
    meta_call_reply(call, &reply);
}

static void fence_and_show_codes(struct meta_call *call)
{
    if (!is_wrong(call)) {
        admin_fence(call, codes_answer);
    }
}

static void confirm_propose(struct meta_call *call)
{
    struct admin_write *write = admin_write_of(call);
    struct admin_factor_work *work = write->factor;
    struct cmd_factor_confirm body = {.account_id = write->account.id,
                                      .proof = proof_of(call),
                                      .recovery_macs_count = META_RECOVERY_CODES,
                                      .recovery_macs = work->codes.mac_bytes};
    const struct vy_err err = begin_codes(call, &body.seed);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    write->command.factor_confirm = &body;
    admin_propose(call, write->account.id, on_committed);
}

void admin_confirm_factor(struct meta_call *call)
{
    const struct admin_confirm_factor_request *request = call->message;
    if (!begin(call, request->account, request->write) || !take_code(call, request->code)) {
        return;
    }
    if (request->code.len == 0 && !admin_write_of(call)->options->validate_only) {
        meta_call_fail(call, vy_error(VY_CODE_ARGUMENT, "a factor is confirmed with a first code"));
        return;
    }
    run(call, confirm_propose, fence_and_show_codes);
}

static void show_codes(struct meta_call *call)
{
    if (!is_wrong(call)) {
        codes_answer(call);
    }
}

static void renew_propose(struct meta_call *call)
{
    struct admin_write *write = admin_write_of(call);
    struct cmd_recovery_codes body = {.account_id = write->account.id,
                                      .proof = proof_of(call),
                                      .recovery_macs_count = META_RECOVERY_CODES,
                                      .recovery_macs = write->factor->codes.mac_bytes};
    const struct vy_err err = begin_codes(call, &body.seed);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    write->command.recovery_codes = &body;
    write->detail = body.proof == NULL ? VY_LIT("by override") : VY_LIT("with a code");
    admin_propose(call, write->account.id, on_committed);
}

void admin_renew_recovery_codes(struct meta_call *call)
{
    const struct admin_renew_recovery_codes_request *request = call->message;
    if (!begin(call, request->account, request->write) ||
        !take_code_or_override(call, request->code, request->overridden)) {
        return;
    }
    if (request->code.len == 0 && !request->overridden) {
        meta_call_fail(call, vy_error(VY_CODE_ARGUMENT, "a code, or an override with a reason"));
        return;
    }
    run(call, renew_propose, show_codes);
}

/* ---- trying ---- */

static void verify_answer(struct meta_call *call)
{
    const bool is_right = call->result.code_verdict == LOGIN_VERDICT_OK;
    struct admin_verify_factor_reply reply = {.valid = is_right};
    if (is_right) {
        uint32_t unused = 0;
        reply.method = totp_parse_code(work_of(call)->code, &unused) ? VY_LIT("totp")
                                                                     : VY_LIT("recovery-code");
        reply.recovery_codes_left = call->result.count;
    } else {
        reply.reason = VY_LIT("wrong, or used before");
    }
    meta_call_reply(call, &reply);
}

static void verify_propose(struct meta_call *call)
{
    struct admin_write *write = admin_write_of(call);
    const struct cmd_factor_verify body = {.account_id = write->account.id,
                                           .proof = proof_of(call)};
    write->command.factor_verify = &body;
    admin_propose(call, write->account.id, on_committed);
}

void admin_verify_factor(struct meta_call *call)
{
    const struct admin_verify_factor_request *request = call->message;
    if (!begin(call, request->account, request->write) || !take_code(call, request->code)) {
        return;
    }
    if (request->code.len == 0) {
        meta_call_fail(call, vy_error(VY_CODE_ARGUMENT, "no code was given"));
        return;
    }
    run(call, verify_propose, verify_answer);
}

/* ---- removing ---- */

static void disable_answer(struct meta_call *call)
{
    if (!is_wrong(call)) {
        admin_reply_empty(call);
    }
}

static void disable_propose(struct meta_call *call)
{
    const struct admin_disable_factor_request *request = call->message;
    struct admin_write *write = admin_write_of(call);
    const bool is_pending = write->factor->row.state == FACTOR_STATE_PENDING;
    const bool is_active = write->factor->row.state == FACTOR_STATE_ACTIVE;
    const struct cmd_factor_disable body = {.account_id = write->account.id,
                                            .proof = is_pending ? NULL : proof_of(call),
                                            .pending_only = is_pending};
    if (is_active && request->code.len == 0 && !request->overridden) {
        meta_call_fail(call, vy_error(VY_CODE_ARGUMENT, "a code, or an override with a reason"));
        return;
    }
    write->command.factor_disable = &body;
    write->detail = is_pending               ? VY_LIT("never confirmed")
                    : request->code.len == 0 ? VY_LIT("by override")
                                             : VY_LIT("with a code");
    admin_propose(call, write->account.id, on_committed);
}

void admin_disable_factor(struct meta_call *call)
{
    const struct admin_disable_factor_request *request = call->message;
    if (begin(call, request->account, request->write) &&
        take_code_or_override(call, request->code, request->overridden)) {
        run(call, disable_propose, disable_answer);
    }
}

/* ---- showing ---- */

static uint32_t count_left(const struct factor_row *row)
{
    uint32_t left = 0;
    for (size_t i = 0; i < row->recovery_count; i++) {
        left += row->recovery[i].used_ms == 0 ? 1 : 0;
    }
    return left;
}

static void list_now(struct meta_call *call)
{
    const struct admin_list_factors_request *request = call->message;
    const struct meta_view view = meta_call_view(call);
    struct factor_row row;
    bool is_found = false;
    if (!begin(call, request->account, NULL)) {
        return;
    }
    const struct vy_err err = factor_get(&view, admin_write_of(call)->account.id, &row, &is_found);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    const struct admin_factor factor = {
        .kind = VY_LIT("totp"),
        .state = row.state == FACTOR_STATE_ACTIVE ? VY_LIT("active") : VY_LIT("pending"),
        .created_ms = row.created_ms,
        .confirmed_ms = row.confirmed_ms,
        .last_used_ms = row.last_used_ms,
        .recovery_codes_left = count_left(&row)};
    const struct admin_list_factors_reply reply = {.factors_count = is_found ? 1 : 0,
                                                   .factors = &factor};
    meta_call_reply(call, &reply);
}

void admin_list_factors(struct meta_call *call)
{
    meta_call_barrier(call, list_now);
}

/* ---- policy ---- */

static void policy_on_committed(struct meta_call *call)
{
    if (!admin_is_refused(call)) {
        admin_fence(call, admin_answer_account);
    }
}

void admin_set_sign_in_policy(struct meta_call *call)
{
    const struct admin_set_sign_in_policy_request *request = call->message;
    struct admin_write *write = admin_write_new(call, request->write);
    if (write == NULL || !admin_find_account(call, request->account)) {
        return;
    }
    const struct cmd_sign_in_policy body = {.account_id = write->account.id,
                                            .app_passwords_only = request->app_passwords_only};
    write->command.sign_in_policy = &body;
    write->detail = request->app_passwords_only ? VY_LIT("app passwords only")
                                                : VY_LIT("app passwords or the main password");
    admin_propose(call, write->account.id, policy_on_committed);
}
