/* SPDX-License-Identifier: Apache-2.0 */
/* What transcripts cannot say: segments, time, room, lost answers. The dialogues themselves are
 * tests/transcript/smtp. */
#include "tests/lib/fault.h"
#include "tests/lib/test.h"
#include "tests/transcript/smtp_driver.h"
#include <stdio.h>
#include <stdlib.h>

#define HELLO "EHLO client.example\r\n"
#define ENVELOPE "MAIL FROM:<a@b.example>\r\nRCPT TO:<dev@dev.test>\r\n"

static void assert_heard(struct smtp_driver *d, const char *wanted)
{
    const struct vy_bytes heard = smtp_driver_heard(d);
    if (vy_bytes_find(heard, vy_cstr(wanted), 0) == SIZE_MAX) {
        print_error("wanted %s, heard %.*s\n", wanted, VY_PRI(heard));
        fail();
    }
}

static void assert_silent(struct smtp_driver *d)
{
    const struct vy_bytes heard = smtp_driver_heard(d);
    if (heard.len > 0) {
        print_error("heard %.*s\n", VY_PRI(heard));
        fail();
    }
}

/* A session that has been greeted. */
static void begin(struct smtp_driver *d, enum smtp_service service)
{
    smtp_driver_init(d, service);
    smtp_driver_start(d);
    smtp_driver_say(d, service == SMTP_SERVICE_LMTP ? "LHLO client.example\r\n" : HELLO);
    assert_heard(d, "250 DSN");
}

static void begin_data(struct smtp_driver *d, const char *rcpts)
{
    begin(d, SMTP_SERVICE_MX);
    smtp_driver_say(d, "MAIL FROM:<a@b.example>\r\n");
    smtp_driver_say(d, rcpts);
    smtp_driver_say(d, "DATA\r\n");
    assert_heard(d, "354 ");
}

