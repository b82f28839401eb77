/* SPDX-License-Identifier: Apache-2.0 */
/* APPEND and delivery: what comes in is stored whole, once, for everybody or for nobody. */
#include "mail/flags.h"
#include "mail/uidset.h"
#include "shard/ingest.h"
#include "shard/reads_fixture.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"
#include <stdlib.h>

static struct reads r;
static const uint8_t some_key[16] = "key of a command";

static int set_up(void **state)
{
    (void)state;
    reads_init(&r);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    reads_deinit(&r);
    return 0;
}

static size_t rows(enum shard_family family)
{
    return shard_machine_count_rows(&r.local->machine, family);
}

static void assert_bytes(struct vy_bytes a, struct vy_bytes b)
{
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, b.len);
}

/* As another account reads its INBOX. */
static struct vy_bytes whole_of(uint64_t account_id, uint32_t uid)
{
    const struct reads own = r;
    const struct mailbox_list_request list = {.actor = shard_local_actor(r.local, account_id, 1),
                                              .only_name = VY_LIT("INBOX")};
    struct mailbox_list_reply reply;

    assert_false(vy_failed(shard_local_call(r.local, METHOD_SHARD_MAILBOX_LIST, NULL, &list,
                                            vy_bytes(NULL, 0), &reply, NULL)));
    assert_int_equal(reply.mailboxes_count, 1);
    r.actor = list.actor;
    r.mailbox_id = reply.mailboxes[0].mailbox_id;
    const struct vy_bytes whole = reads_whole(&r, uid);
    r.actor = own.actor;
    r.mailbox_id = own.mailbox_id;
    return whole;
}

/* ---- APPEND ---- */

static void p4_bytes_come_back_at_every_size(void **state)
{
    static const size_t sizes[] = {1,      95,     96,     97,     4095,   4096,   16384,  16385,
                                   262143, 262144, 262145, 524288, 524289, 800000, 3000000};
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(sizes); i++) {
        const struct vy_bytes message = reads_random_bytes(&r, &r.local->rng.base, sizes[i]);
        const uint32_t uid = reads_append(&r, message);
        assert_bytes(reads_whole(&r, uid), message);
    }
    assert_int_equal(rows(SHARD_STAGE), 0);
}

static void p4_generated_messages_come_back_whole_and_in_halves(void **state)
{
    const struct fetch_section halves[] = {{.kind = MAIL_SECTION_HEADER},
                                           {.kind = MAIL_SECTION_TEXT}};
    (void)state;
    for (int i = 0; i < 300; i++) {
        const struct vy_bytes message = reads_generate(&r, &r.local->rng.base);
        const uint32_t uid = reads_append(&r, message);
        const struct message_fetch_request request = {
            .uids = reads_uids(&r, uid, uid),
            .columns = FETCH_COLUMN_SIZE | FETCH_COLUMN_BODYSTRUCTURE | FETCH_COLUMN_ENVELOPE,
            .sections_count = 2,
            .sections = halves};
        assert_bytes(reads_whole(&r, uid), message);
        assert_false(vy_failed(reads_fetch(&r, &request)));
        const struct reads_message *got = &r.fetched->messages[0];
        assert_int_equal(got->size_bytes, message.len);
        assert_int_equal(got->sections[0].bytes.len + got->sections[1].bytes.len, message.len);
        assert_memory_equal(got->sections[0].bytes.data, message.data, got->sections[0].bytes.len);
        assert_true(got->texts[FETCH_TEXT_BODYSTRUCTURE].len > 0);
    }
}

static void a_message_may_come_byte_by_byte(void **state)
{
    const struct vy_bytes message = VY_LIT("Subject: slow\r\n\r\nline\r\n");
    const struct append_message one = {.size_bytes = message.len};
    const struct message_append_request request = {
        .actor = r.actor, .mailbox_name = VY_LIT("INBOX"), .messages_count = 1, .messages = &one};
    struct shard_local_call call;

    (void)state;
    reads_append_cstr(&r, "Subject: first\r\n\r\n");
    shard_local_begin(r.local, &call, METHOD_SHARD_MESSAGE_APPEND, NULL, &request);
    for (size_t i = 0; i < message.len; i++) {
        service_call_data(call.call, vy_bytes_slice(message, i, 1));
        shard_local_run(r.local);
    }
    assert_false(call.is_ended); /* I21: nothing before the stream's end */
    assert_int_equal(rows(SHARD_EMAIL), 1);
    service_call_data_end(call.call);
    shard_local_run(r.local);
    assert_true(call.is_ended);
    assert_int_equal(call.err.code, VY_CODE_OK);
    shard_local_end(&call);
    assert_bytes(reads_whole(&r, 2), message);
}

