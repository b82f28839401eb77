/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/admin.h"

#include "meta/admin_private.h"

struct admin_method {
    const char *service; /* behind "volary.admin.v1." */
    const char *method;
    meta_call_fn start;
    bool is_write;
};
/* clang-format off */
static const struct admin_method methods[] = {
    {"DomainService",     "CreateDomain",      admin_create_domain,       true},
    {"DomainService",     "ListDomains",       admin_list_domains,        false},
    {"DomainService",     "DeleteDomain",      admin_delete_domain,       true},
    {"DomainService",     "PrepareDeleteDomain", admin_prepare_delete_domain, false},
    {"DomainService",     "SetDomain",         admin_set_domain,          true},
    {"AccountService",    "CreateAccount",     admin_create_account,      true},
    {"AccountService",    "ListAccounts",      admin_list_accounts,       false},
    {"AccountService",    "GetAccount",        admin_get_account,         false},
    {"AccountService",    "SetAccountState",   admin_set_account_state,   true},
    {"AccountService",    "SetPassword",       admin_set_password,        true},
    {"AccountService",    "SetQuota",          admin_set_quota,           true},
    {"AccountService",    "PrepareDelete",     admin_prepare_delete,      false},
    {"AccountService",    "DeleteAccount",     admin_delete_account,      true},
    {"AccountService",    "RestoreAccount",    admin_restore_account,     true},
    {"JobService",        "ListJobs",          admin_list_jobs,           false},
    {"JobService",        "GetJob",            admin_get_job,             false},
    {"JobService",        "VerifyCertificate", admin_verify_certificate,  false},
    {"JobService",        "GetCertificateKey", admin_get_certificate_key, false},
    {"AliasService",      "CreateAlias",       admin_create_alias,        true},
    {"AliasService",      "ListAliases",       admin_list_aliases,        false},
    {"AliasService",      "DeleteAlias",       admin_delete_alias,        true},
    {"CredentialService", "CreateAppPassword", admin_create_app_password, true},
    {"CredentialService", "ListAppPasswords",  admin_list_app_passwords,  false},
    {"CredentialService", "DeleteAppPassword", admin_delete_app_password, true},
    {"CredentialService", "ListLogins",        admin_list_logins,         false},
    {"CredentialService", "ListLoginNetworks", admin_list_login_networks, false},
    {"CredentialService", "ListFactors",       admin_list_factors,        false},
    {"CredentialService", "EnrollFactor",      admin_enroll_factor,       true},
    {"CredentialService", "ConfirmFactor",     admin_confirm_factor,      true},
    {"CredentialService", "VerifyFactor",      admin_verify_factor,       true},
    {"CredentialService", "DisableFactor",     admin_disable_factor,      true},
    {"CredentialService", "RenewRecoveryCodes", admin_renew_recovery_codes, true},
    {"CredentialService", "SetSignInPolicy",   admin_set_sign_in_policy,  true},
    {"ClusterService",    "GetStatus",         admin_get_status,          false},
    {"ClusterService",    "ListSlots",         admin_list_slots,          false},
    {"MemberService",     "AddMember",         admin_add_member,          true},
    {"MemberService",     "RemoveMember",      admin_remove_member,       true},
    {"AuditService",      "ListAudit",         admin_list_audit,          false},
    {"AuditService",      "VerifyAudit",       admin_verify_audit,        false},
    {"AuditService",      "GetCheckpoint",     admin_get_checkpoint,      false},
};
/* clang-format on */
#define SERVICE_PREFIX "volary.admin.v1."

const struct vy_pb_method *meta_admin_find_method(struct vy_bytes service, struct vy_bytes method)
{
    for (size_t i = 0; i < admin_method_count; i++) {
        if (vy_bytes_equal(vy_cstr(admin_methods[i].service), service) &&
            vy_bytes_equal(vy_cstr(admin_methods[i].method), method)) {
            return &admin_methods[i];
        }
    }
    return NULL;
}

static const struct admin_method *find_handler(const struct vy_pb_method *method)
{
    const struct vy_bytes service = vy_cstr(method->service);
    if (!vy_bytes_starts_with(service, VY_LIT(SERVICE_PREFIX))) {
        return NULL;
    }
    const struct vy_bytes name = vy_bytes_from(service, sizeof(SERVICE_PREFIX) - 1);
    for (size_t i = 0; i < VY_COUNT_OF(methods); i++) {
        if (vy_bytes_equal(vy_cstr(methods[i].service), name) &&
            strcmp(methods[i].method, method->method) == 0) {
            return &methods[i];
        }
    }
    return NULL;
}

static struct vy_err copy_actor(struct meta_call *call, const struct meta_actor *actor)
{
    if (actor == NULL) {
        return vy_ok();
    }
    VY_TRY(vy_arena_dup(&call->arena, vy_bytes_slice(actor->kind, 0, 64), &call->actor.kind));
    VY_TRY(vy_arena_dup(&call->arena, vy_bytes_slice(actor->name, 0, 256), &call->actor.name));
    return vy_arena_dup(&call->arena, vy_bytes_slice(actor->peer, 0, 256), &call->actor.peer);
}

void meta_admin_call(struct meta *meta, const struct vy_pb_method *method, struct vy_bytes request,
                     const struct meta_actor *actor, meta_reply_fn reply, void *arg)
{
    const struct admin_method *row = find_handler(method);
    meta->stats.admin_calls++;
    if (row == NULL) {
        const struct vy_err err = vy_error(VY_CODE_UNSUPPORTED, "method of the admin API");
        reply(arg, err, err.what, vy_bytes(NULL, 0));
        return;
    }
    struct meta_call *call = meta_call_new(meta, method->request, request, reply, arg);
    if (call == NULL) {
        return;
    }
    call->reply_desc = method->reply;
    call->is_admin = true;
    call->is_secret = row->is_write;
    const struct vy_err err = copy_actor(call, actor);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
    } else if (!meta_call_needs_leader(call)) {
        row->start(call);
    }
}