/* `bytes` of message in lines of 64. */
static void send_lines(struct smtp_driver *d, size_t bytes)
{
    static char block[65536];
    for (size_t i = 0; i < sizeof(block); i++) {
        block[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'x';
    }
    while (bytes > 0 && !d->is_closed && !d->is_reading_stopped) {
        const size_t len = VY_MIN(bytes, sizeof(block));
        smtp_driver_receive(d, vy_bytes(block, len));
        bytes -= len;
    }
}

/* ---- PIPE-1 to PIPE-5, S14 ---- */

static void speaking_out_of_turn_is_flagged_by_command_and_protocol(void **state)
{
    (void)state;
    static const struct {
        const char *first; /* said, and waited for */
        const char *batch; /* in one segment */
        bool is_flagged;
    } rows[] = {
  /* without ESMTP: anything behind anything */
        {"",                 "HELO a\r\nNOOP\r\n",                          true },
        {"",                 "EHLO a\r\nNOOP\r\n",                          true },
        {"",                 "NOOP\r\nNOOP\r\n",                            true },
        {"",                 "FOO\r\nNOOP\r\n",                             true },
        {"HELO a\r\n",       "MAIL FROM:<a@b.example>\r\nRSET\r\n",         true },
        {"HELO a\r\n",       "RSET\r\nNOOP\r\n",                            true },
        {"HELO a\r\n",       "QUIT\r\nNOOP\r\n",                            true },
        {"HELO a\r\n",       "QUIT\r\nN",                                   true },
        {"HELO a\r\n",       "NOOP\r\n",                                    false},
 /* with it: only behind what must be the last of its batch */
        {HELLO,              "EHLO a\r\nNOOP\r\n",                          true },
        {HELLO,              "HELO a\r\nNOOP\r\n",                          true },
        {HELLO,              "NOOP\r\nNOOP\r\n",                            true },
        {HELLO,              "VRFY a\r\nNOOP\r\n",                          true },
        {HELLO ENVELOPE,     "DATA\r\nx\r\n.\r\n",                          true },
        {HELLO,              ENVELOPE "DATA\r\n",                           false},
        {HELLO,              "MAIL FROM:<a@b.example>\r\nRSET\r\nNOOP\r\n", false},
        {HELLO,              "RSET\r\nNOOP\r\n",                            false},
        {HELLO,              "QUIT\r\nNOOP\r\n",                            false},
        {HELLO,              "FOO\r\nNOOP\r\n",                             false},
        {HELLO ENVELOPE,     "BDAT 3 LAST\r\nabcNOOP\r\n",                  false},
        {HELLO ENVELOPE,     "BDAT 3\r\nab",                                false},
 /* a later HELO takes nothing back */
        {HELLO "HELO a\r\n", "RSET\r\nNOOP\r\n",                            false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_driver d;
        smtp_driver_init(&d, SMTP_SERVICE_MX);
        d.profile.pipelining_policy = SMTP_PIPELINING_IGNORE;
        smtp_driver_start(&d);
        struct vy_bytes first = vy_cstr(rows[i].first);
        while (first.len > 0) {
            const struct vy_bytes line = vy_bytes_cut(&first, '\n');
            smtp_driver_receive(&d, line);
            smtp_driver_say(&d, "\n");
        }
        d.last_event[0] = '\0';
        smtp_driver_say(&d, rows[i].batch);
        const bool is_flagged = strcmp(d.last_event, "smtp.pipelining.unauthorized") == 0 ||
                                strcmp(d.last_event, "smtp.delivery.stored") == 0;
        const bool is_bdat = strstr(rows[i].batch, "BDAT") != NULL;
        if (!is_bdat && is_flagged != rows[i].is_flagged) {
            print_error("row %zu\n", i);
            fail();
        }
        assert_true(!is_bdat || strcmp(d.last_event, "smtp.pipelining.unauthorized") != 0);
        smtp_driver_deinit(&d);
    }
}

/* PIPE-8: what comes after the answer was flushed is never out of turn. */
static void bytes_that_come_after_the_answer_are_in_turn_however_they_are_cut(void **state)
{
    (void)state;
    static const char dialogue[] = HELLO "NOOP\r\nVRFY a\r\nHELO a\r\n" ENVELOPE
                                         "DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\nNOOP\r\nQUIT\r\n";
    struct smtp_driver d;
    smtp_driver_init(&d, SMTP_SERVICE_MX);
    smtp_driver_start(&d);
    for (size_t i = 0; i + 1 < sizeof(dialogue); i++) {
        smtp_driver_receive(&d, vy_bytes(dialogue + i, 1));
    }
    assert_string_equal(d.last_event, "smtp.delivery.stored");
    assert_heard(&d, "221 2.0.0");
    assert_int_equal(smtp_backend_copies(d.backend, 1), 1);
    smtp_driver_deinit(&d);
}

static void policies_answer_what_was_out_of_turn(void **state)
{
    (void)state;
    static const struct {
        enum smtp_pipelining_policy policy;
        const char *batch;
        const char *heard;
        bool is_closed;
        size_t copies;
    } rows[] = {
  /* S14: commands behind DATA */
        {SMTP_PIPELINING_DISCONNECT,     ENVELOPE "DATA\r\nx\r\n.\r\n",                            "554 5.5.0",        true,  0},
        {SMTP_PIPELINING_DISCONNECT,     "NOOP\r\nNOOP\r\n",                                       "554 5.5.0",        true,  0},
 /* PIPE-3: refused, and the body is not read as commands */
        {SMTP_PIPELINING_REJECT_AT_DATA,
         ENVELOPE "DATA\r\nMAIL FROM:<c@d.example>\r\nRCPT TO:<two@dev.test>\r\n.\r\n",            "503 5.5.0",
         true,                                                                                                                0},
        {SMTP_PIPELINING_REJECT_AT_DATA, "NOOP\r\nNOOP\r\n",                                       "250 2.0.0",        false, 0},
        {SMTP_PIPELINING_REJECT_AT_DATA, "NOOP\r\nRSET\r\n" ENVELOPE "BDAT 3 LAST\r\nabcNOOP\r\n",
         "503 5.5.0",                                                                                                  false, 0},
        {SMTP_PIPELINING_IGNORE,         ENVELOPE "DATA\r\nx\r\n.\r\n",                            "250 2.0.0 Stored", false, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_driver d;
        smtp_driver_init(&d, SMTP_SERVICE_MX);
        d.profile.pipelining_policy = rows[i].policy;
        smtp_driver_start(&d);
        smtp_driver_say(&d, HELLO);
        smtp_driver_say(&d, rows[i].batch);
        assert_heard(&d, rows[i].heard);
        assert_int_equal(d.is_closed, rows[i].is_closed);
        assert_int_equal(smtp_backend_copies(d.backend, 1), rows[i].copies);
        assert_int_equal(smtp_backend_copies(d.backend, 2), 0);
        smtp_driver_deinit(&d);
    }
}

/* PIPE-2 */
static void whoever_signed_in_may_speak_as_he_likes(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin(&d, SMTP_SERVICE_SUBMISSION);
    smtp_driver_say(&d, "AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=\r\n");
    assert_heard(&d, "235 ");
    smtp_driver_say(&d, "NOOP\r\nNOOP\r\nMAIL FROM:<dev@dev.test>\r\nRCPT TO:<two@dev.test>\r\n"
                        "DATA\r\nx\r\n.\r\nNOOP\r\n");
    assert_heard(&d, "Stored");
    assert_false(d.is_closed);
    smtp_driver_deinit(&d);
    smtp_driver_init(&d, SMTP_SERVICE_SUBMISSION);
    smtp_driver_start(&d);
    smtp_driver_say(&d, HELLO);
    smtp_driver_say(&d, "NOOP\r\nNOOP\r\n");
    assert_heard(&d, "554 5.5.0");
    smtp_driver_deinit(&d);
}

/* P18, promises 5.6: without a place in the tarpit nobody is held back: 421, and closed. */
static void p18_a_full_tarpit_closes_the_session(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin(&d, SMTP_SERVICE_SUBMISSION);
    /* "limited" is told late: the answer is held back, in a place of the tarpit. */
    smtp_driver_say(&d, "AUTH PLAIN AGxpbWl0ZWRAZGV2LnRlc3QAc2VjcmV0\r\n");
    assert_silent(&d);
    assert_true(d.session->is_held);
    smtp_driver_pass(&d, 1000);
    assert_heard(&d, "454 4.7.0");
    assert_false(d.session->is_held);
    d.session->is_tarpit_full = true;
    smtp_driver_say(&d, "AUTH PLAIN AGxpbWl0ZWRAZGV2LnRlc3QAc2VjcmV0\r\n");
    assert_heard(&d, "421 4.7.0");
    assert_true(d.is_closed);
    assert_false(d.session->is_held);
    smtp_driver_deinit(&d);
}

/* A DATA that is refused while its message lies behind it. */
static void a_message_behind_a_refused_data_is_never_read_as_commands(void **state)
{
    (void)state;
    struct smtp_driver d;
    smtp_driver_init(&d, SMTP_SERVICE_MX);
    d.profile.pipelining_policy = SMTP_PIPELINING_IGNORE;
    smtp_driver_start(&d);
    smtp_driver_say(&d, HELLO);
    smtp_driver_say(&d, "DATA\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<dev@dev.test>\r\n");
    assert_heard(&d, "503 5.5.1");
    assert_true(d.is_closed);
    assert_int_equal(d.backend->resolve_calls, 0);
    smtp_driver_deinit(&d);
}

/* ---- S15 ---- */

static void plaintext_behind_starttls_ends_the_session_or_is_dropped(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin(&d, SMTP_SERVICE_MX);
    smtp_driver_say(&d, "STARTTLS\r\nMAIL FROM:<evil@b.example>\r\n");
    assert_heard(&d, "501 5.5.1");
    assert_true(d.is_closed);
    assert_false(d.wants_tls);
    smtp_driver_deinit(&d);
    begin(&d, SMTP_SERVICE_MX); /* with a byte's delay */
    smtp_driver_say(&d, "STARTTLS\r\n");
    assert_heard(&d, "220 2.0.0");
    assert_true(d.wants_tls);
    smtp_driver_say(&d, "EHLO evil.example\r\nMAIL FROM:<evil@b.example>\r\n");
    smtp_driver_tls(&d);
    assert_silent(&d);
    smtp_driver_say(&d, "RCPT TO:<dev@dev.test>\r\n");
    assert_heard(&d, "503 5.5.1");
    smtp_driver_deinit(&d);
}

/* ---- room ---- */

static void a_slow_shard_stops_the_reading_and_nothing_is_lost(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_data(&d, "RCPT TO:<pair@dev.test>\r\n"); /* two groups */
    d.holds_credit = true;
    size_t sent = 0;
    while (!d.is_reading_stopped && sent < 1024 * 1024) {
        send_lines(&d, 65536);
        sent += 65536;
    }
    assert_true(d.is_reading_stopped);
    assert_true(sent <= 512 * 1024); /* what lies here for one connection is bounded (P16) */
    assert_int_equal(d.started_deliveries, 2);
    while (d.is_reading_stopped) {
        smtp_driver_credit(&d, 10000);
    }
    d.holds_credit = false;
    for (int i = 0; i < 200; i++) {
        smtp_driver_credit(&d, 10000);
    }
    smtp_driver_say(&d, ".\r\n");
    assert_heard(&d, "250 2.0.0 Stored");
    assert_int_equal(smtp_backend_last(d.backend, 1)->body.len, sent);
    assert_int_equal(smtp_backend_last(d.backend, 3)->body.len, sent);
    assert_memory_equal(smtp_backend_last(d.backend, 1)->body.data,
                        smtp_backend_last(d.backend, 3)->body.data, sent);
    smtp_driver_deinit(&d);
}

/* No other event may come for a while: what one made possible is done at once. */
static void room_that_is_granted_is_used_without_another_push(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_data(&d, "RCPT TO:<dev@dev.test>\r\n");
    d.holds_credit = true;
    send_lines(&d, 1024 * 1024);
    assert_true(d.is_reading_stopped);
    smtp_driver_credit(&d, 16 * 1024 * 1024);
    assert_false(d.is_reading_stopped);
    smtp_driver_say(&d, ".\r\n");
    assert_heard(&d, "250 2.0.0 Stored");
    smtp_driver_deinit(&d);
}

static void a_shard_is_asked_once_there_is_something_worth_it(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_data(&d, "RCPT TO:<dev@dev.test>\r\n");
    send_lines(&d, 65536 - 64);
    assert_int_equal(d.started_deliveries, 0);
    send_lines(&d, 64);
    assert_int_equal(d.started_deliveries, 1);
    smtp_driver_say(&d, ".\r\n");
    assert_heard(&d, "250 2.0.0 Stored");
    smtp_driver_deinit(&d);
}

/* S22 */
static void a_message_far_over_the_limit_is_read_past_and_then_ended(void **state)
{
    (void)state;
    struct smtp_driver d;
    smtp_driver_init(&d, SMTP_SERVICE_MX);
    d.limits.message_bytes_max = 1024 * 1024;
    smtp_driver_start(&d);
    smtp_driver_say(&d, HELLO);
    smtp_driver_say(&d, ENVELOPE "DATA\r\n");
    send_lines(&d, 2 * 1024 * 1024);
    assert_int_equal(d.cancels_count, 1); /* the shard heard of it as soon as it was clear (P3) */
    smtp_driver_say(&d, ".\r\n");
    assert_heard(&d, "552 5.3.4");
    assert_false(d.is_closed);
    smtp_driver_say(&d, ENVELOPE "DATA\r\n");
    send_lines(&d, 4 * 1024 * 1024);
    assert_heard(&d, "552 5.3.4");
    assert_true(d.is_closed);
    assert_int_equal(smtp_backend_copies(d.backend, 1), 0);
    smtp_driver_deinit(&d);
}

/* S10 */
static void ten_thousand_recipients_get_their_452_and_the_first_hundred_their_mail(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin(&d, SMTP_SERVICE_MX);
    smtp_driver_say(&d, "MAIL FROM:<a@b.example>\r\n");
    for (int i = 0; i < 10000; i++) {
        (void)smtp_driver_heard(&d);
        smtp_driver_say(&d, "RCPT TO:<dev@dev.test>\r\n");
        assert_heard(&d, i < 100 ? "250 2.1.5" : "452 4.5.3");
    }
    smtp_driver_say(&d, "DATA\r\n");
    smtp_driver_say(&d, ".\r\n");
    assert_heard(&d, "250 2.0.0 Stored");
    assert_int_equal(smtp_backend_copies(d.backend, 1), 1);
    smtp_driver_deinit(&d);
}

/* ---- lost answers: P2, P3 ---- */

static void a_lost_answer_is_asked_for_again_under_the_same_key(void **state)
{
    (void)state;
    static const enum vy_code codes[] = {VY_CODE_UNKNOWN, VY_CODE_UNAVAILABLE, VY_CODE_NOT_LEADER,
                                         VY_CODE_MOVED, VY_CODE_CLOSED};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct smtp_driver d;
        begin_data(&d, "RCPT TO:<dev@dev.test>\r\n");
        d.failures = 3;
        d.failure_code = codes[i];
        d.failure_is_stored = true; /* the copy is there, only the answer is not */
        smtp_driver_say(&d, "x\r\n.\r\n");
        assert_silent(&d);
        smtp_driver_pass(&d, 2000);
        assert_heard(&d, "250 2.0.0 Stored");
        assert_int_equal(d.started_deliveries, 4);
        assert_int_equal(smtp_backend_copies(d.backend, 1), 1);
        smtp_driver_deinit(&d);
    }
}

static void an_outcome_that_stays_unknown_ends_the_session_without_a_word(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_data(&d, "RCPT TO:<dev@dev.test>\r\n");
    d.failures = 1000;
    d.failure_code = VY_CODE_UNKNOWN;
    smtp_driver_say(&d, "x\r\n.\r\n");
    smtp_driver_pass(&d, 59000);
    assert_false(d.is_closed);
    smtp_driver_pass(&d, 2000);
    assert_true(d.is_closed);
    assert_silent(&d);
    assert_string_equal(d.last_event, "smtp.delivery.unknown");
    smtp_driver_deinit(&d);
    begin_data(&d, "RCPT TO:<dev@dev.test>\r\n"); /* too large to be repeated */
    send_lines(&d, 300 * 1024);
    d.failures = 1;
    d.failure_code = VY_CODE_UNKNOWN;
    smtp_driver_say(&d, ".\r\n");
    assert_true(d.is_closed);
    assert_silent(&d);
    smtp_driver_deinit(&d);
    begin_data(&d, "RCPT TO:<dev@dev.test>\r\n"); /* no answer at all */
    d.holds_deliveries = true;
    smtp_driver_say(&d, "x\r\n.\r\n");
    smtp_driver_pass(&d, 59999);
    assert_false(d.is_closed);
    smtp_driver_pass(&d, 1);
    assert_true(d.is_closed);
    assert_silent(&d);
    smtp_driver_deinit(&d);
}

static void what_was_certainly_not_stored_is_answered_for_now(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_data(&d, "RCPT TO:<dev@dev.test>\r\n");
    d.failures = 1000;
    d.failure_code = VY_CODE_UNAVAILABLE;
    smtp_driver_say(&d, "x\r\n.\r\n");
    smtp_driver_pass(&d, 61000);
    assert_heard(&d, "451 4.3.0");
    assert_false(d.is_closed);
    d.failures = 0;
    smtp_driver_say(&d, ENVELOPE "DATA\r\n");
    (void)smtp_driver_heard(&d);
    send_lines(&d, 300 * 1024);
    d.failures = 1;
    smtp_driver_say(&d, ".\r\n");
    assert_heard(&d, "451 4.3.0");
    assert_int_equal(smtp_backend_copies(d.backend, 1), 0);
    smtp_driver_deinit(&d);
}

static void a_shard_that_says_no_early_lets_the_rest_of_the_message_pass(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_data(&d, "RCPT TO:<pair@dev.test>\r\n");
    d.failures = 1;
    d.failure_code = VY_CODE_QUOTA;
    d.fails_early = true;
    send_lines(&d, 1024 * 1024);
    assert_int_equal(d.cancels_count, 1); /* the other group's call: it may store nothing either */
    assert_silent(&d);
    smtp_driver_say(&d, ".\r\n");
    assert_heard(&d, "452 4.2.2");
    assert_int_equal(smtp_backend_copies(d.backend, 1), 0);
    assert_int_equal(smtp_backend_copies(d.backend, 3), 0);
    smtp_driver_say(&d, "NOOP\r\n");
    assert_heard(&d, "250 2.0.0 Ok");
    smtp_driver_deinit(&d);
}

/* P3: it may have been stored before the account changed; "no" might be a lie, to any recipient. */
static void a_doubt_is_not_ended_by_an_account_that_changed(void **state)
{
    (void)state;
    static const enum smtp_service services[] = {SMTP_SERVICE_MX, SMTP_SERVICE_LMTP};
    for (size_t i = 0; i < 2; i++) {
        struct smtp_driver d;
        begin(&d, services[i]);
        smtp_driver_say(&d, "MAIL FROM:<a@b.example>\r\nRCPT TO:<gone@dev.test>\r\n"
                            "RCPT TO:<two@dev.test>\r\nDATA\r\n");
        (void)smtp_driver_heard(&d);
        d.failures = 1;
        d.failure_code = VY_CODE_UNKNOWN;
        smtp_driver_say(&d, "x\r\n.\r\n");
        smtp_driver_pass(&d, 2000);
        assert_true(d.is_closed);
        assert_silent(&d);
        assert_string_equal(d.last_event, "smtp.delivery.unknown");
        smtp_driver_deinit(&d);
    }
}

/* The buffer fills while a call waits to be made again: what it has sent before must stay. */
static void a_call_that_pauses_needs_the_whole_message_again(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_data(&d, "RCPT TO:<dev@dev.test>\r\n");
    d.credit_bytes = 200000;
    send_lines(&d, 100 * 1024);
    d.failures = 1;
    d.failure_code = VY_CODE_UNAVAILABLE;
    d.fails_early = true;
    send_lines(&d, 64);
    d.fails_early = false;
    send_lines(&d, 300 * 1024);
    smtp_driver_pass(&d, 1000);
    send_lines(&d, 64);
    smtp_driver_say(&d, ".\r\n");
    assert_heard(&d, "250 2.0.0 Stored");
    smtp_driver_deinit(&d);
}

static uint64_t no_group(void *arg, uint64_t account_id)
{
    (void)arg;
    (void)account_id;
    return 0;
}

/* A frontend that has just started has no map: all recipients would go to the first one's group,
 * and lie there unseen. */
static void p1_without_a_map_no_recipient_is_accepted(void **state)
{
    (void)state;
    struct smtp_driver d;
    smtp_driver_init(&d, SMTP_SERVICE_MX);
    d.profile.group_of = no_group;
    smtp_driver_start(&d);
    smtp_driver_say(&d, HELLO);
    smtp_driver_say(&d, "MAIL FROM:<a@b.example>\r\n");
    (void)smtp_driver_heard(&d);
    smtp_driver_say(&d, "RCPT TO:<dev@dev.test>\r\n");
    assert_heard(&d, "451 4.3.0");
    smtp_driver_say(&d, "RCPT TO:<pair@dev.test>\r\n");
    assert_heard(&d, "451 4.3.0");
    smtp_driver_say(&d, "DATA\r\n");
    assert_heard(&d, "503 ");
    smtp_driver_deinit(&d);
}

/* P2, design section 8: one group cannot, and no group stores. */
static void one_group_that_cannot_and_none_stores(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_data(&d, "RCPT TO:<pair@dev.test>\r\n");
    d.holds_deliveries = true;
    smtp_driver_say(&d, "x\r\n.\r\n");
    /* The other group holds; the deciding one has not got the end of the message yet. */
    smtp_driver_end_one(&d, vy_error(VY_CODE_FULL, "as the test says"));
    assert_heard(&d, "452 4.3.1");
    assert_string_equal(d.last_event, "smtp.delivery.refused");
    assert_int_equal(d.cancels_count, 1);
    assert_int_equal(smtp_backend_copies(d.backend, 1) + smtp_backend_copies(d.backend, 3), 0);
    smtp_driver_deinit(&d);
    /* The deciding group cannot: what is held is dropped. */
    begin_data(&d, "RCPT TO:<pair@dev.test>\r\n");
    d.holds_deliveries = true;
    smtp_driver_say(&d, "x\r\n.\r\n");
    smtp_driver_end_one(&d, vy_ok());
    assert_silent(&d);
    assert_int_equal(smtp_backend_held(d.backend), 1);
    smtp_driver_end_one(&d, vy_error(VY_CODE_FULL, "as the test says"));
    assert_heard(&d, "452 4.3.1");
    assert_int_equal(smtp_backend_held(d.backend), 0);
    assert_int_equal(smtp_backend_copies(d.backend, 1) + smtp_backend_copies(d.backend, 3), 0);
    smtp_driver_deinit(&d);
}

/* One over quota or gone, in whichever group, and the answer is what it is for one group. */
static void mixed_results_of_groups_have_one_answer(void **state)
{
    (void)state;
    static const struct {
        const char *rcpts;
        const char *reply;
    } rows[] = {
        {"RCPT TO:<far@dev.test>\r\nRCPT TO:<full@dev.test>\r\n",     "452 4.2.2"},
        {"RCPT TO:<full@dev.test>\r\nRCPT TO:<far@dev.test>\r\n",     "452 4.2.2"},
        {"RCPT TO:<gone@dev.test>\r\nRCPT TO:<far@dev.test>\r\n",     "451 4.2.1"},
        {"RCPT TO:<far@dev.test>\r\nRCPT TO:<refused@dev.test>\r\n",  "550 5.7.1"},
        {"RCPT TO:<refused@dev.test>\r\nRCPT TO:<pair@dev.test>\r\n", "550 5.7.1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_driver d;
        begin_data(&d, rows[i].rcpts);
        smtp_driver_say(&d, "x\r\n.\r\n");
        assert_heard(&d, rows[i].reply);
        assert_int_equal(smtp_backend_held(d.backend), 0);
        for (uint64_t id = 1; id < 10; id++) {
            assert_int_equal(smtp_backend_copies(d.backend, id), 0);
        }
        smtp_driver_deinit(&d);
    }
}

/* ---- P2, P3: a fault at every call of a delivery to three groups ---- */

#define RCPTS "RCPT TO:<two@dev.test>\r\nRCPT TO:<far@dev.test>\r\nRCPT TO:<third@dev.test>\r\n"
static const uint64_t receivers[] = {2, 3, 10};

static size_t copies_of_all(const struct smtp_backend *backend)
{
    const size_t count = smtp_backend_copies(backend, receivers[0]);
    for (size_t i = 1; i < sizeof(receivers) / sizeof(receivers[0]); i++) {
        assert_int_equal(smtp_backend_copies(backend, receivers[i]), count);
    }
    return count;
}

struct trial {
    enum smtp_driver_fault fault;
    size_t at;
    bool stays;
    size_t bytes; /* of the message; above the window it cannot be sent again */
};

static void send_to_all(struct smtp_driver *d, const struct trial *trial, uint64_t seed)
{
    d->peer.seed[0] = seed;
    smtp_driver_start(d);
    smtp_driver_say(d, HELLO);
    smtp_driver_say(d, "MAIL FROM:<a@b.example>\r\n" RCPTS "DATA\r\n");
    assert_heard(d, "354 ");
    send_lines(d, trial->bytes);
    smtp_driver_say(d, ".\r\n");
    for (int i = 0; i < 70 && !d->is_dead; i++) {
        smtp_driver_pass(d, 1000);
    }
}

static bool has_said(struct smtp_driver *d, const char *text)
{
    return vy_bytes_find(vy_buf_bytes(&d->out), vy_cstr(text), 0) != SIZE_MAX;
}

/* False: no call was hit. */
static bool try_fault(const struct trial *trial)
{
    struct smtp_backend *backend = smtp_backend_new();
    struct smtp_driver first;
    struct smtp_driver second;
    backend->knows_retries = true;
    smtp_driver_init_with(&first, SMTP_SERVICE_MX, backend);
    first.fault = trial->fault;
    first.fault_at = trial->at;
    first.fault_stays = trial->stays;
    send_to_all(&first, trial, 7);
    const bool was_stored = has_said(&first, "250 2.0.0 Stored");
    const bool was_refused = has_said(&first, "\n45") || has_said(&first, "45");
    assert_true(was_stored || was_refused || first.is_closed || first.is_dead);
    if (was_stored) { /* P6: what was answered is there, not only to come */
        assert_int_equal(copies_of_all(backend), 1);
    }
    smtp_backend_settle(backend);
    const size_t copies = copies_of_all(backend);
    assert_true(copies <= 1);
    assert_true(!was_stored || copies == 1);
    assert_true(!was_refused || copies == 0);
    smtp_driver_init_with(&second, SMTP_SERVICE_MX, backend); /* the client sends again */
    send_to_all(&second, trial, 8);
    if (!has_said(&second, "250 2.0.0 Stored")) {
        print_error("fault %d at %zu, stays %d: the retry heard %.*s\n", (int)trial->fault,
                    trial->at, (int)trial->stays, VY_PRI(vy_buf_bytes(&second.out)));
        fail();
    }
    assert_int_equal(copies_of_all(backend), 1);
    assert_int_equal(smtp_backend_held(backend), 0);
    const bool was_hit = first.shard_calls >= trial->at;
    smtp_driver_deinit(&first);
    smtp_driver_deinit(&second);
    smtp_backend_free(backend);
    return was_hit;
}

static void p2_p3_whatever_fails_all_have_it_or_none(void **state)
{
    (void)state;
    static const size_t sizes[] = {6400, 320000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int fault = SMTP_FAULT_UNDONE; fault < SMTP_FAULT_COUNT; fault++) {
            for (int stays = 0; stays < 2; stays++) {
                struct trial trial = {.fault = (enum smtp_driver_fault)fault,
                                      .stays = stays == 1,
                                      .bytes = sizes[i],
                                      .at = 1};
                while (try_fault(&trial)) {
                    trial.at++;
                }
                assert_true(trial.at >= 6); /* two hold, one decides, two release */
            }
        }
    }
}

/* LMTP answers each recipient, so that groups need not agree. */
static void lmtp_asks_each_group_by_itself(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin(&d, SMTP_SERVICE_LMTP);
    smtp_driver_say(&d, "MAIL FROM:<a@b.example>\r\nRCPT TO:<full@dev.test>\r\n"
                        "RCPT TO:<far@dev.test>\r\nDATA\r\n");
    (void)smtp_driver_heard(&d);
    smtp_driver_say(&d, "x\r\n.\r\n");
    assert_heard(&d, "452 4.2.2");
    assert_int_equal(smtp_backend_copies(d.backend, 3), 1);
    assert_int_equal(d.backend->decisions_count, 0);
    smtp_driver_deinit(&d);
}

static void keys_differ_by_message_and_group(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin(&d, SMTP_SERVICE_MX);
    for (int i = 0; i < 2; i++) {
        smtp_driver_say(&d, "MAIL FROM:<a@b.example>\r\nRCPT TO:<pair@dev.test>\r\nDATA\r\n");
        smtp_driver_say(&d, "x\r\n.\r\n");
        assert_heard(&d, "250 2.0.0 Stored");
    }
    assert_int_equal(d.backend->copies_count, 4);
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = i + 1; k < 4; k++) {
            assert_memory_not_equal(d.backend->copies[i].key, d.backend->copies[k].key, 16);
        }
    }
    smtp_driver_deinit(&d);
}