static void i21_a_client_that_is_gone_has_stored_nothing(void **state)
{
    const struct append_message one = {.size_bytes = 20};
    const struct message_append_request request = {
        .actor = r.actor, .mailbox_name = VY_LIT("INBOX"), .messages_count = 1, .messages = &one};
    struct shard_local_call call;

    (void)state;
    shard_local_begin(r.local, &call, METHOD_SHARD_MESSAGE_APPEND, NULL, &request);
    service_call_data(call.call, VY_LIT("12345678901234567890"));
    shard_local_run(r.local);
    service_call_cancel(call.call);
    shard_local_run(r.local);
    assert_int_equal(call.err.code, VY_CODE_CANCELLED);
    shard_local_end(&call);
    assert_int_equal(rows(SHARD_EMAIL) + rows(SHARD_BODY), 0);
}

static void a_stream_of_another_length_is_refused(void **state)
{
    static const uint64_t sizes[] = {5, 7};
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(sizes); i++) {
        const struct append_message one = {.size_bytes = sizes[i]};
        const struct message_append_request request = {.messages_count = 1, .messages = &one};
        assert_int_equal(reads_append_as(&r, &request, VY_LIT("sixsix"), NULL).code,
                         VY_CODE_ARGUMENT);
    }
    assert_int_equal(rows(SHARD_EMAIL), 0);
}

static void m6_headers_over_their_limits_are_refused(void **state)
{
    VY_CLEANUP(vy_buf_deinit) struct vy_buf text;
    (void)state;
    vy_buf_init(&text, 1U << 20);
    for (int i = 0; i <= 1000; i++) {
        vy_buf_append_cstr(&text, "X: y\r\n");
    }
    const struct append_message one = {.size_bytes = vy_buf_len(&text)};
    const struct message_append_request request = {.messages_count = 1, .messages = &one};
    assert_int_equal(reads_append_as(&r, &request, vy_buf_bytes(&text), NULL).code, VY_CODE_LIMIT);
    assert_int_equal(rows(SHARD_EMAIL) + rows(SHARD_BODY), 0);
}

static void flags_keywords_and_date_are_kept(void **state)
{
    const struct vy_bytes keywords[] = {VY_LIT("$Junk"), VY_LIT("later")};
    const struct append_message one = {.size_bytes = 4,
                                       .flags = MAIL_FLAG_SEEN | MAIL_FLAG_RECENT,
                                       .keywords_count = 2,
                                       .keywords = keywords,
                                       .internal_ms = 1234567000,
                                       .internal_zone_minutes = -90};
    const struct message_append_request request = {.messages_count = 1, .messages = &one};
    struct message_append_reply reply;
    (void)state;
    assert_int_equal(reads_append_as(&r, &request, VY_LIT("text"), &reply).code, VY_CODE_OK);
    r.mailbox_id = reply.mailbox_id;
    assert_false(
        vy_failed(reads_fetch(&r, &(struct message_fetch_request){
                                      .columns = FETCH_COLUMN_FLAGS | FETCH_COLUMN_INTERNALDATE})));
    assert_int_equal(r.fetched->messages[0].flags, MAIL_FLAG_SEEN);
    assert_int_equal(r.fetched->messages[0].internal_ms, 1234567000);
    assert_int_equal(r.fetched->messages[0].zone_minutes, -90);
    assert_int_equal(r.fetched->messages[0].keyword_bits.data[0], 3);
}

static void a_missing_mailbox_is_not_found(void **state)
{
    const struct append_message one = {.size_bytes = 4};
    const struct message_append_request request = {
        .mailbox_name = VY_LIT("nowhere"), .messages_count = 1, .messages = &one};
    (void)state;
    assert_int_equal(reads_append_as(&r, &request, VY_LIT("text"), NULL).code, VY_CODE_NOT_FOUND);
    assert_int_equal(rows(SHARD_EMAIL) + rows(SHARD_BODY), 0);
}

