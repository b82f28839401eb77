/* SPDX-License-Identifier: Apache-2.0 */
/* The way of every write: checked, sealed for the audit chain, proposed, told to the shard. */
#include "base/secret.h"
#include "meta/admin_private.h"
#include "meta/names.h"
#include <openssl/sha.h>

#define REASON_BYTES_MAX 1024U

static const struct admin_write_options no_options = {.validate_only = false};

struct admin_write *admin_write_new(struct meta_call *call,
                                    const struct admin_write_options *options)
{
    struct admin_write *write = VY_ARENA_NEW(&call->arena, struct admin_write);
    if (write == NULL) {
        meta_call_fail(call, vy_error(VY_CODE_LIMIT, "memory for a write"));
        return NULL;
    }
    write->options = options == NULL ? &no_options : options;
    if (write->options->operation_id.len > META_OPERATION_BYTES_MAX) {
        meta_call_fail(call, vy_error(VY_CODE_ARGUMENT, "operation id is longer than 32 bytes"));
        return NULL;
    }
    if (write->options->reason.len > REASON_BYTES_MAX) {
        meta_call_fail(call, vy_error(VY_CODE_LIMIT, "reason is longer than 1,024 bytes"));
        return NULL;
    }
    call->state = write;
    return write;
}

static struct vy_err find_account(struct meta_call *call, struct vy_bytes typed, bool *is_found)
{
    struct admin_write *write = admin_write_of(call);
    const struct meta_view view = meta_call_view(call);
    VY_TRY(names_canonical_address(&call->arena, typed, &write->name));
    return account_find(&view, write->name, &write->account, is_found);
}

bool admin_find_account(struct meta_call *call, struct vy_bytes typed)
{
    bool is_found = false;
    const struct vy_err err = find_account(call, typed, &is_found);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return false;
    }
    if (!is_found) {
        const struct vy_bytes name = admin_write_of(call)->name;
        const char *text =
            vy_arena_printf(&call->arena, "account %.*s does not exist", VY_PRI(name));
        const struct vy_err missing = vy_error(VY_CODE_NOT_FOUND, "account does not exist");
        meta_call_fail_text(call, missing, text == NULL ? missing.what : text);
    }
    return is_found;
}

/* ---- proposing ---- */

/* What must be the same for the same operation id: method and request, byte for byte. */
static struct vy_err make_fingerprint(struct meta_call *call, struct vy_bytes *out)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct vy_buf buf;
    vy_buf_init(&buf, CALL_REPLY_BYTES_MAX);
    vy_buf_append_cstr(&buf, call->reply_desc->name);
    vy_buf_append_byte(&buf, 0);
    vy_buf_append(&buf, call->request);
    const struct vy_err err = vy_buf_error(&buf);
    SHA256(vy_buf_bytes(&buf).data, vy_buf_len(&buf), hash);
    vy_wipe(buf.data, buf.capacity);
    vy_buf_deinit(&buf);
    VY_TRY(err);
    /* Keyed: the request may hold a password, and the log must not help to guess it. */
    uint8_t mac[32];
    cluster_key_mac(call->meta->config.key, "operation", vy_bytes(hash, sizeof(hash)), mac);
    return vy_arena_dup(&call->arena, vy_bytes(mac, META_FINGERPRINT_BYTES), out);
}

static struct vy_err seal_record(struct meta_call *call, uint64_t account_id)
{
    struct admin_write *write = admin_write_of(call);
    const struct meta_view view = meta_call_view(call);
    const struct cmd_account_create *create = write->command.account_create;
    const struct admin_body body = {.actor_kind = call->actor.kind,
                                    .actor = call->actor.name,
                                    .peer = call->actor.peer,
                                    .subject =
                                        write->subject.len > 0 ? write->subject : write->name,
                                    .detail = write->detail,
                                    .reason = write->options->reason};
    struct seal_key key;
    bool is_found = false;
    if (create != NULL) { /* its key is in the command, not in the tables yet */
        VY_TRY(seal_key_of_account(call->meta->config.key, create->account_id, create->wrapped_key,
                                   &key));
    } else {
        VY_TRY(seal_key_find(call->meta->config.key, &view, account_id, &key, &is_found));
    }
    const struct vy_err err = seal_message(&key, call->meta->config.rng, &call->arena,
                                           &admin_body_desc, &body, &write->command.audit_sealed);
    vy_wipe(&key, sizeof(key));
    return err;
}