static void lmtp_asks_once_more_without_those_that_were_refused(void **state)
{
    (void)state;
    static const struct {
        size_t bytes;
        const char *heard;
        size_t copies;
        size_t deliveries;
    } rows[] = {
        {1000,       "250 2.0.0", 1, 2},
        {300 * 1024, "451 4.3.0", 0, 1}, /* not at hand any more */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_driver d;
        begin(&d, SMTP_SERVICE_LMTP);
        smtp_driver_say(&d, "MAIL FROM:<a@b.example>\r\nRCPT TO:<full@dev.test>\r\n"
                            "RCPT TO:<dev@dev.test>\r\nDATA\r\n");
        (void)smtp_driver_heard(&d);
        send_lines(&d, rows[i].bytes / 64 * 64);
        smtp_driver_say(&d, ".\r\n");
        const struct vy_bytes heard = smtp_driver_heard(&d);
        assert_true(vy_bytes_starts_with(heard, VY_LIT("452 4.2.2")));
        assert_int_not_equal(vy_bytes_find(heard, vy_cstr(rows[i].heard), 9), SIZE_MAX);
        assert_int_equal(smtp_backend_copies(d.backend, 1), rows[i].copies);
        assert_int_equal(smtp_backend_copies(d.backend, 4), 0);
        assert_int_equal(d.backend->deliver_calls, rows[i].deliveries);
        smtp_driver_deinit(&d);
    }
}