static void check_multiappend(size_t first_len, size_t second_len)
{
    const struct vy_bytes both = reads_random_bytes(&r, &r.local->rng.base, first_len + second_len);
    const struct append_message messages[] = {{.size_bytes = first_len},
                                              {.size_bytes = second_len}};
    const struct message_append_request request = {.messages_count = 2, .messages = messages};
    struct message_append_reply reply;
    struct uidset uids = {.ranges = NULL};

    assert_int_equal(reads_append_as(&r, &request, both, &reply).code, VY_CODE_OK);
    assert_false(vy_failed(uidset_decode(reply.uids, &uids)));
    assert_int_equal(uidset_count(&uids), 2);
    r.mailbox_id = reply.mailbox_id;
    const uint32_t uid = uidset_first(&uids);
    uidset_deinit(&uids);
    assert_bytes(reads_whole(&r, uid), vy_bytes_slice(both, 0, first_len));
    assert_bytes(reads_whole(&r, uid + 1), vy_bytes_from(both, first_len));
}

static void several_messages_come_in_one_append(void **state)
{
    (void)state;
    check_multiappend(100, 200);
    check_multiappend(100000, 100000);
    check_multiappend(300000, 10);
    check_multiappend(10, 600000);
    assert_int_equal(rows(SHARD_STAGE), 0);
}

/* ---- long messages ---- */

static void a_long_message_waits_for_the_group(void **state)
{
    const size_t size = 4000000;
    const struct vy_bytes message = reads_random_bytes(&r, &r.local->rng.base, size);
    const struct append_message one = {.size_bytes = size};
    const struct message_append_request request = {
        .actor = r.actor, .mailbox_name = VY_LIT("INBOX"), .messages_count = 1, .messages = &one};
    struct shard_local_call call;
    size_t sent = 0;

    (void)state;
    reads_append_cstr(&r, "Subject: first\r\n\r\n");
    r.local->is_holding = true;
    shard_local_begin(r.local, &call, METHOD_SHARD_MESSAGE_APPEND, NULL, &request);
    shard_local_run(r.local);
    for (; sent - call.consumed < 100000 && sent < size; sent += 50000) {
        service_call_data(call.call, vy_bytes_slice(message, sent, 50000));
        shard_local_run(r.local);
    }
    /* The first chunk waits for the group: the sender is let go on to the window's end only. */
    assert_true(call.consumed <= INGEST_WINDOW_BYTES + SEAL_CHUNK_BYTES);
    r.local->is_holding = false;
    shard_local_release(r.local);
    for (; sent < size; sent += 50000) {
        service_call_data(call.call, vy_bytes_slice(message, sent, 50000));
        shard_local_run(r.local);
    }
    service_call_data_end(call.call);
    shard_local_run(r.local);
    assert_int_equal(call.err.code, VY_CODE_OK);
    assert_int_equal(call.consumed, size);
    shard_local_end(&call);
    assert_bytes(reads_whole(&r, 2), message);
    assert_int_equal(rows(SHARD_STAGE), 0);
}

static void a_refused_long_message_leaves_nothing(void **state)
{
    const struct vy_bytes message = reads_random_bytes(&r, &r.local->rng.base, 700000);
    const struct append_message one = {.size_bytes = message.len};
    const struct message_append_request request = {
        .mailbox_name = VY_LIT("nowhere"), .messages_count = 1, .messages = &one};

    (void)state;
    assert_int_equal(reads_append_as(&r, &request, message, NULL).code, VY_CODE_NOT_FOUND);
    assert_int_equal(rows(SHARD_EMAIL) + rows(SHARD_BODY) + rows(SHARD_STAGE), 0);
}

/* ---- delivery ---- */

static const char plain_body[] = "Message-ID: <one@far.test>\r\nSubject: hello\r\n\r\nhello\r\n";

