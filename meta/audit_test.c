/* SPDX-License-Identifier: Apache-2.0 */
/* The audit chain where people meet it: listed, filtered, exported, and checked without a server
 * (P9, LOGIN-4). What is committed when: login_test.c; the chain itself: fsm_test.c. */
#include "base/assert.h"
#include "base/codec.h"
#include "meta/audit_file.h"
#include "meta/certificate.h"
#include "meta/login_fixture.h"
#include "meta/meta_private.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- an export, as volaryctl writes it ---- */

#define LINES_MAX 64U

struct export
{
    char *lines[LINES_MAX]; /* owned; the last one is the checkpoint */
    size_t count;
};

static char *dup_bytes(struct vy_bytes bytes)
{
    char *text = malloc(bytes.len + 1);
    assert_non_null(text);
    memcpy(text, bytes.data, bytes.len);
    text[bytes.len] = '\0';
    return text;
}

static char *make_line(const struct admin_audit_record *record)
{
    struct vy_buf line;
    vy_buf_init(&line, AUDIT_FILE_LINE_BYTES_MAX);
    vy_buf_printf(&line, "{\"sequence\":%llu,\"time_ms\":%llu,\"actor\":\"%.*s\",\"hash\":\"%.*s\"",
                  (unsigned long long)record->sequence, (unsigned long long)record->time_ms,
                  VY_PRI(record->actor), VY_PRI(record->hash));
    vy_buf_append_cstr(&line, ",\"row\":\"");
    vy_base64_encode(&line, record->row);
    vy_buf_append_cstr(&line, "\"}");
    char *text = dup_bytes(vy_buf_bytes(&line));
    vy_buf_deinit(&line);
    return text;
}

static void add_checkpoint(struct fixture *f, struct export *export, uint64_t sequence)
{
    uint8_t hash[32];
    struct vy_buf text;
    vy_buf_init(&text, 16U * 1024 * 1024);
    for (size_t i = 0; i < export->count; i++) {
        vy_buf_append_cstr(&text, export->lines[i]);
        vy_buf_append_byte(&text, '\n');
    }
    SHA256(vy_buf_bytes(&text).data, vy_buf_len(&text), hash);
    vy_buf_deinit(&text);
    const struct admin_get_checkpoint_request request = {
        .sequence = sequence, .export_sha256 = vy_bytes(hash, sizeof(hash))};
    struct admin_audit_checkpoint reply;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AuditService", "GetCheckpoint", &request, &reply)));
    export->lines[export->count++] =
        dup_bytes(vy_bytes_slice(reply.text, 0, reply.text.len - 1)); /* without its line end */
}

static void make_export(struct fixture *f, uint64_t from, struct export *export)
{
    const struct admin_list_audit_request request = {.from_sequence = from, .with_rows = true};
    struct admin_list_audit_reply reply;
    *export = (struct export){.count = 0};
    assert_false(
        vy_failed(meta_local_admin(f->local, "AuditService", "ListAudit", &request, &reply)));
    assert_in_range(reply.records_count, 5, LINES_MAX - 1);
    for (size_t i = 0; i < reply.records_count; i++) {
        export->lines[export->count++] = make_line(&reply.records[i]);
    }
    add_checkpoint(f, export, reply.records[reply.records_count - 1].sequence);
}

static void free_export(struct export *export)
{
    for (size_t i = 0; i < export->count; i++) {
        free(export->lines[i]);
    }
}

static struct audit_file_result check(const struct export *export, struct vy_bytes key)
{
    struct audit_file *file = NULL;
    struct audit_file_result result;
    assert_false(vy_failed(audit_file_new(&file)));
    for (size_t i = 0; i < export->count; i++) {
        audit_file_line(file, vy_cstr(export->lines[i]));
    }
    audit_file_finish(file, key, &result);
    audit_file_free(file);
    return result;
}