static void a_chunked_message_that_is_reset_leaves_no_call_behind(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin(&d, SMTP_SERVICE_MX);
    smtp_driver_say(&d, ENVELOPE "BDAT 131072\r\n");
    send_lines(&d, 131072);
    assert_heard(&d, "131072 octets received");
    assert_int_equal(d.started_deliveries, 1);
    smtp_driver_say(&d, "RSET\r\n");
    assert_int_equal(d.cancels_count, 1);
    smtp_driver_say(&d, ENVELOPE "BDAT 3 LAST\r\nabc");
    assert_heard(&d, "Stored");
    assert_int_equal(smtp_backend_copies(d.backend, 1), 1);
    smtp_driver_deinit(&d);
}

/* ---- ends ---- */

/* S31 */
static void shutdown_between_the_dot_and_the_answer_waits_for_the_answer(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_data(&d, "RCPT TO:<dev@dev.test>\r\n");
    d.holds_deliveries = true;
    smtp_driver_say(&d, "x\r\n.\r\n");
    d.session->ops->drain(d.session);
    smtp_driver_settle(&d);
    assert_silent(&d);
    assert_false(d.is_closed);
    d.holds_deliveries = false;
    smtp_driver_settle(&d);
    assert_heard(&d, "250 2.0.0 Stored");
    assert_true(d.is_closed);
    smtp_driver_deinit(&d);
}