void admin_propose(struct meta_call *call, uint64_t account_id, meta_call_fn next)
{
    struct admin_write *write = admin_write_of(call);
    struct meta_command *command = &write->command;
    command->version = META_COMMAND_VERSION;
    command->operation_id = write->options->operation_id;
    command->validate_only = write->options->validate_only;
    struct vy_err err = make_fingerprint(call, &command->fingerprint);
    if (!vy_failed(err)) {
        err = seal_record(call, account_id);
    }
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_propose(call, command, /* reserve = */ true, next);
}

bool admin_is_refused(struct meta_call *call)
{
    if (call->result.outcome == META_OUTCOME_OK) {
        return false;
    }
    meta_call_refuse(call, &call->result);
    return true;
}

void admin_reply_empty(struct meta_call *call)
{
    static const struct admin_empty empty = {0};
    if (!admin_is_refused(call)) {
        meta_call_reply(call, &empty);
    }
}

/* ---- the fence ---- */

static void fence_on_done(void *arg, struct vy_err err)
{
    struct meta_call *call = arg;
    if (vy_failed(err)) {
        if (admin_write_of(call)->erases) {
            const char *text = vy_arena_printf(
                &call->arena,
                "the delete is decided (intent %llu), but the account's group could not be told "
                "yet: it goes on by itself, see `volaryctl job list`",
                (unsigned long long)call->result.job_id);
            meta_call_fail_text(call, vy_error(VY_CODE_UNAVAILABLE, "group was not told"),
                                text == NULL ? "group was not told" : text);
            return;
        }
        meta_call_fail_text(call, vy_error(VY_CODE_UNAVAILABLE, "account's group was not told"),
                            "the change is made, but the account's group could not be told: open "
                            "sessions may live on; repeat the command");
        return;
    }
    call->next(call);
}

static struct vy_err read_fence(struct meta_call *call, struct meta_fence *fence)
{
    struct admin_write *write = admin_write_of(call);
    const struct meta_view view = meta_call_view(call);
    struct cluster_row cluster;
    bool is_found = false;
    VY_TRY(account_get(&view, write->account.id, &write->account, &is_found));
    VY_TRY(cluster_get(&view, &cluster, &is_found));
    *fence = (struct meta_fence){
        .account_id = write->account.id,
        .account_epoch = write->account.epoch,
        .group_id = meta_group_of_slot(&cluster, vy_slot_of_account(write->account.id)),
        .set_quota = write->sets_quota,
        .erase = write->erases,
        .quota_bytes = write->account.quota_bytes};
    return vy_ok();
}

void admin_fence(struct meta_call *call, meta_call_fn next)
{
    const struct meta_config *config = &call->meta->config;
    struct meta_fence fence;
    const struct vy_err err = read_fence(call, &fence);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    if (config->fence == NULL || admin_write_of(call)->options->validate_only) {
        next(call);
        return;
    }
    call->next = next;
    config->fence->fence(config->fence_arg, &fence, fence_on_done, call);
}

/* ---- secrets ---- */

/* The same operation gives the same secret: what it is for, with the seed, under the cluster key.
 */
static struct vy_bytes secret_context(struct meta_call *call, struct vy_buf *buf)
{
    const struct admin_write *write = admin_write_of(call);
    vy_buf_init(buf, 4096);
    vy_buf_append(buf, write->options->operation_id);
    vy_buf_append_byte(buf, 0);
    vy_buf_append(buf, write->name);
    return vy_buf_bytes(buf);
}