static void public_key(struct fixture *f, uint8_t out[CERTIFICATE_KEY_BYTES])
{
    struct replica_identity identity;
    f->local->group->ops->get_identity(f->local->group, &identity);
    assert_false(vy_failed(certificate_public_key(
        f->local->key, vy_bytes(identity.cluster_id, sizeof(identity.cluster_id)), out)));
}

static void fill(struct fixture *f)
{
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(login(f, "ada@d.test", f->generated), LOGIN_RESULT_OK);
        fake_clock_advance_ms(&f->local->clock, 1000);
    }
    assert_int_equal(login(f, "nobody@d.test", "wrong password"), LOGIN_RESULT_REFUSED);
}

/* ---- checked anywhere ---- */

static void p9_an_export_is_checked_without_the_cluster(void **state)
{
    struct fixture *f = *state;
    struct export export;
    uint8_t key[CERTIFICATE_KEY_BYTES];
    fill(f);
    public_key(f, key);
    make_export(f, 1, &export);
    struct audit_file_result result = check(&export, vy_bytes(key, sizeof(key)));
    assert_true(result.is_intact);
    assert_int_equal(result.signature, AUDIT_FILE_SIGNATURE_GOOD);
    assert_int_equal(result.record_count, export.count - 1);
    assert_int_equal(result.first_sequence, 1);
    assert_int_equal(result.last_sequence, export.count - 1);
    result = check(&export, vy_bytes(NULL, 0));
    assert_true(result.is_intact);
    assert_int_equal(result.signature, AUDIT_FILE_SIGNATURE_NOT_CHECKED);
    key[0] ^= 1;
    result = check(&export, vy_bytes(key, sizeof(key)));
    assert_false(result.is_intact);
    assert_int_equal(result.signature, AUDIT_FILE_SIGNATURE_BAD);
    free_export(&export);
}

static void a_part_of_the_chain_is_checked_from_its_first_record_on(void **state)
{
    struct fixture *f = *state;
    struct export export;
    uint8_t key[CERTIFICATE_KEY_BYTES];
    fill(f);
    public_key(f, key);
    make_export(f, 3, &export);
    const struct audit_file_result result = check(&export, vy_bytes(key, sizeof(key)));
    assert_true(result.is_intact);
    assert_int_equal(result.first_sequence, 3);
    free_export(&export);
}

static char *replace(const char *text, const char *what, const char *with)
{
    const char *at = strstr(text, what);
    struct vy_buf buf;
    assert_non_null(at);
    vy_buf_init(&buf, AUDIT_FILE_LINE_BYTES_MAX);
    vy_buf_append(&buf, vy_bytes(text, (size_t)(at - text)));
    vy_buf_append_cstr(&buf, with);
    vy_buf_append_cstr(&buf, at + strlen(what));
    char *out = dup_bytes(vy_buf_bytes(&buf));
    vy_buf_deinit(&buf);
    return out;
}

static void drop_line(struct export *export, size_t index)
{
    free(export->lines[index]);
    for (size_t i = index; i + 1 < export->count; i++) {
        export->lines[i] = export->lines[i + 1];
    }
    export->count--;
}

static void set_line(struct export *export, size_t index, char *line)
{
    free(export->lines[index]);
    export->lines[index] = line;
}

static void swap_rows(struct export *export)
{
    char *line = export->lines[1];
    export->lines[1] = export->lines[2];
    export->lines[2] = line;
}
static void change_actor(struct export *export)
{
    set_line(export, 1, replace(export->lines[1], "\"actor\":\"", "\"actor\":\"x"));
}
static void change_time(struct export *export)
{
    set_line(export, 1, replace(export->lines[1], "\"time_ms\":", "\"time_ms\":1"));
}
static void change_hash(struct export *export)
{
    char *hash = strstr(export->lines[1], "\"hash\":\"") + 8;
    hash[0] = hash[0] == '0' ? '1' : '0';
}
static void change_row(struct export *export)
{
    char *row = strstr(export->lines[2], "\"row\":\"") + 40;
    row[0] = row[0] == 'A' ? 'B' : 'A';
}
static void remove_record(struct export *export)
{
    drop_line(export, 1);
}
static void remove_first(struct export *export)
{
    drop_line(export, 0);
}
static void remove_last(struct export *export)
{
    drop_line(export, export->count - 2);
}
static void remove_end(struct export *export)
{
    drop_line(export, export->count - 1);
}
static void double_record(struct export *export)
{
    export->lines[export->count] = export->lines[export->count - 1];
    export->lines[export->count - 1] = dup_bytes(vy_cstr(export->lines[export->count - 2]));
    export->count++;
}
static void add_behind_the_end(struct export *export)
{
    export->lines[export->count++] = dup_bytes(vy_cstr(export->lines[0]));
}
static void add_nothing(struct export *export)
{
    export->lines[export->count++] = dup_bytes(VY_LIT(""));
}

