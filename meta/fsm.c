/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/fsm_private.h"

#include "base/assert.h"
#include <stdarg.h>
#include <stdio.h>

#define STEP_BYTES_MAX                                                                             \
    (8U * 1024 * 1024) /* rows read for one command: an alias with all targets                     \
                        */
#define ROW_BYTES_MAX (1024U * 1024)

/* ---- what handlers use ---- */

struct vy_err fsm_refuse(struct fsm_step *step, enum meta_outcome outcome, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const size_t kept = len < 0 ? 0 : VY_MIN((size_t)len, sizeof(text) - 1);
    step->result = (struct meta_result){.outcome = outcome};
    return vy_arena_dup(step->view.arena, vy_bytes(text, kept), &step->result.text);
}

struct vy_err fsm_put(struct fsm_step *step, unsigned family, struct vy_bytes key,
                      const struct vy_pb_desc *desc, const void *row)
{
    vy_buf_reset(&step->fsm->scratch);
    VY_TRY(vy_pb_encode(desc, row, &step->fsm->scratch));
    txn_put(step->txn, family, key, vy_buf_bytes(&step->fsm->scratch));
    return vy_ok();
}

struct vy_err fsm_check_domain_name(struct fsm_step *step, struct vy_bytes name)
{
    const bool is_name = name.len > 0 && name.len <= META_ADDRESS_BYTES_MAX - 2 &&
                         vy_bytes_find_byte(name, 0, 0) == SIZE_MAX &&
                         vy_bytes_find_byte(name, '@', 0) == SIZE_MAX;
    return is_name ? vy_ok() : fsm_refuse(step, META_OUTCOME_ARGUMENT, "not a domain name");
}

struct vy_err fsm_check_address(struct fsm_step *step, struct vy_bytes address)
{
    const size_t at = vy_bytes_find_byte(address, '@', 0);
    const bool is_address = address.len <= META_ADDRESS_BYTES_MAX && at != SIZE_MAX && at > 0 &&
                            vy_bytes_find_byte(address, 0, 0) == SIZE_MAX;
    return is_address ? vy_ok() : fsm_refuse(step, META_OUTCOME_ARGUMENT, "not an address");
}

struct vy_bytes fsm_domain_of(struct vy_bytes address)
{
    struct vy_bytes rest = address;
    while (vy_bytes_find_byte(rest, '@', 0) != SIZE_MAX) {
        rest = vy_bytes_from(rest, vy_bytes_find_byte(rest, '@', 0) + 1);
    }
    return rest;
}

struct vy_err fsm_find_account(struct fsm_step *step, uint64_t account_id,
                               struct meta_account_row *account)
{
    bool is_found = false;
    VY_TRY(account_get(&step->view, account_id, account, &is_found));
    if (!is_found || account->state >= ACCOUNT_STATE_ERASING) {
        return fsm_refuse(step, META_OUTCOME_NOT_FOUND, "account does not exist");
    }
    step->audit_account_id = account_id;
    step->result.account_id = account_id;
    return vy_ok();
}

struct vy_err fsm_put_account(struct fsm_step *step, const struct meta_account_row *account)
{
    const struct meta_key key = meta_key_u64(account->id);
    step->result.account_epoch = account->epoch;
    return fsm_put(step, META_FAMILY_ACCOUNT, meta_key_bytes(&key), &meta_account_row_desc,
                   account);
}

static void tell(struct fsm_step *step, struct fsm_event *event)
{
    event->index = step->entry->index;
    if (step->fsm->on_event != NULL) {
        step->fsm->on_event(step->fsm->on_event_arg, event);
    }
}

void fsm_tell_account(struct fsm_step *step, const struct meta_account_row *account)
{
    struct fsm_event event = {.account_id = account->id,
                              .account_epoch = account->epoch,
                              .state = (enum account_state)account->state};
    tell(step, &event);
}

void fsm_tell_address(struct fsm_step *step, struct vy_bytes address)
{
    VY_ASSERT(address.len <= META_ADDRESS_BYTES_MAX);
    struct fsm_event event = {.address_len = (uint8_t)address.len};
    memcpy(event.address, address.data, address.len);
    tell(step, &event);
}

void fsm_tell_map(struct fsm_step *step)
{
    struct fsm_event event = {.map_changed = true};
    tell(step, &event);
}

/* ---- which handler ---- */

struct command_kind {
    size_t offset; /* of the member in struct meta_command */
    enum audit_action action;
    struct vy_err (*apply)(struct fsm_step *step);
};
#define KIND(member, action, apply)                                                                \
    {                                                                                              \
        offsetof(struct meta_command, member), action, apply                                       \
    }