static void each_recipient_gets_its_own_header_lines(void **state)
{
    const uint64_t accounts[] = {5, 6, 123456};
    struct message_deliver_reply reply;

    (void)state;
    assert_int_equal(reads_deliver(&r, accounts, 3, vy_cstr(plain_body), some_key, &reply).code,
                     VY_CODE_OK);
    for (size_t i = 0; i < 3; i++) {
        const char *want =
            vy_arena_printf(&r.local->arena,
                            "Return-Path: <sender@far.test>\r\nDelivered-To: user%llu@dev.test\r\n"
                            "Received: from here\r\n\tby there\r\n%s",
                            (unsigned long long)accounts[i], plain_body);
        assert_int_equal(reply.results[i].outcome, DELIVER_OUTCOME_STORED);
        assert_int_equal(reply.results[i].account_id, accounts[i]);
        assert_bytes(whole_of(accounts[i], reply.results[i].uid), vy_cstr(want));
    }
}

/* The structure is parsed once and moved: it must fit every copy. */
static void sections_fit_copies_with_prefixes_of_any_length(void **state)
{
    static const char body[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n"
                               "--b\r\nContent-Type: text/html\r\n\r\n<p>two\r\n--b--\r\n";
    const uint64_t accounts[] = {7, 5, 1234567890};
    const struct fetch_section second = {.part_path = VY_LIT("\0\2")};
    struct message_deliver_reply reply;

    (void)state;
    assert_int_equal(reads_deliver(&r, accounts, 3, vy_cstr(body), NULL, &reply).code, VY_CODE_OK);
    const struct reads own = r;
    for (size_t i = 0; i < 3; i++) {
        (void)whole_of(accounts[i], 1);
        const struct mailbox_list_request list = {
            .actor = shard_local_actor(r.local, accounts[i], 1), .only_name = VY_LIT("INBOX")};
        struct mailbox_list_reply boxes;
        assert_false(vy_failed(shard_local_call(r.local, METHOD_SHARD_MAILBOX_LIST, NULL, &list,
                                                vy_bytes(NULL, 0), &boxes, NULL)));
        r.actor = list.actor;
        r.mailbox_id = boxes.mailboxes[0].mailbox_id;
        assert_bytes(reads_section(&r, 1, &second)->bytes, VY_LIT("<p>two"));
        r.actor = own.actor;
    }
}

static void p2_one_refusal_stores_nothing(void **state)
{
    const uint64_t accounts[] = {5, 6};
    struct message_deliver_reply reply;

    (void)state;
    r.local->quota_bytes = 10;
    assert_int_equal(reads_deliver(&r, accounts, 2, vy_cstr(plain_body), some_key, &reply).code,
                     VY_CODE_OK);
    assert_int_equal(reply.results[0].outcome, DELIVER_OUTCOME_OVER_QUOTA);
    assert_int_equal(rows(SHARD_EMAIL) + rows(SHARD_BODY), 0);
}

static void an_unknown_recipient_is_refused_before_the_body(void **state)
{
    const struct deliver_recipient recipients[] = {
        {.account_id = 5, .account_epoch = 1},
        {.account_id = 9, .account_epoch = 1}
    };
    const struct message_deliver_request request = {.recipients_count = 2,
                                                    .recipients = recipients};
    struct shard_local_call call;

    (void)state;
    r.local->unknown_account_id = 9;
    shard_local_begin(r.local, &call, METHOD_SHARD_MESSAGE_DELIVER, some_key, &request);
    assert_true(call.is_ended);
    assert_int_equal(call.err.code, VY_CODE_OK);
    shard_local_end(&call);
    const uint64_t accounts[] = {5, 9};
    struct message_deliver_reply reply;
    assert_int_equal(reads_deliver(&r, accounts, 2, vy_cstr(plain_body), some_key, &reply).code,
                     VY_CODE_OK);
    assert_int_equal(reply.results[0].outcome, DELIVER_OUTCOME_NONE);
    assert_int_equal(reply.results[1].outcome, DELIVER_OUTCOME_NO_ACCOUNT);
}

static void p3_the_same_key_stores_one_copy(void **state)
{
    const uint64_t accounts[] = {5};
    struct message_deliver_reply first;
    struct message_deliver_reply again;
    const struct vy_bytes longer = reads_random_bytes(&r, &r.local->rng.base, 300000);

    (void)state;
    assert_int_equal(reads_deliver(&r, accounts, 1, longer, some_key, &first).code, VY_CODE_OK);
    assert_int_equal(reads_deliver(&r, accounts, 1, longer, some_key, &again).code, VY_CODE_OK);
    assert_int_equal(first.results[0].uid, again.results[0].uid);
    assert_bytes(again.results[0].email_id, first.results[0].email_id);
    assert_int_equal(rows(SHARD_EMAIL), 1);
    assert_int_equal(rows(SHARD_BODY), 2);
    assert_int_equal(rows(SHARD_STAGE), 0);
}

static void p3_a_lost_answer_is_asked_for_again(void **state)
{
    const uint64_t accounts[] = {5};
    struct message_deliver_reply reply;

    (void)state;
    reads_append_cstr(&r, "Subject: first\r\n\r\n");
    r.local->fail_next_propose = VY_CODE_UNKNOWN;
    assert_int_equal(reads_deliver(&r, accounts, 1, vy_cstr(plain_body), some_key, &reply).code,
                     VY_CODE_UNKNOWN);
    assert_int_equal(reads_deliver(&r, accounts, 1, vy_cstr(plain_body), some_key, &reply).code,
                     VY_CODE_OK);
    assert_int_equal(rows(SHARD_EMAIL), 2);
}

/* ---- P3: a client that lost the answer sends again, over another connection ---- */

#define NAMED "Message-ID: <one@far.test>\r\nSubject: x\r\n\r\n"

struct attempt {
    const char *body;
    const char *address;
    const char *reverse_path;
    const char *scope;
};

static struct vy_err attempt(const struct attempt *given, struct vy_bytes body)
{
    const struct deliver_recipient recipient = {
        .account_id = 5, .account_epoch = 1, .address = vy_cstr(given->address)};
    const struct message_deliver_request request = {
        .recipients_count = 1,
        .recipients = &recipient,
        .reverse_path = vy_cstr(given->reverse_path),
        .retry_scope = vy_cstr(given->scope),
        .trace_headers = VY_LIT("Received: at another time\r\n"),
    };
    struct message_deliver_reply reply;

    VY_TRY(shard_local_call(r.local, METHOD_SHARD_MESSAGE_DELIVER, NULL, &request, body, &reply,
                            NULL));
    assert_int_equal(reply.results[0].outcome, DELIVER_OUTCOME_STORED);
    return vy_ok();
}

static void p3_only_the_same_name_envelope_and_bytes_are_a_retry(void **state)
{
    static const struct attempt first = {NAMED "body", "a@dev.test", "s@far.test", ""};
    static const struct attempt others[] = {
        {NAMED "Body",     "a@dev.test", "s@far.test",  "" },
        {NAMED "body\r\n", "a@dev.test", "s@far.test",  "" },
        {NAMED "body",     "b@dev.test", "s@far.test",  "" },
        {NAMED "body",     "a@dev.test", "t@far.test",  "" },
        {NAMED "body",     "a@dev.test", "",            "" },
        {NAMED "body",     "a@dev.test", "s@far.test",  "7"},
        {NAMED "body",     "a@dev.tes",  "ts@far.test", "" },
    };
    size_t stored = 1;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_false(vy_failed(attempt(&first, vy_cstr(first.body))));
        assert_int_equal(rows(SHARD_EMAIL), stored);
    }
    for (size_t i = 0; i < VY_COUNT_OF(others); i++) {
        assert_false(vy_failed(attempt(&others[i], vy_cstr(others[i].body))));
        assert_int_equal(rows(SHARD_EMAIL), ++stored);
    }
    assert_false(vy_failed(attempt(&first, vy_cstr(first.body))));
    assert_int_equal(rows(SHARD_EMAIL), stored);
    assert_int_equal(rows(SHARD_BODY), stored);
    const struct service_stats *stats = service_stats(r.local->service);
    assert_int_equal(stats->copies_repeated, 3);
    assert_int_equal(stats->messages_stored, stored);
}