static void p9_whatever_is_done_to_an_export_shows(void **state)
{
    struct fixture *f = *state;
    static void (*const changes[])(struct export *) = {
        swap_rows,    change_actor, change_time, change_hash,   change_row,         remove_record,
        remove_first, remove_last,  remove_end,  double_record, add_behind_the_end, add_nothing};
    fill(f);
    for (size_t i = 0; i < VY_COUNT_OF(changes); i++) {
        struct export export;
        make_export(f, 1, &export);
        changes[i](&export);
        const struct audit_file_result result =
            check(&export, vy_bytes(NULL, 0)); /* by hashes alone */
        assert_false(result.is_intact);
        assert_int_not_equal(result.bad_sequence, 0);
        assert_non_null(result.reason);
        free_export(&export);
    }
}

static void what_is_no_export_is_said_to_be_none(void **state)
{
    static const char *const lines[] = {
        "", "x", "{}", "[{\"sequence\":1}]",
        "{\"sequence\":1,\"time_ms\":1,\"hash\":\"00\",\"row\":\"!\"}"};
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(lines); i++) {
        struct export export = {.count = 1};
        export.lines[0] = dup_bytes(vy_cstr(lines[i]));
        assert_false(check(&export, vy_bytes(NULL, 0)).is_intact);
        free_export(&export);
    }
}

static void a_checkpoint_is_of_a_record_that_is_there(void **state)
{
    struct fixture *f = *state;
    static const uint8_t hash[32] = {0};
    const struct admin_get_checkpoint_request request = {
        .sequence = 1000, .export_sha256 = vy_bytes(hash, sizeof(hash))};
    const struct admin_get_checkpoint_request bad = {.sequence = 1};
    struct admin_audit_checkpoint reply;
    assert_int_equal(
        meta_local_admin(f->local, "AuditService", "GetCheckpoint", &request, &reply).code,
        VY_CODE_NOT_FOUND);
    assert_int_equal(meta_local_admin(f->local, "AuditService", "GetCheckpoint", &bad, &reply).code,
                     VY_CODE_ARGUMENT);
}

/* ---- deleted accounts (P8, acceptance 1.1 e) ---- */

static void erase_account(struct fixture *f, const char *account)
{
    char token[64];
    const struct admin_prepare_delete_request prepare = {.account = vy_cstr(account)};
    struct admin_prepare_delete_reply prepared;
    struct admin_delete_account_reply deleted;
    assert_false(vy_failed(
        meta_local_admin(f->local, "AccountService", "PrepareDelete", &prepare, &prepared)));
    (void)snprintf(token, sizeof(token), "%.*s", VY_PRI(prepared.token));
    const struct admin_delete_account_request request = {.account = vy_cstr(account),
                                                         .token = vy_cstr(token)};
    assert_false(vy_failed(
        meta_local_admin(f->local, "AccountService", "DeleteAccount", &request, &deleted)));
}