/* A submission in the middle of its message, signed in. */
static void begin_submission(struct smtp_driver *d, const char *body)
{
    begin(d, SMTP_SERVICE_SUBMISSION);
    smtp_driver_say(d, "AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=\r\n");
    assert_heard(d, "235 2.7.0");
    smtp_driver_say(d, "MAIL FROM:<dev@dev.test>\r\n");
    smtp_driver_say(d, "RCPT TO:<dev@dev.test>\r\n");
    smtp_driver_say(d, body);
    assert_true(smtp_driver_heard(d).len > 0);
}

static void tell_over(struct smtp_driver *d, bool is_certain)
{
    d->session->ops->account_over(d->session, is_certain);
    smtp_driver_settle(d);
}

/* P18, A10: who was signed in by what is revoked gets no message through any more. */
static void a_revoked_sign_in_ends_inside_its_message(void **state)
{
    (void)state;
    static const char *const bodies[] = {"DATA\r\nSubject: late\r\n\r\nhalf of it\r\n",
                                         "BDAT 1000\r\nSubject: late\r\n"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct smtp_driver d;
        begin_submission(&d, bodies[i]);
        tell_over(&d, true);
        assert_heard(&d, "421 4.7.0 Session is over, sign in again");
        assert_true(d.is_closed);
        assert_int_equal(d.backend->copies_count, 0);
        smtp_driver_deinit(&d);
    }
}