static void p3_messages_without_a_name_are_never_taken_for_one(void **state)
{
    static const char *const bodies[] = {"Subject: x\r\n\r\nbody", "Message-ID:\r\n\r\nbody", ""};

    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(bodies); i++) {
        const struct attempt unnamed = {bodies[i], "a@dev.test", "s@far.test", ""};
        assert_false(vy_failed(attempt(&unnamed, vy_cstr(bodies[i]))));
        assert_false(vy_failed(attempt(&unnamed, vy_cstr(bodies[i]))));
        assert_int_equal(rows(SHARD_EMAIL), 2 * (i + 1));
    }
}

/* Staged in chunks: the last byte decides as the first does, and nothing of a retry stays. */
static void p3_a_long_message_is_known_again_too(void **state)
{
    static const struct attempt long_one = {"", "a@dev.test", "s@far.test", ""};
    const size_t len = 700000;
    uint8_t *bytes = test_malloc(len);

    (void)state;
    memset(bytes, 'x', len);
    memcpy(bytes, NAMED, sizeof(NAMED) - 1);
    assert_false(vy_failed(attempt(&long_one, vy_bytes(bytes, len))));
    const size_t chunks = rows(SHARD_BODY);
    assert_false(vy_failed(attempt(&long_one, vy_bytes(bytes, len))));
    assert_int_equal(rows(SHARD_EMAIL), 1);
    assert_int_equal(rows(SHARD_BODY), chunks);
    assert_int_equal(rows(SHARD_STAGE), 0);
    bytes[len - 1] = 'y';
    assert_false(vy_failed(attempt(&long_one, vy_bytes(bytes, len))));
    assert_int_equal(rows(SHARD_EMAIL), 2);
    assert_int_equal(rows(SHARD_BODY), 2 * chunks);
    test_free(bytes);
}