/* Records of sign-ins whose actor is this. */
static size_t count_actors(struct fixture *f, const char *actor)
{
    const struct admin_list_audit_request request = {.from_sequence = 1, .limit = 1000};
    struct admin_list_audit_reply reply;
    size_t count = 0;
    assert_false(
        vy_failed(meta_local_admin(f->local, "AuditService", "ListAudit", &request, &reply)));
    for (size_t i = 0; i < reply.records_count; i++) {
        const struct admin_audit_record *record = &reply.records[i];
        const bool is_login = vy_bytes_equal(record->action, VY_LIT("login"));
        count += is_login && vy_bytes_equal(record->actor, vy_cstr(actor)) ? 1 : 0;
        assert_true(!is_login || !vy_bytes_equal(record->actor, VY_LIT("(erased)")) ||
                    (record->subject.len == 0 &&
                     vy_bytes_find(record->detail, VY_LIT("192.0.2"), 0) == SIZE_MAX));
    }
    return count;
}

static void p8_deleting_an_account_pseudonymises_its_records_and_drops_none(void **state)
{
    struct fixture *f = *state;
    struct export export;
    fill(f); /* three sign-ins of ada, one of nobody */
    const uint64_t before = audit_count(f);
    assert_int_equal(count_actors(f, "ada@d.test"), 3);
    erase_account(f, "ada@d.test");
    assert_true(audit_count(f) > before); /* the delete is in the chain, and all that was */
    assert_int_equal(count_actors(f, "ada@d.test"), 0);
    assert_int_equal(count_actors(f, "(erased)"), 3);
    assert_int_equal(count_actors(f, "nobody@d.test"), 1);
    make_export(f, 1, &export); /* and can still be checked by whoever has a copy */
    assert_true(check(&export, vy_bytes(NULL, 0)).is_intact);
    free_export(&export);
}

/* ---- login list: filters (LOGIN-4) ---- */

static void sign_in_from(struct fixture *f, const char *ip, const char *password)
{
    const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                          .mechanism = LOGIN_MECHANISM_PLAIN,
                                          .typed_name = VY_LIT("ada@d.test"),
                                          .remote_ip = vy_cstr(ip)};
    struct login_reply reply;
    assert_false(vy_failed(meta_local_login_as(f->local, &context, password, &reply)));
}

static size_t count_logins(struct fixture *f, const char *ip, const char *result, uint64_t since_ms)
{
    size_t total = 0;
    char next[128] = "";
    do {
        const struct admin_page_options page = {.limit = 3, .after = vy_cstr(next)};
        const struct admin_list_logins_request request = {.account = VY_LIT("ada@d.test"),
                                                          .page = &page,
                                                          .remote_ip = vy_cstr(ip),
                                                          .result = vy_cstr(result),
                                                          .since_ms = since_ms};
        struct admin_list_logins_reply reply;
        assert_false(vy_failed(
            meta_local_admin(f->local, "CredentialService", "ListLogins", &request, &reply)));
        total += reply.logins_count;
        (void)snprintf(next, sizeof(next), "%.*s", VY_PRI(reply.next));
    } while (next[0] != '\0');
    return total;
}

static void login4_lists_are_filtered_by_address_result_and_time(void **state)
{
    struct fixture *f = *state;
    char ip[32];
    for (unsigned i = 0; i < 8; i++) {
        (void)snprintf(ip, sizeof(ip), i < 4 ? "192.0.2.%u" : "198.51.100.%u", i);
        sign_in_from(f, ip, i % 2 == 0 ? f->generated : "wrong password");
        fake_clock_advance_ms(&f->local->clock, 1000);
    }
    const uint64_t half_ms = f->local->clock.wall_ms - 4000;
    assert_int_equal(count_logins(f, "", "", 0), 8);
    assert_int_equal(count_logins(f, "192.0.2.0/24", "", 0), 4);
    assert_int_equal(count_logins(f, "192.0.2.1", "", 0), 1);
    assert_int_equal(count_logins(f, "2001:db8::/32", "", 0), 0);
    assert_int_equal(count_logins(f, "", "ok", 0), 4);
    assert_int_equal(count_logins(f, "", "badpassword", 0), 4);
    assert_int_equal(count_logins(f, "192.0.2.0/24", "badpassword", 0), 2);
    assert_int_equal(count_logins(f, "", "", half_ms), 4);
    assert_int_equal(count_logins(f, "192.0.2.0/24", "", half_ms), 0);
}