/* Events were missed: the message is taken, and then the client signs in again. */
static void what_is_not_certain_waits_for_the_end_of_the_message(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_submission(&d, "DATA\r\n");
    tell_over(&d, false);
    assert_silent(&d);
    smtp_driver_say(&d, "x\r\n.\r\n");
    assert_heard(&d, "250 2.0.0 Stored");
    assert_true(d.is_closed);
    smtp_driver_deinit(&d);
}

/* It was whole before: what becomes of it is told. */
static void a_message_under_way_to_the_shard_is_answered_before_the_end(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_submission(&d, "DATA\r\n");
    d.holds_deliveries = true;
    smtp_driver_say(&d, "x\r\n.\r\n");
    tell_over(&d, true);
    assert_false(d.is_closed);
    d.holds_deliveries = false;
    smtp_driver_settle(&d);
    assert_heard(&d, "250 2.0.0 Stored");
    assert_true(d.is_closed);
    smtp_driver_deinit(&d);
}

/* S32 */
static void a_client_that_goes_after_the_dot_has_one_copy(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_data(&d, "RCPT TO:<dev@dev.test>\r\n");
    d.holds_deliveries = true;
    smtp_driver_say(&d, "x\r\n.\r\nQUIT\r\n");
    d.session->ops->closed(d.session);
    smtp_driver_settle(&d);
    assert_false(d.is_closed);
    d.holds_deliveries = false;
    smtp_driver_settle(&d);
    assert_true(d.is_closed);
    assert_heard(&d, "221 2.0.0");
    assert_int_equal(smtp_backend_copies(d.backend, 1), 1);
    smtp_driver_deinit(&d);
}