static void many_copies_are_staged(void **state)
{
    uint64_t accounts[90];
    struct message_deliver_reply reply;
    const struct vy_bytes body = reads_random_bytes(&r, &r.local->rng.base, 6000);

    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(accounts); i++) {
        accounts[i] = 100 + i;
    }
    assert_int_equal(reads_deliver(&r, accounts, 90, body, some_key, &reply).code, VY_CODE_OK);
    assert_int_equal(reply.results_count, 90);
    assert_int_equal(reply.results[89].outcome, DELIVER_OUTCOME_STORED);
    assert_int_equal(rows(SHARD_EMAIL), 90);
    assert_int_equal(rows(SHARD_STAGE), 0);
    const struct vy_bytes whole = whole_of(189, 1);
    assert_bytes(vy_bytes_from(whole, whole.len - body.len), body);
}

static void s12_a_thousand_recipients_fit_into_one_command(void **state)
{
    static uint64_t accounts[SHARD_RECIPIENTS_MAX];
    struct message_deliver_reply reply;

    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(accounts); i++) {
        accounts[i] = 1000 + i;
    }
    assert_int_equal(
        reads_deliver(&r, accounts, VY_COUNT_OF(accounts), vy_cstr(plain_body), some_key, &reply)
            .code,
        VY_CODE_OK);
    assert_int_equal(rows(SHARD_EMAIL), VY_COUNT_OF(accounts));
    assert_int_equal(rows(SHARD_STAGE), 0);
}

static void a_long_refused_delivery_leaves_nothing(void **state)
{
    const uint64_t accounts[] = {5, 6};
    struct message_deliver_reply reply;
    const struct vy_bytes body = reads_random_bytes(&r, &r.local->rng.base, 700000);

    (void)state;
    r.local->quota_bytes = 1000;
    assert_int_equal(reads_deliver(&r, accounts, 2, body, some_key, &reply).code, VY_CODE_OK);
    assert_int_equal(reply.results[0].outcome, DELIVER_OUTCOME_OVER_QUOTA);
    assert_int_equal(rows(SHARD_EMAIL) + rows(SHARD_BODY) + rows(SHARD_STAGE), 0);
}

/* A full account is seen before 40 MiB were written for it. */
static void a_full_account_refuses_a_long_message_early(void **state)
{
    const uint64_t accounts[] = {5, 6};
    struct message_deliver_reply reply;
    const struct vy_bytes body = reads_random_bytes(&r, &r.local->rng.base, 40U << 20);

    (void)state;
    r.local->quota_bytes = 100000;
    assert_int_equal(reads_deliver(&r, accounts, 2, VY_LIT("\r\nshort"), NULL, &reply).code,
                     VY_CODE_OK);
    const size_t before = r.local->proposal_count;
    assert_int_equal(reads_deliver(&r, accounts, 2, body, some_key, &reply).code, VY_CODE_OK);
    assert_int_equal(reply.results[0].outcome, DELIVER_OUTCOME_OVER_QUOTA);
    assert_int_equal(reply.results[1].outcome, DELIVER_OUTCOME_NONE);
    assert_int_equal(r.local->proposal_count, before);
}