/* clang-format off */
static const struct command_kind command_kinds[] = {
    KIND(login,               AUDIT_ACTION_NONE, login_apply), /* makes its own record */
    KIND(bootstrap,           AUDIT_ACTION_BOOTSTRAP, topology_apply_bootstrap),
    KIND(domain_create,       AUDIT_ACTION_DOMAIN_CREATE, domain_apply_create),
    KIND(domain_set,          AUDIT_ACTION_DOMAIN_SET, domain_apply_set),
    KIND(domain_delete,       AUDIT_ACTION_DOMAIN_DELETE, domain_apply_delete),
    KIND(account_create,      AUDIT_ACTION_ACCOUNT_CREATE, account_apply_create),
    KIND(account_state,       AUDIT_ACTION_ACCOUNT_STATE, account_apply_state),
    KIND(account_delete,      AUDIT_ACTION_ACCOUNT_DELETE, account_apply_delete),
    KIND(account_restore,     AUDIT_ACTION_ACCOUNT_RESTORE, account_apply_restore),
    KIND(erase_step,          AUDIT_ACTION_NONE, erase_apply_step),
    KIND(account_password,    AUDIT_ACTION_ACCOUNT_PASSWORD, credential_apply_password),
    KIND(account_quota,       AUDIT_ACTION_ACCOUNT_QUOTA, account_apply_quota),
    KIND(alias_create,        AUDIT_ACTION_ALIAS_CREATE, alias_apply_create),
    KIND(alias_delete,        AUDIT_ACTION_ALIAS_DELETE, alias_apply_delete),
    KIND(app_password_create, AUDIT_ACTION_APP_PASSWORD_CREATE, credential_apply_app_create),
    KIND(app_password_delete, AUDIT_ACTION_APP_PASSWORD_DELETE, credential_apply_app_delete),
    KIND(factor_enroll,       AUDIT_ACTION_FACTOR_ENROLL, factor_apply_enroll),
    KIND(factor_confirm,      AUDIT_ACTION_FACTOR_CONFIRM, factor_apply_confirm),
    KIND(factor_verify,       AUDIT_ACTION_FACTOR_VERIFY, factor_apply_verify),
    KIND(factor_disable,      AUDIT_ACTION_FACTOR_DISABLE, factor_apply_disable),
    KIND(recovery_codes,      AUDIT_ACTION_RECOVERY_CODES, factor_apply_recovery_codes),
    KIND(sign_in_policy,      AUDIT_ACTION_SIGN_IN_POLICY, factor_apply_policy),
    KIND(login_expire,        AUDIT_ACTION_NONE, login_apply_expire),
    KIND(node_register,       AUDIT_ACTION_NONE, topology_apply_register),
    KIND(member_plan,         AUDIT_ACTION_MEMBER_PLAN, member_apply_plan),
    KIND(member_step,         AUDIT_ACTION_NONE, member_apply_step),
};
/* clang-format on */

static const struct command_kind *find_kind(const struct meta_command *command)
{
    for (size_t i = 0; i < VY_COUNT_OF(command_kinds); i++) {
        const void *member = NULL;
        memcpy(&member, (const uint8_t *)command + command_kinds[i].offset, sizeof(member));
        if (member != NULL) {
            return &command_kinds[i];
        }
    }
    return NULL;
}

enum audit_action meta_command_action(const struct meta_command *command)
{
    const struct command_kind *kind = find_kind(command);
    return kind == NULL ? AUDIT_ACTION_NONE : kind->action;
}

/* ---- operations: same id, same result (R4, H19) ---- */

struct operation {
    size_t key_len; /* 0: the command has no operation id */
    uint8_t key[1 + META_OPERATION_BYTES_MAX];
};

static struct operation operation_of(const struct meta_command *command)
{
    struct operation operation = {.key = {META_OPERATION_SCOPE}};
    const struct vy_bytes id = command->operation_id;
    if (id.len == 0 || id.len > META_OPERATION_BYTES_MAX || command->validate_only) {
        return operation;
    }
    memcpy(operation.key + 1, id.data, id.len);
    operation.key_len = 1 + id.len;
    return operation;
}

static struct vy_err replay(struct fsm_step *step, const struct operation *operation,
                            bool *is_replay)
{
    struct vy_bytes stored = {.len = 0};
    if (operation->key_len == 0 ||
        !idem_find(step->txn, vy_bytes(operation->key, operation->key_len), step->entry->time_ms,
                   &stored)) {
        return vy_ok();
    }
    struct operation_row row;
    *is_replay = true;
    VY_TRY(table_decode(&step->view, &operation_row_desc, stored, &row));
    if (!vy_bytes_equal(row.fingerprint, step->command->fingerprint)) {
        return fsm_refuse(step, META_OUTCOME_ARGUMENT, "operation id was used for another request");
    }
    if (row.result != NULL) {
        step->result = *row.result;
    }
    step->result.replayed = true;
    return vy_ok();
}