static void input_waits_while_answers_wait(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin(&d, SMTP_SERVICE_MX);
    d.session->output_full = true;
    smtp_driver_say(&d, "NOOP\r\n");
    assert_silent(&d);
    d.session->ops->output_drained(d.session);
    smtp_driver_settle(&d);
    assert_heard(&d, "250 2.0.0 Ok");
    smtp_driver_deinit(&d);
}

/* S23: a body that comes steadily, if slowly, may take its ten minutes. */
static void a_steady_body_is_not_slow(void **state)
{
    (void)state;
    struct smtp_driver d;
    begin_data(&d, "RCPT TO:<dev@dev.test>\r\n");
    for (int i = 0; i < 19; i++) {
        send_lines(&d, 1024);
        smtp_driver_pass(&d, 30000);
    }
    smtp_driver_say(&d, ".\r\n");
    assert_heard(&d, "250 2.0.0 Stored");
    smtp_driver_deinit(&d);
}

/* A message comes while the n-th allocation is missing, for every n: 250 means stored, whole. */
static void no_allocation_that_fails_loses_an_accepted_message(void **state)
{
    (void)state;
    bool is_hit = true;
    for (uint64_t n = 1; is_hit; n++) {
        struct smtp_driver d;
        begin_data(&d, "RCPT TO:<pair@dev.test>\r\n");
        assert_true(n < 1000);
        (void)fault_begin(n);
        d.session->ops->receive(d.session, VY_LIT("Subject: x\r\n\r\nbody\r\n.\r\n"), d.now_ms);
        is_hit = fault_end();
        smtp_driver_settle(&d);
        smtp_driver_pass(&d, 100000);
        const bool is_accepted =
            vy_bytes_find(smtp_driver_heard(&d), VY_LIT("250 2.0.0 Stored"), 0) != SIZE_MAX;
        assert_true(is_accepted || is_hit);
        assert_int_equal(smtp_backend_copies(d.backend, 1), is_accepted ? 1 : 0);
        assert_int_equal(smtp_backend_copies(d.backend, 3), is_accepted ? 1 : 0);
        assert_true(!is_accepted || smtp_backend_last(d.backend, 1)->body.len == 20);
        smtp_driver_deinit(&d);
    }
}