static void i21_a_client_gone_in_a_long_message_leaves_no_stage(void **state)
{
    const struct append_message one = {.size_bytes = 2000000};
    const struct message_append_request request = {
        .actor = r.actor, .mailbox_name = VY_LIT("INBOX"), .messages_count = 1, .messages = &one};
    struct shard_local_call call;
    const struct vy_bytes body = reads_random_bytes(&r, &r.local->rng.base, 1000000);

    (void)state;
    shard_local_begin(r.local, &call, METHOD_SHARD_MESSAGE_APPEND, NULL, &request);
    shard_local_run(r.local);
    service_call_data(call.call, body);
    shard_local_run(r.local);
    assert_int_equal(rows(SHARD_STAGE), 1);
    service_call_cancel(call.call);
    shard_local_run(r.local);
    assert_int_equal(call.err.code, VY_CODE_CANCELLED);
    shard_local_end(&call);
    assert_int_equal(rows(SHARD_EMAIL) + rows(SHARD_BODY) + rows(SHARD_STAGE), 0);
}

static void long_copies_come_back(void **state)
{
    const uint64_t accounts[] = {5, 1234567};
    struct message_deliver_reply reply;
    const struct vy_bytes body = reads_random_bytes(&r, &r.local->rng.base, 262144 * 2 + 17);

    (void)state;
    assert_int_equal(reads_deliver(&r, accounts, 2, body, NULL, &reply).code, VY_CODE_OK);
    for (size_t i = 0; i < 2; i++) {
        const struct vy_bytes whole = whole_of(accounts[i], 1);
        assert_bytes(vy_bytes_from(whole, whole.len - body.len), body);
        assert_true(vy_bytes_starts_with(whole, VY_LIT("Return-Path: <sender@far.test>\r\n")));
    }
}

static void p16_windows_of_all_calls_are_bounded(void **state)
{
    const struct deliver_recipient recipient = {.account_id = 5, .account_epoch = 1};
    const struct message_deliver_request request = {.recipients_count = 1,
                                                    .recipients = &recipient};
    const size_t fit = INGEST_ALL_BYTES_MAX / (INGEST_WINDOW_BYTES + INGEST_CALL_BYTES);
    struct shard_local_call *calls = calloc(fit + 1, sizeof(*calls));

    (void)state;
    assert_non_null(calls);
    for (size_t i = 0; i <= fit; i++) {
        shard_local_begin(r.local, &calls[i], METHOD_SHARD_MESSAGE_DELIVER, NULL, &request);
        assert_int_equal(calls[i].err.code, i < fit ? VY_CODE_OK : VY_CODE_BUSY);
    }
    shard_local_end(&calls[0]);
    shard_local_end(&calls[fit]);
    shard_local_begin(r.local, &calls[fit], METHOD_SHARD_MESSAGE_DELIVER, NULL, &request);
    assert_false(calls[fit].is_ended); /* its room came back */
    for (size_t i = 1; i <= fit; i++) {
        shard_local_end(&calls[i]);
    }
    free(calls);
}

/* The work fails at every allocation: the call fails, and nothing is stored. */
static void missing_memory_stores_nothing(void **state)
{
    const uint64_t accounts[] = {5};
    const struct deliver_recipient recipient = {.account_id = 5, .account_epoch = 1};
    struct message_deliver_reply reply;
    const struct vy_bytes body = reads_generate(&r, &r.local->rng.base);
    uint64_t n = 1;
    const struct message_deliver_request request = {
        .recipients_count = 1,
        .recipients = &recipient,
        .retry_scope = vy_bytes(&n, sizeof(n)), /* each is another one's, not a retry */
    };
    size_t stored = 1;

    (void)state;
    assert_false(vy_failed(reads_deliver(&r, accounts, 1, body, NULL, &reply)));
    for (; n < 1000; n++) {
        struct shard_local_call call;
        shard_local_begin(r.local, &call, METHOD_SHARD_MESSAGE_DELIVER, NULL, &request);
        service_call_data(call.call, body);
        (void)fault_begin(n);
        service_call_data_end(call.call); /* without threads the work runs in here */
        const bool was_hit = fault_end();
        shard_local_run(r.local);
        assert_true(call.is_ended);
        /* A text of the summary that finds no memory is left out: it can be made again. */
        stored += vy_failed(call.err) ? 0 : 1;
        assert_true(was_hit || !vy_failed(call.err));
        shard_local_end(&call);
        if (!was_hit) {
            break;
        }
        assert_int_equal(rows(SHARD_EMAIL), stored);
    }
    assert_true(n - stored >= 5); /* most of them refuse it */
    for (uint32_t uid = 1; uid <= stored; uid++) {
        const struct vy_bytes whole = whole_of(5, uid);
        assert_bytes(vy_bytes_from(whole, whole.len - body.len), body);
    }
}