static struct vy_err remember(struct fsm_step *step, const struct operation *operation)
{
    if (operation->key_len == 0) {
        return vy_ok();
    }
    const struct operation_row row = {.fingerprint = step->command->fingerprint,
                                      .result = &step->result};
    vy_buf_reset(&step->fsm->scratch);
    VY_TRY(vy_pb_encode(&operation_row_desc, &row, &step->fsm->scratch));
    idem_store(step->txn, vy_bytes(operation->key, operation->key_len),
               vy_buf_bytes(&step->fsm->scratch), step->entry->time_ms + IDEM_KEEP_MS);
    return vy_ok();
}

static struct vy_err record(struct fsm_step *step, enum audit_action action)
{
    if (action == AUDIT_ACTION_NONE) {
        return vy_ok();
    }
    struct audit_row row = {.action = action,
                            .account_id = step->audit_account_id,
                            .credential_id = step->audit_credential_id,
                            .verdict = step->audit_verdict,
                            .sealed = step->command->audit_sealed};
    return audit_append(step, &row);
}

/* ---- applying ---- */

static struct vy_err run(struct fsm_step *step)
{
    const struct command_kind *kind = find_kind(step->command);
    if (kind == NULL) {
        return vy_error(VY_CODE_UNSUPPORTED, "command of meta without a known body");
    }
    const struct operation operation = operation_of(step->command);
    bool is_replay = false;
    VY_TRY(replay(step, &operation, &is_replay));
    if (is_replay) {
        return vy_ok();
    }
    VY_TRY(kind->apply(step));
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    VY_TRY(
        record(step, step->audit_action != AUDIT_ACTION_NONE ? step->audit_action : kind->action));
    return remember(step, &operation);
}

static struct vy_err meta_fsm_apply(struct replica_fsm *base, struct txn *txn,
                                    const struct replica_entry_meta *entry, struct vy_bytes bytes,
                                    struct vy_buf *result)
{
    struct meta_fsm *fsm = VY_CONTAINER_OF(base, struct meta_fsm, base);
    vy_arena_reset(&fsm->arena);
    struct meta_command command;
    if (vy_failed(vy_pb_decode(&meta_command_desc, &fsm->arena, bytes, &command))) {
        return vy_error(VY_CODE_CORRUPT, "command of meta");
    }
    if (command.version != META_COMMAND_VERSION) {
        return vy_error(VY_CODE_UNSUPPORTED, "version of meta's command");
    }
    struct fsm_step step = {
        .fsm = fsm,
        .txn = txn,
        .entry = entry,
        .view = {.reader = txn_reader(txn), .arena = &fsm->arena},
        .command = &command,
        .result = {.outcome = META_OUTCOME_OK                        }
    };
    VY_TRY(run(&step));
    return vy_pb_encode(&meta_result_desc, &step.result, result);
}

static void meta_fsm_on_applied(struct replica_fsm *base, uint64_t index)
{
    struct meta_fsm *fsm = VY_CONTAINER_OF(base, struct meta_fsm, base);
    if (fsm->on_applied != NULL) {
        fsm->on_applied(fsm->listener_arg, index);
    }
}

static void meta_fsm_on_leader_change(struct replica_fsm *base, bool is_leader, uint64_t term)
{
    struct meta_fsm *fsm = VY_CONTAINER_OF(base, struct meta_fsm, base);
    if (fsm->on_leader_change != NULL) {
        fsm->on_leader_change(fsm->listener_arg, is_leader, term);
    }
}

static void meta_fsm_on_installed(struct replica_fsm *base, uint64_t index)
{
    struct meta_fsm *fsm = VY_CONTAINER_OF(base, struct meta_fsm, base);
    if (fsm->on_installed != NULL) {
        fsm->on_installed(fsm->listener_arg, index);
    }
}

static const struct replica_fsm_ops fsm_ops = {.apply = meta_fsm_apply,
                                               .on_applied = meta_fsm_on_applied,
                                               .on_installed = meta_fsm_on_installed,
                                               .on_leader_change = meta_fsm_on_leader_change};

void meta_fsm_init(struct meta_fsm *fsm)
{
    *fsm = (struct meta_fsm){
        .base = {.ops = &fsm_ops, .families = meta_families, .family_count = META_FAMILY_COUNT}
    };
    vy_arena_init(&fsm->arena, STEP_BYTES_MAX);
    vy_buf_init(&fsm->scratch, ROW_BYTES_MAX);
}

void meta_fsm_deinit(struct meta_fsm *fsm)
{
    vy_arena_deinit(&fsm->arena);
    vy_buf_deinit(&fsm->scratch);
}