static void filters_that_are_none_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct admin_list_logins_request requests[] = {
        {.account = VY_LIT("ada@d.test"), .remote_ip = VY_LIT("192.0.2.0/33")},
        {.account = VY_LIT("ada@d.test"), .result = VY_LIT("bad")            },
        {.account = VY_LIT("ada@d.test"), .result = VY_LIT("error")          }
    };
    for (size_t i = 0; i < VY_COUNT_OF(requests); i++) {
        struct admin_list_logins_reply reply;
        assert_int_equal(
            meta_local_admin(f->local, "CredentialService", "ListLogins", &requests[i], &reply)
                .code,
            VY_CODE_ARGUMENT);
    }
}

/* LOGIN-2: 30 days, whether the rows are removed yet or not. */
static void login2_records_of_30_days_ago_are_not_shown(void **state)
{
    struct fixture *f = *state;
    sign_in_from(f, "192.0.2.1", f->generated);
    assert_int_equal(count_logins(f, "", "", 0), 1);
    fake_clock_advance_ms(&f->local->clock, META_LOGIN_KEEP_MS);
    assert_int_equal(count_logins(f, "", "", 0), 1);
    fake_clock_advance_ms(&f->local->clock, 1);
    assert_int_equal(count_logins(f, "", "", 0), 0);
}

static size_t count_family(struct fixture *f, unsigned family)
{
    const struct meta_view view = {.reader = store_newest(f->local->store),
                                   .arena = &f->local->arena};
    const struct table_page page = {.family = family, .rows_max = 10000};
    struct table_rows rows;
    assert_false(vy_failed(table_read_page(&view, &page, &rows)));
    return rows.count;
}

/* Rows of accounts that nobody signs in to any more go too: after 30 days, networks after 90. The
 * chain keeps all of it. */
static void login2_what_is_too_old_is_removed_everywhere(void **state)
{
    struct fixture *f = *state;
    char ip[32];
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(ip, sizeof(ip), "10.1.%u.%u", i / 250, i % 250);
        sign_in_from(f, ip, f->generated);
    }
    assert_int_equal(login(f, "bob@d.test", CHOSEN), LOGIN_RESULT_OK);
    assert_int_equal(login(f, "nobody@d.test", "wrong password"), LOGIN_RESULT_REFUSED);
    const uint64_t records = audit_count(f);
    assert_int_equal(count_family(f, META_FAMILY_LOGIN_TIME), 302);
    assert_int_equal(count_family(f, META_FAMILY_LOGIN_NET), 4);
    meta_local_run_ms(f->local, 60 * 1000);
    assert_int_equal(count_family(f, META_FAMILY_LOGIN_TIME), 302);
    fake_clock_advance_ms(&f->local->clock, META_LOGIN_KEEP_MS);
    assert_int_equal(login(f, "bob@d.test", CHOSEN), LOGIN_RESULT_OK); /* his row is fresh again */
    meta_local_run_ms(f->local, 120 * 1000);
    assert_int_equal(count_family(f, META_FAMILY_LOGIN_TIME), 1);
    assert_int_equal(count_family(f, META_FAMILY_LOGIN_NET), 4);
    fake_clock_advance_ms(&f->local->clock, META_LOGIN_NET_KEEP_MS - META_LOGIN_KEEP_MS);
    meta_local_run_ms(f->local, 120 * 1000);
    assert_int_equal(count_family(f, META_FAMILY_LOGIN_NET), 1);
    assert_int_equal(audit_count(f), records + 1);
}

/* ---- login networks ---- */