/* No message may begin with its second chunk. */
static void no_allocation_that_fails_stores_a_part_of_the_chunks(void **state)
{
    (void)state;
    bool is_hit = true;
    for (uint64_t n = 1; is_hit; n++) {
        struct smtp_driver d;
        begin(&d, SMTP_SERVICE_MX);
        smtp_driver_say(&d, ENVELOPE);
        assert_true(n < 1000);
        (void)fault_begin(n);
        d.session->ops->receive(
            d.session, VY_LIT("BDAT 6\r\nA: b\r\nBDAT 6\r\nC: d\r\nBDAT 2 LAST\r\n\r\n"), d.now_ms);
        is_hit = fault_end();
        smtp_driver_settle(&d);
        smtp_driver_pass(&d, 100000);
        const struct smtp_copy *copy = smtp_backend_last(d.backend, 1);
        assert_true(copy == NULL || copy->body.len == 14);
        assert_true(copy != NULL || is_hit);
        smtp_driver_deinit(&d);
    }
}

/* The same for commands: none is run in part. */
static void no_allocation_that_fails_lets_half_a_command_run(void **state)
{
    (void)state;
    bool is_hit = true;
    for (uint64_t n = 1; is_hit; n++) {
        struct smtp_driver d;
        begin(&d, SMTP_SERVICE_MX);
        assert_true(n < 1000);
        (void)fault_begin(n);
        d.session->ops->receive(
            d.session, VY_LIT("MAIL FROM:<a@b.example>\r\nRCPT TO:<dev@dev.test>\r\n"), d.now_ms);
        is_hit = fault_end();
        smtp_driver_settle(&d);
        (void)smtp_driver_heard(&d);
        smtp_driver_say(&d, "DATA\r\n");
        smtp_driver_say(&d, ".\r\n");
        const bool is_accepted =
            vy_bytes_find(smtp_driver_heard(&d), VY_LIT("250 2.0.0 Stored"), 0) != SIZE_MAX;
        assert_true(is_accepted || is_hit);
        assert_int_equal(smtp_backend_copies(d.backend, 1), is_accepted ? 1 : 0);
        smtp_driver_deinit(&d);
    }
}

static void a_session_without_memory_is_none_or_ends(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 4; n++) {
        struct smtp_driver d;
        smtp_driver_init(&d, SMTP_SERVICE_MX);
        d.profile.limits = &d.limits;
        (void)fault_begin(n);
        const struct vy_err err = smtp_session_new(&d.peer, &d.profile, &d.session);
        const bool is_hit = fault_end();
        if (!vy_failed(err)) {
            smtp_driver_settle(&d);
            assert_int_equal(d.is_closed, is_hit);
        }
        smtp_driver_deinit(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speaking_out_of_turn_is_flagged_by_command_and_protocol),
        cmocka_unit_test(bytes_that_come_after_the_answer_are_in_turn_however_they_are_cut),
        cmocka_unit_test(policies_answer_what_was_out_of_turn),
        cmocka_unit_test(whoever_signed_in_may_speak_as_he_likes),
        cmocka_unit_test(p18_a_full_tarpit_closes_the_session),
        cmocka_unit_test(a_message_behind_a_refused_data_is_never_read_as_commands),
        cmocka_unit_test(plaintext_behind_starttls_ends_the_session_or_is_dropped),
        cmocka_unit_test(a_slow_shard_stops_the_reading_and_nothing_is_lost),
        cmocka_unit_test(room_that_is_granted_is_used_without_another_push),
        cmocka_unit_test(a_shard_is_asked_once_there_is_something_worth_it),
        cmocka_unit_test(a_message_far_over_the_limit_is_read_past_and_then_ended),
        cmocka_unit_test(ten_thousand_recipients_get_their_452_and_the_first_hundred_their_mail),
        cmocka_unit_test(a_lost_answer_is_asked_for_again_under_the_same_key),
        cmocka_unit_test(an_outcome_that_stays_unknown_ends_the_session_without_a_word),
        cmocka_unit_test(what_was_certainly_not_stored_is_answered_for_now),
        cmocka_unit_test(a_shard_that_says_no_early_lets_the_rest_of_the_message_pass),
        cmocka_unit_test(p1_without_a_map_no_recipient_is_accepted),
        cmocka_unit_test(a_doubt_is_not_ended_by_an_account_that_changed),
        cmocka_unit_test(a_call_that_pauses_needs_the_whole_message_again),
        cmocka_unit_test(one_group_that_cannot_and_none_stores),
        cmocka_unit_test(mixed_results_of_groups_have_one_answer),
        cmocka_unit_test(p2_p3_whatever_fails_all_have_it_or_none),
        cmocka_unit_test(lmtp_asks_each_group_by_itself),
        cmocka_unit_test(keys_differ_by_message_and_group),
        cmocka_unit_test(lmtp_asks_once_more_without_those_that_were_refused),
        cmocka_unit_test(a_chunked_message_that_is_reset_leaves_no_call_behind),
        cmocka_unit_test(shutdown_between_the_dot_and_the_answer_waits_for_the_answer),
        cmocka_unit_test(a_client_that_goes_after_the_dot_has_one_copy),
        cmocka_unit_test(input_waits_while_answers_wait),
        cmocka_unit_test(a_steady_body_is_not_slow),
        cmocka_unit_test(a_revoked_sign_in_ends_inside_its_message),
        cmocka_unit_test(what_is_not_certain_waits_for_the_end_of_the_message),
        cmocka_unit_test(a_message_under_way_to_the_shard_is_answered_before_the_end),
        cmocka_unit_test(no_allocation_that_fails_loses_an_accepted_message),
        cmocka_unit_test(no_allocation_that_fails_stores_a_part_of_the_chunks),
        cmocka_unit_test(no_allocation_that_fails_lets_half_a_command_run),
        cmocka_unit_test(a_session_without_memory_is_none_or_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