static void an_address_cannot_add_header_lines(void **state)
{
    const struct deliver_recipient recipient = {
        .account_id = 5, .account_epoch = 1, .address = VY_LIT("a@b\r\nX: y")};
    const struct message_deliver_request request = {.recipients_count = 1,
                                                    .recipients = &recipient};
    (void)state;
    assert_int_equal(shard_local_call(r.local, METHOD_SHARD_MESSAGE_DELIVER, NULL, &request,
                                      vy_bytes(NULL, 0), NULL, NULL)
                         .code,
                     VY_CODE_ARGUMENT);
}

static void answers_join_the_thread_of_what_they_answer(void **state)
{
    (void)state;
    reads_append_cstr(&r, "Message-ID: <a@x>\r\n\r\n");
    reads_append_cstr(&r, "Message-ID: <b@x>\r\nIn-Reply-To: <a@x>\r\n\r\n");
    reads_append_cstr(&r, "Message-ID: <c@x>\r\nReferences: <gone@x> <b@x>\r\n\r\n");
    reads_append_cstr(&r, "Message-ID: <d@x>\r\n\r\n");
    assert_false(vy_failed(
        reads_fetch(&r, &(struct message_fetch_request){.columns = FETCH_COLUMN_THREADID})));
    const struct reads_message *m = r.fetched->messages;
    assert_memory_equal(m[1].thread_id, m[0].thread_id, FETCH_ID_BYTES);
    assert_memory_equal(m[2].thread_id, m[0].thread_id, FETCH_ID_BYTES);
    assert_memory_not_equal(m[3].thread_id, m[0].thread_id, FETCH_ID_BYTES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p4_bytes_come_back_at_every_size),
        TEST(p4_generated_messages_come_back_whole_and_in_halves),
        TEST(a_message_may_come_byte_by_byte),
        TEST(i21_a_client_that_is_gone_has_stored_nothing),
        TEST(a_stream_of_another_length_is_refused),
        TEST(m6_headers_over_their_limits_are_refused),
        TEST(flags_keywords_and_date_are_kept),
        TEST(a_missing_mailbox_is_not_found),
        TEST(several_messages_come_in_one_append),
        TEST(a_long_message_waits_for_the_group),
        TEST(a_refused_long_message_leaves_nothing),
        TEST(each_recipient_gets_its_own_header_lines),
        TEST(sections_fit_copies_with_prefixes_of_any_length),
        TEST(p2_one_refusal_stores_nothing),
        TEST(an_unknown_recipient_is_refused_before_the_body),
        TEST(p3_the_same_key_stores_one_copy),
        TEST(p3_a_lost_answer_is_asked_for_again),
        TEST(p3_only_the_same_name_envelope_and_bytes_are_a_retry),
        TEST(p3_messages_without_a_name_are_never_taken_for_one),
        TEST(p3_a_long_message_is_known_again_too),
        TEST(many_copies_are_staged),
        TEST(s12_a_thousand_recipients_fit_into_one_command),
        TEST(a_long_refused_delivery_leaves_nothing),
        TEST(a_full_account_refuses_a_long_message_early),
        TEST(i21_a_client_gone_in_a_long_message_leaves_no_stage),
        TEST(long_copies_come_back),
        TEST(p16_windows_of_all_calls_are_bounded),
        TEST(missing_memory_stores_nothing),
        TEST(an_address_cannot_add_header_lines),
        TEST(answers_join_the_thread_of_what_they_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