static void login4_networks_are_listed(void **state)
{
    struct fixture *f = *state;
    const struct admin_list_login_networks_request request = {.account = VY_LIT("ada@d.test")};
    struct admin_list_login_networks_reply reply;
    sign_in_from(f, "192.0.2.1", f->generated);
    sign_in_from(f, "192.0.2.2", "wrong password");
    sign_in_from(f, "2001:db8::7", "wrong password");
    assert_false(vy_failed(
        meta_local_admin(f->local, "CredentialService", "ListLoginNetworks", &request, &reply)));
    assert_int_equal(reply.networks_count, 2);
    const struct admin_login_network *home = &reply.networks[0];
    const struct admin_login_network *other = &reply.networks[1];
    if (!vy_bytes_equal(home->network, VY_LIT("192.0.2.0/24"))) {
        home = &reply.networks[1];
        other = &reply.networks[0];
    }
    assert_true(vy_bytes_equal(home->network, VY_LIT("192.0.2.0/24")));
    assert_int_equal(home->ok_count, 1);
    assert_int_equal(home->failed_count, 1);
    assert_true(vy_bytes_equal(other->network, VY_LIT("2001:db8::/64")));
    assert_int_equal(other->last_ok_ms, 0);
}

/* LOGIN-4's trap: spraying must not wash away what was seen; and the table has a bound. */
static void login4_networks_beyond_the_limit_are_gathered_and_push_nobody_out(void **state)
{
    struct fixture *f = *state;
    size_t total = 0;
    uint64_t other_count = 0;
    char next[128] = "";
    char ip[32];
    const uint8_t tag[32] = {0};
    for (unsigned i = 0; i < META_LOGIN_NETS_MAX + 50; i++) {
        (void)snprintf(ip, sizeof(ip), "10.%u.%u.1", i / 250, i % 250);
        const struct login_context context = {.protocol = LOGIN_PROTOCOL_IMAP,
                                              .mechanism = LOGIN_MECHANISM_PLAIN,
                                              .typed_name = VY_LIT("ada@d.test"),
                                              .remote_ip = vy_cstr(ip)};
        const struct login_request request = {.context = &context,
                                              .argon2_tag = vy_bytes(tag, sizeof(tag))};
        struct login_reply reply;
        assert_false(vy_failed(meta_local_call(f->local, METHOD_META_LOGIN, &login_request_desc,
                                               &request, &login_reply_desc, &reply)));
    }
    sign_in_from(f, "192.0.2.1", f->generated); /* nobody who has a password is turned away */
    do {
        const struct admin_page_options page = {.limit = 100, .after = vy_cstr(next)};
        const struct admin_list_login_networks_request request = {.account = VY_LIT("ada@d.test"),
                                                                  .page = &page};
        struct admin_list_login_networks_reply reply;
        assert_false(vy_failed(meta_local_admin(f->local, "CredentialService", "ListLoginNetworks",
                                                &request, &reply)));
        for (size_t i = 0; i < reply.networks_count; i++) {
            other_count += vy_bytes_equal(reply.networks[i].network, VY_LIT("other"))
                               ? reply.networks[i].failed_count
                               : 0;
        }
        total += reply.networks_count;
        (void)snprintf(next, sizeof(next), "%.*s", VY_PRI(reply.next));
    } while (next[0] != '\0');
    assert_int_equal(total, META_LOGIN_NETS_MAX + 1 + 1);
    assert_int_equal(other_count, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p9_an_export_is_checked_without_the_cluster),
        TEST(a_part_of_the_chain_is_checked_from_its_first_record_on),
        TEST(p9_whatever_is_done_to_an_export_shows),
        TEST(what_is_no_export_is_said_to_be_none),
        TEST(a_checkpoint_is_of_a_record_that_is_there),
        TEST(p8_deleting_an_account_pseudonymises_its_records_and_drops_none),
        TEST(login4_lists_are_filtered_by_address_result_and_time),
        TEST(filters_that_are_none_are_refused),
        TEST(login2_records_of_30_days_ago_are_not_shown),
        TEST(login2_what_is_too_old_is_removed_everywhere),
        TEST(login4_networks_are_listed),
        TEST(login4_networks_beyond_the_limit_are_gathered_and_push_nobody_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
