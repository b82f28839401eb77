/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands, and how each fills its request. */
#include "base/assert.h"
#include "meta/ctl/args.h"

#define DAY_MS (24ULL * 60 * 60 * 1000)
#define EXPIRES_DAYS_MAX 36500U
#define LIST_ITEMS_MAX 32U

/* ---- columns ---- */

/* clang-format off */
static const struct ctl_column domain_columns[] = {
    {"name", "DOMAIN", CTL_TEXT}, {"account_count", "ACCOUNTS", CTL_TEXT}, {"catch_all", "CATCH-ALL", CTL_TEXT},
    {"created_ms", "CREATED", CTL_TIME}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column account_columns[] = {
    {"account", "ACCOUNT", CTL_TEXT}, {"id", "ID", CTL_TEXT}, {"state", "STATE", CTL_TEXT},
    {"quota_bytes", "QUOTA", CTL_QUOTA}, {"group_id", "GROUP", CTL_TEXT}, {"created_ms", "CREATED", CTL_TIME},
    {NULL, NULL, CTL_TEXT}};
static const struct ctl_column account_record[] = {
    {"account", "Account", CTL_TEXT}, {"id", "Id", CTL_TEXT}, {"state", "State", CTL_TEXT},
    {"disabled_text", "Text", CTL_TEXT}, {"quota_bytes", "Quota", CTL_QUOTA}, {"epoch", "Epoch", CTL_TEXT},
    {"group_id", "Group", CTL_TEXT}, {"slot", "Slot", CTL_TEXT}, {"created_ms", "Created", CTL_TIME},
    {"restore_until_ms", "Restorable until", CTL_TIME}, {"second_factor", "Second factor", CTL_TEXT},
    {"app_passwords_only", "App passwords only", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column factor_columns[] = {
    {"kind", "KIND", CTL_TEXT}, {"state", "STATE", CTL_TEXT}, {"created_ms", "CREATED", CTL_TIME},
    {"confirmed_ms", "CONFIRMED", CTL_TIME}, {"last_used_ms", "LAST USED", CTL_TIME},
    {"recovery_codes_left", "RECOVERY CODES LEFT", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column factor_secret_record[] = {
    {"account", "Account", CTL_TEXT}, {"secret", "Secret", CTL_TEXT}, {"uri", "Address", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column factor_check_record[] = {
    {"valid", "Valid", CTL_TEXT}, {"method", "Method", CTL_TEXT}, {"recovery_codes_left", "Recovery codes left", CTL_NUMBER},
    {NULL, NULL, CTL_TEXT}};
static const struct ctl_column deleted_record[] = {
    {"account", "Account", CTL_TEXT}, {"id", "Id", CTL_TEXT}, {"state", "State", CTL_TEXT}, {"intent", "Intent", CTL_TEXT},
    {"empty_aliases", "Empty aliases", CTL_TEXT}, {"restore_until_ms", "Restorable until", CTL_TIME}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column deleted_domain_record[] = {
    {"name", "Domain", CTL_TEXT}, {"account_count", "Accounts", CTL_TEXT}, {"alias_count", "Aliases", CTL_TEXT}, {"intent", "Intent", CTL_TEXT},
    {NULL, NULL, CTL_TEXT}};
static const struct ctl_column job_columns[] = {
    {"id", "ID", CTL_TEXT}, {"kind", "KIND", CTL_TEXT}, {"state", "STATE", CTL_TEXT}, {"account_id", "ACCOUNT ID", CTL_TEXT},
    {"created_ms", "CREATED", CTL_TIME}, {"finished_ms", "FINISHED", CTL_TIME}, {"pending_members", "PENDING", CTL_NUMBER},
    {"error", "ERROR", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column job_record[] = {
    {"id", "Id", CTL_TEXT}, {"kind", "Kind", CTL_TEXT}, {"state", "State", CTL_TEXT}, {"account_id", "Account id", CTL_TEXT},
    {"domain", "Domain", CTL_TEXT}, {"parent", "Of job", CTL_TEXT}, {"accounts_planned", "Accounts planned", CTL_NUMBER},
    {"accounts_begun", "Accounts begun", CTL_NUMBER}, {"accounts_done", "Accounts done", CTL_NUMBER}, {"empty_aliases", "Empty aliases", CTL_TEXT},
    {"created_ms", "Created", CTL_TIME}, {"finished_ms", "Finished", CTL_TIME}, {"pending_members", "Members pending", CTL_NUMBER},
    {"completed_ms", "Complete", CTL_TIME}, {"error", "Error", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
const struct ctl_column ctl_step_columns[] = {
    {"participant", "PARTICIPANT", CTL_TEXT}, {"state", "STATE", CTL_TEXT}, {"done_ms", "DONE", CTL_TIME},
    {"failed_count", "FAILED", CTL_NUMBER}, {"error", "WHY", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column certificate_record[] = {
    {"valid", "Valid", CTL_TEXT}, {"intent", "Intent", CTL_TEXT}, {"account_id", "Account id", CTL_TEXT},
    {"serial", "Serial", CTL_TEXT}, {"pending_members", "Members pending", CTL_TEXT}, {"reason", "Reason", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column certificate_key_record[] = {
    {"public_key", "Public key", CTL_TEXT}, {"cluster_id", "Cluster", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column new_account_record[] = {
    {"account", "Account", CTL_TEXT}, {"id", "Id", CTL_TEXT}, {"password", "Password", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column password_record[] = {
    {"account", "Account", CTL_TEXT}, {"password", "Password", CTL_TEXT},
    {"revoked_app_passwords", "App passwords revoked", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column alias_columns[] = {
    {"alias", "ALIAS", CTL_TEXT}, {"targets", "TARGETS", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column secret_record[] = {
    {"id", "Id", CTL_TEXT}, {"secret", "Secret", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column app_password_columns[] = {
    {"id", "ID", CTL_TEXT}, {"label", "LABEL", CTL_TEXT}, {"protocols", "PROTOCOLS", CTL_TEXT},
    {"networks", "NETWORKS", CTL_TEXT}, {"created_ms", "CREATED", CTL_TIME}, {"expires_ms", "EXPIRES", CTL_TIME},
    {"last_used_ms", "LAST USED", CTL_TIME}, {"last_used_ip", "FROM", CTL_TEXT}, {"last_used_protocol", "BY", CTL_TEXT},
    {NULL, NULL, CTL_TEXT}};
static const struct ctl_column login_columns[] = {
    {"last_ms", "LAST", CTL_TIME}, {"result", "RESULT", CTL_TEXT}, {"count", "COUNT", CTL_TEXT},
    {"protocol", "PROTOCOL", CTL_TEXT}, {"mechanism", "MECHANISM", CTL_TEXT}, {"remote_ip", "FROM", CTL_TEXT},
    {"tls", "TLS", CTL_TEXT}, {"typed_name", "NAME", CTL_TEXT}, {"app_password", "APP PASSWORD", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column network_columns[] = {
    {"network", "NETWORK", CTL_TEXT}, {"first_ms", "FIRST", CTL_TIME}, {"last_ms", "LAST", CTL_TIME},
    {"ok_count", "SIGNED IN", CTL_TEXT}, {"failed_count", "REFUSED", CTL_TEXT}, {"last_ok_ms", "LAST SIGNED IN", CTL_TIME},
    {NULL, NULL, CTL_TEXT}};
static const struct ctl_column member_columns[] = {
    {"group_id", "GROUP", CTL_NUMBER}, {"node", "NODE", CTL_TEXT}, {"role", "ROLE", CTL_TEXT},
    {"address", "ADDRESS", CTL_TEXT}, {"member_id", "MEMBER", CTL_TEXT}, {"term", "TERM", CTL_NUMBER},
    {"commit_index", "COMMITTED", CTL_NUMBER}, {"applied_index", "APPLIED", CTL_NUMBER}, {"seen_ms", "SEEN", CTL_TIME},
    {"plan", "PLAN", CTL_TEXT}, {"error", "ERROR", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column new_member_record[] = {
    {"node", "Node", CTL_TEXT}, {"group", "Group", CTL_TEXT}, {"member_id", "Member", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column removed_member_record[] = {
    {"node", "Node", CTL_TEXT}, {"group", "Group", CTL_TEXT}, {"member_id", "Member", CTL_TEXT}, {"plan", "Plan", CTL_TEXT},
    {NULL, NULL, CTL_TEXT}};
static const struct ctl_column status_record[] = {
    {"cluster_id", "Cluster", CTL_TEXT}, {"map_epoch", "Map epoch", CTL_TEXT},
    {"feature_level", "Feature level", CTL_TEXT}, {"account_count", "Accounts", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column slot_columns[] = {
    {"first", "FIRST", CTL_TEXT}, {"last", "LAST", CTL_TEXT}, {"group_id", "GROUP", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column audit_columns[] = {
    {"sequence", "SEQUENCE", CTL_TEXT}, {"time_ms", "TIME", CTL_TIME}, {"actor", "ACTOR", CTL_TEXT},
    {"action", "ACTION", CTL_TEXT}, {"subject", "SUBJECT", CTL_TEXT}, {"detail", "DETAIL", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
static const struct ctl_column verify_record[] = {
    {"intact", "Intact", CTL_TEXT}, {"record_count", "Records", CTL_TEXT},
    {"first_sequence", "From", CTL_NUMBER}, {"last_sequence", "To", CTL_NUMBER},
    {"first_bad_sequence", "First bad", CTL_NUMBER}, {"reason", "Reason", CTL_TEXT}, {"signature", "Signature", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
/* clang-format on */

/* ---- arguments ---- */

static struct vy_bytes word(const struct ctl_build *build, size_t index)
{
    return build->args->words[index];
}

static struct vy_bytes value(const struct ctl_build *build, enum ctl_option option)
{
    return build->args->values[option];
}

static bool has(const struct ctl_build *build, enum ctl_option option)
{
    return build->args->has[option];
}

static struct vy_err refuse(struct ctl_build *build, struct vy_bytes text, const char *why)
{
    vy_buf_append_byte(build->problem, '\'');
    ctl_append_clean(build->problem, text, 60);
    vy_buf_printf(build->problem, "' %s", why);
    return vy_error(VY_CODE_ARGUMENT, "argument");
}

bool ctl_parse_size(struct vy_bytes text, uint64_t *out)
{
    static const struct {
        struct vy_bytes unit;
        unsigned shift;
    } units[] = {
        {VY_LIT("KiB"), 10},
        {VY_LIT("MiB"), 20},
        {VY_LIT("GiB"), 30},
        {VY_LIT("TiB"), 40},
        {VY_LIT("B"),   0 },
        {VY_LIT(""),    0 }
    };
    for (size_t i = 0; i < VY_COUNT_OF(units); i++) {
        uint64_t count = 0;
        if (!vy_bytes_ends_with(text, units[i].unit)) {
            continue;
        }
        const struct vy_bytes digits = vy_bytes_slice(text, 0, text.len - units[i].unit.len);
        if (!vy_parse_u64(digits, &count) || count > UINT64_MAX >> units[i].shift) {
            return false;
        }
        *out = count << units[i].shift;
        return true;
    }
    return false;
}

static struct vy_err read_size(struct ctl_build *build, struct vy_bytes text, uint64_t *out)
{
    return ctl_parse_size(text, out)
               ? vy_ok()
               : refuse(build, text, "is no size: a whole number with B, KiB, MiB, GiB or TiB");
}

/* "imap,smtp" */
static struct vy_err split_list(struct ctl_build *build, struct vy_bytes text,
                                const struct vy_bytes **out, size_t *out_count)
{
    struct vy_bytes *items = VY_ARENA_ARRAY(build->arena, LIST_ITEMS_MAX, struct vy_bytes);
    struct vy_bytes rest = text;
    size_t count = 0;
    if (items == NULL) {
        return vy_error(VY_CODE_NOMEM, "list");
    }
    while (rest.len > 0) {
        if (count == LIST_ITEMS_MAX) {
            return refuse(build, text, "has too many items");
        }
        items[count] = vy_bytes_trim(vy_bytes_cut(&rest, ','));
        if (items[count].len == 0) {
            return refuse(build, text, "has an empty item");
        }
        count++;
    }
    *out = items;
    *out_count = count;
    return vy_ok();
}

/* ---- builders ---- */

static struct vy_err build_empty(struct ctl_build *build, void *request)
{
    (void)build;
    (void)request;
    return vy_ok();
}

static struct vy_err build_domain_create(struct ctl_build *build, void *request)
{
    *(struct admin_create_domain_request *)request =
        (struct admin_create_domain_request){.name = word(build, 0),
                                             .catch_all = value(build, CTL_OPTION_CATCH_ALL),
                                             .write = build->write};
    return vy_ok();
}

static struct vy_err build_domain_set(struct ctl_build *build, void *request)
{
    if (!has(build, CTL_OPTION_CATCH_ALL)) {
        return refuse(build, word(build, 0), "stays as it is without --catch-all");
    }
    *(struct admin_set_domain_request *)request =
        (struct admin_set_domain_request){.name = word(build, 0),
                                          .catch_all = value(build, CTL_OPTION_CATCH_ALL),
                                          .write = build->write};
    return vy_ok();
}

static struct vy_err build_domain_list(struct ctl_build *build, void *request)
{
    ((struct admin_list_domains_request *)request)->page = &build->page;
    return vy_ok();
}

static struct vy_err build_domain_delete(struct ctl_build *build, void *request)
{
    *(struct admin_delete_domain_request *)request =
        (struct admin_delete_domain_request){.name = word(build, 0),
                                             .cascade = has(build, CTL_OPTION_CASCADE),
                                             .token = build->token,
                                             .write = build->write};
    return vy_ok();
}

static struct vy_err build_account_create(struct ctl_build *build, void *request)
{
    struct admin_create_account_request *create = request;
    *create = (struct admin_create_account_request){.account = word(build, 0),
                                                    .password = build->password,
                                                    .release_address =
                                                        has(build, CTL_OPTION_RELEASE_ADDRESS),
                                                    .write = build->write};
    return has(build, CTL_OPTION_QUOTA)
               ? read_size(build, value(build, CTL_OPTION_QUOTA), &create->quota_bytes)
               : vy_ok();
}

static struct vy_err build_account_list(struct ctl_build *build, void *request)
{
    *(struct admin_list_accounts_request *)request = (struct admin_list_accounts_request){
        .domain = value(build, CTL_OPTION_DOMAIN), .page = &build->page};
    return vy_ok();
}

static struct vy_err build_account_show(struct ctl_build *build, void *request)
{
    ((struct admin_get_account_request *)request)->account = word(build, 0);
    return vy_ok();
}

static struct vy_err build_account_disable(struct ctl_build *build, void *request)
{
    *(struct admin_set_account_state_request *)request =
        (struct admin_set_account_state_request){.account = word(build, 0),
                                                 .enabled = false,
                                                 .text = value(build, CTL_OPTION_TEXT),
                                                 .write = build->write};
    return vy_ok();
}

static struct vy_err build_account_enable(struct ctl_build *build, void *request)
{
    *(struct admin_set_account_state_request *)request = (struct admin_set_account_state_request){
        .account = word(build, 0), .enabled = true, .write = build->write};
    return vy_ok();
}

static struct vy_err build_account_password(struct ctl_build *build, void *request)
{
    *(struct admin_set_password_request *)request = (struct admin_set_password_request){
        .account = word(build, 0),
        .password = build->password,
        .keep_app_passwords = has(build, CTL_OPTION_KEEP_APP_PASSWORDS),
        .write = build->write};
    return vy_ok();
}

static struct vy_err build_account_delete(struct ctl_build *build, void *request)
{
    *(struct admin_delete_account_request *)request =
        (struct admin_delete_account_request){.account = word(build, 0),
                                              .token = build->token,
                                              .soft = has(build, CTL_OPTION_SOFT),
                                              .cascade = has(build, CTL_OPTION_CASCADE),
                                              .write = build->write};
    return vy_ok();
}

static struct vy_err build_account_restore(struct ctl_build *build, void *request)
{
    *(struct admin_restore_account_request *)request =
        (struct admin_restore_account_request){.account = word(build, 0), .write = build->write};
    return vy_ok();
}

static struct vy_err build_job_list(struct ctl_build *build, void *request)
{
    ((struct admin_list_jobs_request *)request)->page = &build->page;
    return vy_ok();
}

static struct vy_err build_job_watch(struct ctl_build *build, void *request)
{
    ((struct admin_get_job_request *)request)->id = word(build, 0);
    return vy_ok();
}

static struct vy_err build_certificate_verify(struct ctl_build *build, void *request)
{
    ((struct admin_verify_certificate_request *)request)->text = build->file;
    return vy_ok();
}

/* Both addresses are needed: nothing is guessed. */
static struct vy_err read_places(struct ctl_build *build, struct admin_add_member_request *add)
{
    if (!has(build, CTL_OPTION_LINK) || !has(build, CTL_OPTION_RAFT)) {
        return refuse(build, word(build, 0),
                      "needs --link and --raft: addresses of the new process");
    }
    add->link_address = value(build, CTL_OPTION_LINK);
    add->raft_address = value(build, CTL_OPTION_RAFT);
    add->group = value(build, CTL_OPTION_GROUP);
    add->write = build->write;
    return vy_ok();
}

static struct vy_err build_member_add(struct ctl_build *build, void *request)
{
    struct admin_add_member_request *add = request;
    *add = (struct admin_add_member_request){.node = word(build, 0)};
    if (!has(build, CTL_OPTION_GROUP)) {
        return refuse(build, word(build, 0), "needs --group: meta, or a number of 'slot list'");
    }
    return read_places(build, add);
}

static struct vy_err build_member_replace(struct ctl_build *build, void *request)
{
    struct admin_add_member_request *add = request;
    *add = (struct admin_add_member_request){.node = value(build, CTL_OPTION_WITH),
                                             .replaces = word(build, 0)};
    if (!has(build, CTL_OPTION_WITH)) {
        return refuse(build, word(build, 0), "needs --with: the name of the new process");
    }
    return read_places(build, add);
}

static struct vy_err build_member_remove(struct ctl_build *build, void *request)
{
    *(struct admin_remove_member_request *)request = (struct admin_remove_member_request){
        .node = word(build, 0), .group = value(build, CTL_OPTION_GROUP), .write = build->write};
    return vy_ok();
}

static struct vy_err build_quota_set(struct ctl_build *build, void *request)
{
    struct admin_set_quota_request *set = request;
    *set = (struct admin_set_quota_request){.account = word(build, 0), .write = build->write};
    return read_size(build, word(build, 1), &set->bytes);
}

static struct vy_err build_alias_create(struct ctl_build *build, void *request)
{
    *(struct admin_create_alias_request *)request =
        (struct admin_create_alias_request){.alias = word(build, 0),
                                            .targets_count = build->args->word_count - 1,
                                            .targets = &build->args->words[1],
                                            .write = build->write};
    return vy_ok();
}

static struct vy_err build_alias_list(struct ctl_build *build, void *request)
{
    *(struct admin_list_aliases_request *)request = (struct admin_list_aliases_request){
        .domain = value(build, CTL_OPTION_DOMAIN), .page = &build->page};
    return vy_ok();
}

static struct vy_err build_alias_delete(struct ctl_build *build, void *request)
{
    *(struct admin_delete_alias_request *)request =
        (struct admin_delete_alias_request){.alias = word(build, 0), .write = build->write};
    return vy_ok();
}

static struct vy_err build_app_create(struct ctl_build *build, void *request)
{
    struct admin_create_app_password_request *create = request;
    *create = (struct admin_create_app_password_request){
        .account = word(build, 0), .label = value(build, CTL_OPTION_LABEL), .write = build->write};
    if (create->label.len == 0) {
        return refuse(build, word(build, 0),
                      "needs a label for its app password: --label 'phone of Ada'");
    }
    if (has(build, CTL_OPTION_EXPIRES_DAYS)) {
        uint64_t days = 0;
        const struct vy_bytes text = value(build, CTL_OPTION_EXPIRES_DAYS);
        if (!vy_parse_u64(text, &days) || days == 0 || days > EXPIRES_DAYS_MAX) {
            return refuse(build, text, "is no number of days from 1 to 36500");
        }
        create->expires_ms = build->now_ms + days * DAY_MS;
    }
    VY_TRY(split_list(build, value(build, CTL_OPTION_NETWORKS), &create->networks,
                      &create->networks_count));
    return split_list(build, value(build, CTL_OPTION_PROTOCOLS), &create->protocols,
                      &create->protocols_count);
}

static struct vy_err build_app_list(struct ctl_build *build, void *request)
{
    ((struct admin_list_app_passwords_request *)request)->account = word(build, 0);
    return vy_ok();
}

static struct vy_err build_app_delete(struct ctl_build *build, void *request)
{
    *(struct admin_delete_app_password_request *)request =
        (struct admin_delete_app_password_request){
            .account = word(build, 0), .id = word(build, 1), .write = build->write};
    return vy_ok();
}

static struct vy_err build_app_require(struct ctl_build *build, void *request)
{
    const struct vy_bytes state = word(build, 1);
    const bool is_on = vy_bytes_equal(state, VY_LIT("on"));
    if (!is_on && !vy_bytes_equal(state, VY_LIT("off"))) {
        return refuse(build, state, "is neither on nor off");
    }
    *(struct admin_set_sign_in_policy_request *)request = (struct admin_set_sign_in_policy_request){
        .account = word(build, 0), .app_passwords_only = is_on, .write = build->write};
    return vy_ok();
}

static struct vy_err build_factor_list(struct ctl_build *build, void *request)
{
    ((struct admin_list_factors_request *)request)->account = word(build, 0);
    return vy_ok();
}

static struct vy_err build_factor_enroll(struct ctl_build *build, void *request)
{
    *(struct admin_enroll_factor_request *)request =
        (struct admin_enroll_factor_request){.account = word(build, 0), .write = build->write};
    return vy_ok();
}

static struct vy_err build_factor_confirm(struct ctl_build *build, void *request)
{
    *(struct admin_confirm_factor_request *)request = (struct admin_confirm_factor_request){
        .account = word(build, 0), .code = build->code, .write = build->write};
    return vy_ok();
}

static struct vy_err build_factor_verify(struct ctl_build *build, void *request)
{
    *(struct admin_verify_factor_request *)request = (struct admin_verify_factor_request){
        .account = word(build, 0), .code = build->code, .write = build->write};
    return vy_ok();
}

static struct vy_err build_factor_disable(struct ctl_build *build, void *request)
{
    *(struct admin_disable_factor_request *)request =
        (struct admin_disable_factor_request){.account = word(build, 0),
                                              .code = build->code,
                                              .overridden = has(build, CTL_OPTION_OVERRIDE),
                                              .write = build->write};
    return vy_ok();
}

static struct vy_err build_factor_codes(struct ctl_build *build, void *request)
{
    *(struct admin_renew_recovery_codes_request *)request =
        (struct admin_renew_recovery_codes_request){.account = word(build, 0),
                                                    .code = build->code,
                                                    .overridden = has(build, CTL_OPTION_OVERRIDE),
                                                    .write = build->write};
    return vy_ok();
}

static struct vy_err build_login_list(struct ctl_build *build, void *request)
{
    struct admin_list_logins_request *logins = request;
    *logins = (struct admin_list_logins_request){.account = word(build, 0),
                                                 .page = &build->page,
                                                 .remote_ip = value(build, CTL_OPTION_IP),
                                                 .result = value(build, CTL_OPTION_RESULT)};
    if (has(build, CTL_OPTION_SINCE) &&
        !ctl_parse_since(value(build, CTL_OPTION_SINCE), build->now_ms, &logins->since_ms)) {
        return refuse(
            build, value(build, CTL_OPTION_SINCE),
            "is no time: write 2026-11-27, 2026-11-27T09:00:00Z, or 90s, 15m, 2h, 7d ago");
    }
    return vy_ok();
}

static struct vy_err build_login_networks(struct ctl_build *build, void *request)
{
    *(struct admin_list_login_networks_request *)request =
        (struct admin_list_login_networks_request){.account = word(build, 0), .page = &build->page};
    return vy_ok();
}

static struct vy_err build_audit_export(struct ctl_build *build, void *request)
{
    *(struct admin_list_audit_request *)request =
        (struct admin_list_audit_request){.from_sequence = build->from_sequence,
                                          .limit = build->page.limit,
                                          .with_rows = !ctl_args_is_json(build->args)};
    return vy_ok();
}

static struct vy_err build_audit_list(struct ctl_build *build, void *request)
{
    *(struct admin_list_audit_request *)request = (struct admin_list_audit_request){
        .from_sequence = build->from_sequence, .limit = build->page.limit};
    return vy_ok();
}

/* ---- the table ---- */

#define DOMAINS "volary.admin.v1.DomainService"
#define ACCOUNTS "volary.admin.v1.AccountService"
#define ALIASES "volary.admin.v1.AliasService"
#define CREDENTIALS "volary.admin.v1.CredentialService"
#define CLUSTER "volary.admin.v1.ClusterService"
#define JOBS "volary.admin.v1.JobService"
#define MEMBERS "volary.admin.v1.MemberService"
#define AUDIT "volary.admin.v1.AuditService"

/* clang-format off */
const struct ctl_command ctl_commands[] = {
    {"domain", "create", "NAME", CTL_BIT(CATCH_ALL), DOMAINS, "CreateDomain", build_domain_create, CTL_RECORD, NULL, domain_columns, CTL_HARMLESS,
     "Take mail for a domain",
     "  volaryctl domain create example.org\n  volaryctl domain create example.net --catch-all ada@example.org\n"},
    {"domain", "list", "", CTL_BIT(LIMIT), DOMAINS, "ListDomains", build_domain_list, CTL_LIST, "domains", domain_columns, CTL_HARMLESS,
     "Show all domains", "  volaryctl domain list\n"},
    {"domain", "set", "NAME", CTL_BIT(CATCH_ALL), DOMAINS, "SetDomain", build_domain_set, CTL_RECORD, NULL, domain_columns, CTL_HARMLESS,
     "Change the catch-all of a domain",
     "  volaryctl domain set example.org --catch-all ada@example.org\n  volaryctl domain set example.org --catch-all ''\n"},
    {"domain", "delete", "NAME", CTL_BIT(CASCADE) | CTL_BIT(WAIT), DOMAINS, "DeleteDomain", build_domain_delete, CTL_DOMAIN_DELETION, NULL, deleted_domain_record, CTL_ASKS,
     "Give up a domain that has no accounts and aliases any more; with --cascade erase them first",
     "  volaryctl domain delete example.net --yes\n"
     "  volaryctl domain delete example.net --cascade --yes --wait > erasure.json\n"},

    {"account", "create", "NAME", CTL_BIT(PASSWORD_STDIN) | CTL_BIT(GENERATE) | CTL_BIT(QUOTA) | CTL_BIT(RELEASE_ADDRESS),
     ACCOUNTS, "CreateAccount", build_account_create, CTL_RECORD, NULL, new_account_record, CTL_HARMLESS,
     "Make an account; a generated password is printed once",
     "  volaryctl account create ada@example.org\n  volaryctl account create ada@example.org --quota 10GiB --output json\n"
     "  volaryctl account create ada@example.org --password-stdin < secret-file\n"},
    {"account", "list", "", CTL_BIT(LIMIT) | CTL_BIT(DOMAIN) | CTL_BIT(BYTES), ACCOUNTS, "ListAccounts", build_account_list, CTL_LIST, "accounts", account_columns, CTL_HARMLESS,
     "Show accounts", "  volaryctl account list\n  volaryctl account list --domain example.org --limit 100\n"},
    {"account", "show", "NAME", CTL_BIT(BYTES), ACCOUNTS, "GetAccount", build_account_show, CTL_RECORD, NULL, account_record, CTL_HARMLESS,
     "Show one account", "  volaryctl account show ada@example.org\n"},
    {"account", "disable", "NAME", CTL_BIT(TEXT) | CTL_BIT(BYTES), ACCOUNTS, "SetAccountState", build_account_disable, CTL_RECORD, NULL, account_record, CTL_HARMLESS,
     "End all sessions of an account and refuse new ones; mail still arrives",
     "  volaryctl account disable ada@example.org --text 'Please call the help desk'\n"},
    {"account", "enable", "NAME", CTL_BIT(BYTES), ACCOUNTS, "SetAccountState", build_account_enable, CTL_RECORD, NULL, account_record, CTL_HARMLESS,
     "Let an account sign in again", "  volaryctl account enable ada@example.org\n"},
    {"account", "password", "NAME", CTL_BIT(PASSWORD_STDIN) | CTL_BIT(GENERATE) | CTL_BIT(KEEP_APP_PASSWORDS), ACCOUNTS, "SetPassword", build_account_password, CTL_RECORD, NULL, password_record, CTL_HARMLESS,
     "Replace the password, revoke the app passwords, end all sessions; a generated one is printed once",
     "  volaryctl account password ada@example.org\n  volaryctl account password ada@example.org --password-stdin < secret-file\n"},
    {"account", "delete", "NAME", CTL_BIT(SOFT) | CTL_BIT(CASCADE) | CTL_BIT(WAIT), ACCOUNTS, "DeleteAccount", build_account_delete, CTL_DELETION, NULL, deleted_record, CTL_CONFIRMS,
     "Erase an account and all its mail; NAME may be the id of one whose address is gone",
     "  volaryctl account delete ada@example.org --soft --yes\n"
     "  volaryctl account delete ada@example.org --yes --wait > erasure.json\n"},
    {"account", "restore", "NAME", 0, ACCOUNTS, "RestoreAccount", build_account_restore, CTL_RECORD, NULL, account_record, CTL_HARMLESS,
     "Bring back a softly deleted account", "  volaryctl account restore ada@example.org\n"},

    {"alias", "create", "ALIAS TARGET...", 0, ALIASES, "CreateAlias", build_alias_create, CTL_RECORD, NULL, alias_columns, CTL_HARMLESS,
     "Deliver mail for one address to others",
     "  volaryctl alias create info@example.org ada@example.org bob@example.org\n"},
    {"alias", "list", "", CTL_BIT(LIMIT) | CTL_BIT(DOMAIN), ALIASES, "ListAliases", build_alias_list, CTL_LIST, "aliases", alias_columns, CTL_HARMLESS,
     "Show aliases", "  volaryctl alias list --domain example.org\n"},
    {"alias", "delete", "ALIAS", 0, ALIASES, "DeleteAlias", build_alias_delete, CTL_NOTHING, NULL, NULL, CTL_ASKS,
     "Remove an alias", "  volaryctl alias delete info@example.org --yes\n"},

    {"quota", "set", "NAME BYTES", CTL_BIT(BYTES), ACCOUNTS, "SetQuota", build_quota_set, CTL_RECORD, NULL, account_record, CTL_HARMLESS,
     "Limit the size of an account's mail; 0 for no limit",
     "  volaryctl quota set ada@example.org 10GiB\n  volaryctl quota set ada@example.org 0\n"},

    {"apppassword", "create", "NAME", CTL_BIT(LABEL) | CTL_BIT(PROTOCOLS) | CTL_BIT(EXPIRES_DAYS) | CTL_BIT(NETWORKS), CREDENTIALS, "CreateAppPassword", build_app_create, CTL_RECORD, NULL, secret_record, CTL_HARMLESS,
     "Make a password for one program; it is printed once",
     "  volaryctl apppassword create ada@example.org --label phone\n"
     "  volaryctl apppassword create ada@example.org --label printer --protocols smtp --expires-days 90 --networks 192.0.2.0/24\n"},
    {"apppassword", "list", "NAME", 0, CREDENTIALS, "ListAppPasswords", build_app_list, CTL_PART, "app_passwords", app_password_columns, CTL_HARMLESS,
     "Show an account's app passwords, without the secrets", "  volaryctl apppassword list ada@example.org\n"},
    {"apppassword", "delete", "NAME ID", 0, CREDENTIALS, "DeleteAppPassword", build_app_delete, CTL_NOTHING, NULL, NULL, CTL_ASKS,
     "Revoke an app password and end the sessions of the account",
     "  volaryctl apppassword delete ada@example.org 3 --yes\n"},

    {"apppassword", "require", "NAME on|off", 0, CREDENTIALS, "SetSignInPolicy", build_app_require, CTL_RECORD, NULL, account_record, CTL_HARMLESS,
     "Let mail programs sign in with app passwords only, second factor or not", "  volaryctl apppassword require ada@example.org on\n"},

    {"factor", "enroll", "NAME", CTL_BIT(NO_QR), CREDENTIALS, "EnrollFactor", build_factor_enroll, CTL_SECRET, NULL, factor_secret_record, CTL_HARMLESS,
     "Begin with a second factor: codes of an authenticator app (TOTP)",
     "  volaryctl factor enroll ada@example.org\n  volaryctl factor enroll ada@example.org --output json\n"},
    {"factor", "confirm", "NAME [CODE]", 0, CREDENTIALS, "ConfirmFactor", build_factor_confirm, CTL_CODES, NULL, NULL, CTL_HARMLESS,
     "Make it active by its first code, and print recovery codes once; mail programs then need app passwords",
     "  volaryctl factor confirm ada@example.org 123456\n"},
    {"factor", "verify", "NAME [CODE]", 0, CREDENTIALS, "VerifyFactor", build_factor_verify, CTL_RECORD, NULL, factor_check_record, CTL_HARMLESS,
     "Check a code, which is used up by it; exit 9 when it does not hold", "  volaryctl factor verify ada@example.org 123456\n"},
    {"factor", "list", "NAME", 0, CREDENTIALS, "ListFactors", build_factor_list, CTL_PART, "factors", factor_columns, CTL_HARMLESS,
     "Show an account's second factor", "  volaryctl factor list ada@example.org\n"},
    {"factor", "codes", "NAME [CODE]", CTL_BIT(OVERRIDE), CREDENTIALS, "RenewRecoveryCodes", build_factor_codes, CTL_CODES, NULL, NULL, CTL_HARMLESS,
     "Print new recovery codes once; the old ones end", "  volaryctl factor codes ada@example.org 123456\n"},
    {"factor", "disable", "NAME [CODE]", CTL_BIT(OVERRIDE), CREDENTIALS, "DisableFactor", build_factor_disable, CTL_NOTHING, NULL, NULL, CTL_ASKS,
     "Remove the second factor, by a code, a recovery code or as an administrator",
     "  volaryctl factor disable ada@example.org 123456\n"
     "  volaryctl factor disable ada@example.org --override --reason 'phone lost, ticket 7'\n"},

    {"login", "list", "NAME", CTL_BIT(LIMIT) | CTL_BIT(IP) | CTL_BIT(RESULT) | CTL_BIT(SINCE), CREDENTIALS, "ListLogins", build_login_list, CTL_LIST, "logins", login_columns, CTL_HARMLESS,
     "Show who signed in as an account, or tried to; '-' is for names without an account",
     "  volaryctl login list ada@example.org\n  volaryctl login list ada@example.org --result badpassword --since 2h --ip 192.0.2.0/24\n  volaryctl login list - --limit 100\n"},
    {"login", "networks", "NAME", CTL_BIT(LIMIT), CREDENTIALS, "ListLoginNetworks", build_login_networks, CTL_LIST, "networks", network_columns, CTL_HARMLESS,
     "Show from which networks an account is used or attacked, also what login list has dropped", "  volaryctl login networks ada@example.org\n"},

    {"audit", "list", "", CTL_BIT(LIMIT) | CTL_BIT(FROM), AUDIT, "ListAudit", build_audit_list, CTL_LIST, "records", audit_columns, CTL_HARMLESS,
     "Show the audit records", "  volaryctl audit list --from 1 --limit 20\n"},
    {"audit", "verify", "[FILE]", CTL_BIT(KEY), AUDIT, "VerifyAudit", build_empty, CTL_CHAIN, NULL, verify_record, CTL_HARMLESS,
     "Check the chain of audit records; exit 9 when it is broken. With an export, '-' for standard input, no server is asked",
     "  volaryctl audit verify\n  volaryctl audit verify audit.jsonl --key cluster-a.key\n"},
    {"audit", "export", "", CTL_BIT(LIMIT) | CTL_BIT(FROM), AUDIT, "ListAudit", build_audit_export, CTL_LINES, "records", audit_columns, CTL_HARMLESS,
     "Write the audit records as lines of JSON that can be checked without the cluster", "  volaryctl audit export > audit.jsonl\n"},

    {"cluster", "status", "", 0, CLUSTER, "GetStatus", build_empty, CTL_RECORD, "members", status_record, CTL_HARMLESS,
     "Show the cluster and its members", "  volaryctl cluster status\n"},
    {"member", "list", "", 0, CLUSTER, "GetStatus", build_empty, CTL_PART, "members", member_columns, CTL_HARMLESS,
     "Show the members of all groups", "  volaryctl member list\n"},
    {"member", "add", "NODE", CTL_BIT(GROUP) | CTL_BIT(LINK) | CTL_BIT(RAFT) | CTL_BIT(TICKET) | CTL_BIT(WAIT),
     MEMBERS, "AddMember", build_member_add, CTL_MEMBER, NULL, new_member_record, CTL_HARMLESS,
     "Add a member to a group: a ticket for its empty directory; it votes once it has caught up",
     "  volaryctl member add meta-d --group meta --link tcp://192.0.2.4:7070 --raft tcp://192.0.2.4:7071 --ticket meta-d.ticket\n"
     "  volaryctl member add shard-1-d --group 1 --link tcp://192.0.2.4:7210 --raft tcp://192.0.2.4:7211 --ticket shard-1-d.ticket\n"},
    {"member", "remove", "NODE", CTL_BIT(GROUP) | CTL_BIT(WAIT),
     MEMBERS, "RemoveMember", build_member_remove, CTL_MEMBER, NULL, removed_member_record, CTL_CONFIRMS,
     "Remove a member from its group for good, or give up adding it", "  volaryctl member remove shard-1-d --yes --wait\n"},
    {"member", "replace", "NODE", CTL_BIT(GROUP) | CTL_BIT(WITH) | CTL_BIT(LINK) | CTL_BIT(RAFT) | CTL_BIT(TICKET) | CTL_BIT(WAIT),
     MEMBERS, "AddMember", build_member_replace, CTL_MEMBER, NULL, new_member_record, CTL_CONFIRMS,
     "Replace a member, such as one whose disk is lost: a new one is added, then the old one removed",
     "  volaryctl member replace shard-1-a --with shard-1-d --link tcp://192.0.2.4:7210 --raft tcp://192.0.2.4:7211 --ticket shard-1-d.ticket --yes\n"},
    {"slot", "list", "", 0, CLUSTER, "ListSlots", build_empty, CTL_PART, "slots", slot_columns, CTL_HARMLESS,
     "Show which group owns which slots", "  volaryctl slot list\n"},

    {"job", "list", "", CTL_BIT(LIMIT), JOBS, "ListJobs", build_job_list, CTL_LIST, "jobs", job_columns, CTL_HARMLESS, "Show long work and how far it is", "  volaryctl job list\n"},
    {"job", "show", "ID", 0, JOBS, "GetJob", build_job_watch, CTL_RECORD, "steps", job_record, CTL_HARMLESS, "Show one piece of work, who takes part in it and how far each is", "  volaryctl job show 7\n"},
    {"job", "watch", "ID", 0, JOBS, "GetJob", build_job_watch, CTL_JOB, NULL, job_columns, CTL_HARMLESS, "Follow one piece of work to its end", "  volaryctl job watch 7\n"},
    {"certificate", "verify", "FILE", CTL_BIT(KEY), JOBS, "VerifyCertificate", build_certificate_verify, CTL_CHECK, NULL, certificate_record, CTL_HARMLESS,
     "Check a certificate of erasure; exit 9 when it does not hold. With --key no server is asked",
     "  volaryctl certificate verify erasure.json\n  volaryctl certificate verify erasure.json --key cluster-a.key\n"},
    {"certificate", "key", "", 0, JOBS, "GetCertificateKey", build_empty, CTL_RECORD, NULL, certificate_key_record, CTL_HARMLESS,
     "Show the public key that this cluster signs certificates with; keep it where the cluster is not",
     "  volaryctl certificate key > cluster-a.key\n"},
};
/* clang-format on */
const size_t ctl_command_count = VY_COUNT_OF(ctl_commands);

const struct ctl_command *ctl_command_find(struct vy_bytes noun, struct vy_bytes verb)
{
    for (size_t i = 0; i < ctl_command_count; i++) {
        if (vy_bytes_equal(noun, vy_cstr(ctl_commands[i].noun)) &&
            (verb.len == 0 || vy_bytes_equal(verb, vy_cstr(ctl_commands[i].verb)))) {
            return &ctl_commands[i];
        }
    }
    return NULL;
}

const struct vy_pb_method *ctl_command_method(const struct ctl_command *command)
{
    for (size_t i = 0; command->service != NULL && i < admin_method_count; i++) {
        if (strcmp(admin_methods[i].service, command->service) == 0 &&
            strcmp(admin_methods[i].method, command->method) == 0) {
            return &admin_methods[i];
        }
    }
    return NULL;
}

bool ctl_command_writes(const struct ctl_command *command)
{
    const struct vy_pb_method *method = ctl_command_method(command);
    for (size_t i = 0; method != NULL && i < method->request->field_count; i++) {
        if (method->request->fields[i].desc == &admin_write_options_desc) {
            return true;
        }
    }
    return false;
}