struct vy_err admin_secret_context(struct meta_call *call, struct vy_bytes *out)
{
    struct vy_buf buf;
    const struct vy_bytes context = secret_context(call, &buf);
    struct vy_err err = vy_buf_error(&buf);
    if (!vy_failed(err)) {
        err = vy_arena_dup(&call->arena, context, out);
    }
    vy_buf_deinit(&buf);
    return err;
}

static void show_secret(struct meta_call *call, struct vy_bytes seed)
{
    struct admin_secret *secret = admin_write_of(call)->secret;
    struct vy_buf buf;
    const struct vy_bytes context = secret_context(call, &buf);
    password_generate_from_seed(call->meta->config.key, seed, context, secret->shown);
    vy_buf_deinit(&buf);
}

static void secret_on_worker(struct meta_call *call)
{
    struct admin_secret *secret = admin_write_of(call)->secret;
    const struct cluster_key *key = call->meta->config.key;
    const uint32_t iterations = meta_scram_iterations(call->meta);
    call->err = secret->kind == CREDENTIAL_KIND_CHOSEN
                    ? password_make_chosen(key, secret->prepared, secret->typed, iterations,
                                           &secret->verifier)
                    : password_make_generated(key, vy_cstr(secret->shown), secret->kind, iterations,
                                              &secret->verifier);
}

static struct vy_err begin_secret(struct meta_call *call, struct vy_bytes chosen,
                                  enum credential_kind kind)
{
    struct admin_write *write = admin_write_of(call);
    struct vy_rng *rng = call->meta->config.rng;
    struct admin_secret *secret = VY_ARENA_NEW(&call->arena, struct admin_secret);
    if (secret == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a password");
    }
    write->secret = secret;
    secret->kind = chosen.len > 0 ? CREDENTIAL_KIND_CHOSEN : kind;
    struct password_verifier *verifier = &secret->verifier;
    vy_rng_fill(rng, verifier->argon2_salt, sizeof(verifier->argon2_salt));
    password_scram_salt(call->meta->config.key, write->name, verifier->scram_salt);
    vy_rng_fill(rng, verifier->seed, sizeof(verifier->seed));
    if (chosen.len > 0) {
        secret->typed = chosen;
        VY_TRY(password_prepare(&call->arena, chosen, &secret->prepared));
        return password_check_chosen(secret->prepared, write->name);
    }
    show_secret(call, vy_bytes(verifier->seed, sizeof(verifier->seed)));
    return vy_ok();
}

static void secret_made(struct meta_call *call)
{
    struct admin_write *write = admin_write_of(call);
    struct password_verifier *verifier = &write->secret->verifier;
    if (write->secret->kind != CREDENTIAL_KIND_CHOSEN && write->options->operation_id.len > 0) {
        verifier->row.seed = vy_bytes(verifier->seed, sizeof(verifier->seed));
    }
    const struct vy_err err =
        seal_message(&call->meta->scram_key, call->meta->config.rng, &call->arena, &scram_keys_desc,
                     &verifier->scram, &verifier->row.scram_sealed);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    const meta_call_fn next = call->after_secret;
    next(call);
}

void admin_make_secret(struct meta_call *call, struct vy_bytes chosen, enum credential_kind kind,
                       meta_call_fn next)
{
    const struct vy_err err = begin_secret(call, chosen, kind);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    call->after_secret = next;
    meta_call_run(call, secret_on_worker, secret_made);
}

struct vy_bytes admin_shown_secret(struct meta_call *call)
{
    const struct admin_write *write = admin_write_of(call);
    if (write->options->validate_only || write->secret->kind == CREDENTIAL_KIND_CHOSEN) {
        return vy_bytes(NULL, 0);
    }
    if (call->result.replayed) {
        if (call->result.seed.len == 0) {
            return vy_bytes(NULL, 0);
        }
        show_secret(call, call->result.seed);
    }
    return vy_cstr(write->secret->shown);
}
