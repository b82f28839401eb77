/* SPDX-License-Identifier: Apache-2.0 */
/* The shell on real sockets: what the cores cannot be asked about. */
#include "frontend/shell_fixture.h"

#include "tests/lib/test.h"
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void open_fixture(struct shell_fixture *f)
{
    const struct shell_options options = {.loops_count = 2};
    shell_fixture_init(f, &options);
    shell_imap_setup(f, "mailbox INBOX messages=3");
}

static void sign_in(struct shell_client *c)
{
    shell_expect(c, "ready");
    shell_say(c, "l LOGIN dev@dev.test secret\r\n");
    shell_expect(c, "l OK ");
}

/* ---- beginnings ---- */

static void a_greeting_names_the_trace_id(void **state)
{
    struct shell_fixture f;
    struct shell_client c;
    (void)state;
    open_fixture(&f);
    shell_connect(&c, &f, SHELL_IMAP);
    shell_expect(&c, "* OK [CAPABILITY IMAP4rev1");
    shell_expect(&c, "mx.dev.test Volary ready ");
    shell_say(&c, "a LOGOUT\r\n");
    shell_expect(&c, "* BYE");
    shell_expect(&c, "a OK");
    shell_expect_end(&c);
    assert_false(c.was_reset);
    shell_hang_up(&c);
    shell_connect(&c, &f, SHELL_SMTP);
    shell_expect(&c, "220 mx.dev.test ESMTP Volary (id ");
    shell_say(&c, "QUIT\r\n");
    shell_expect(&c, "221 ");
    shell_expect_end(&c);
    shell_hang_up(&c);
    shell_wait_connections(&f, 0);
    assert_int_equal(shell_metric(&f, "volary_connections{proto=\"imap\"}"), 0);
    assert_int_equal(shell_metric(&f, "volary_connections_total{proto=\"imap\"}"), 1);
    assert_int_equal(shell_metric(&f, "volary_command_duration_seconds_count{proto=\"imap\","
                                      "command=\"LOGOUT\",result=\"ok\"}"),
                     1);
    assert_int_equal(shell_metric(&f, "volary_command_duration_seconds_count{proto=\"smtp\","
                                      "command=\"QUIT\",result=\"ok\"}"),
                     1);
    shell_fixture_deinit(&f);
}

/* S15, I7, CVE-2011-0411: nothing said in plaintext behind STARTTLS is ever heard. */
static void plaintext_behind_starttls_ends_the_session(void **state)
{
    struct shell_fixture f;
    struct shell_client c;
    (void)state;
    open_fixture(&f);
    shell_connect(&c, &f, SHELL_SUBMISSION);
    shell_expect(&c, "220 ");
    shell_say(&c, "EHLO x\r\n");
    shell_expect(&c, "250 ");
    shell_say(&c, "STARTTLS\r\nNOOP\r\n");
    shell_expect(&c, "501 5.5.1");
    shell_expect_end(&c);
    assert_false(c.was_reset);
    shell_hang_up(&c);
    shell_connect(&c, &f, SHELL_IMAP);
    shell_expect(&c, "ready");
    shell_say(&c, "a STARTTLS\r\nb NOOP\r\n");
    shell_expect(&c, "a BAD");
    shell_expect_end(&c);
    assert_int_equal(vy_bytes_find(vy_buf_bytes(&c.in), VY_LIT("b OK"), 0), SIZE_MAX);
    shell_hang_up(&c);
    shell_fixture_deinit(&f);
}

/* S16: the handshake, one byte at a time, and everything before it forgotten. */
static void starttls_secures_and_forgets(void **state)
{
    struct shell_fixture f;
    struct shell_client c;
    (void)state;
    open_fixture(&f);
    shell_connect(&c, &f, SHELL_SUBMISSION);
    shell_expect(&c, "220 ");
    shell_say(&c, "EHLO x\r\n");
    shell_expect(&c, "250-STARTTLS");
    shell_say(&c, "STARTTLS\r\n");
    shell_expect(&c, "220 ");
    shell_handshake(&c, &f, 1);
    shell_say(&c, "MAIL FROM:<dev@dev.test>\r\n");
    shell_expect(&c, "503 ");
    shell_say(&c, "EHLO x\r\n");
    shell_expect(&c, "SCRAM-SHA-256-PLUS");
    shell_say(&c, "AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=\r\n");
    shell_expect(&c, "235 ");
    shell_hang_up(&c);
    shell_connect(&c, &f, SHELL_IMAP);
    shell_expect(&c, "STARTTLS");
    shell_say(&c, "a STARTTLS\r\n");
    shell_expect(&c, "a OK");
    shell_handshake(&c, &f, 0);
    shell_say(&c, "b LOGIN dev@dev.test secret\r\nc SELECT INBOX\r\n");
    shell_expect(&c, "b OK");
    shell_expect(&c, "* 3 EXISTS");
    shell_expect(&c, "c OK");
    shell_hang_up(&c);
    shell_wait_connections(&f, 0);
    assert_int_equal(
        shell_metric(&f, "volary_auth_total{proto=\"imap\",mech=\"LOGIN\",result=\"ok\"}"), 1);
    assert_int_equal(
        shell_metric(&f, "volary_auth_total{proto=\"submission\",mech=\"PLAIN\",result=\"ok\"}"),
        1);
    shell_fixture_deinit(&f);
}

/* S17: no TLS where TLS begins. */
static void garbage_in_a_handshake_ends_it(void **state)
{
    struct shell_fixture f;
    struct shell_client c;
    (void)state;
    open_fixture(&f);
    shell_connect(&c, &f, SHELL_IMAPS);
    shell_say(&c, "GET / HTTP/1.0\r\n\r\n");
    shell_expect_end(&c);
    shell_hang_up(&c);
    shell_connect(&c, &f, SHELL_IMAPS);
    shell_handshake(&c, &f, 3);
    shell_expect(&c, "* OK");
    vy_tls_free(c.tls);
    c.tls = NULL;
    shell_say(&c, "a NOOP\r\n"); /* a damaged record inside */
    shell_expect_end(&c);
    shell_hang_up(&c);
    shell_connect(&c, &f, SHELL_IMAPS); /* gone before it began */
    shell_hang_up(&c);
    shell_wait_connections(&f, 0);
    shell_fixture_deinit(&f);
}

static void a_handshake_that_does_not_come_times_out(void **state)
{
    struct shell_fixture f;
    struct shell_client c;
    const struct shell_options options = {.handshake_ms = 20};
    (void)state;
    shell_fixture_init(&f, &options);
    shell_connect(&c, &f, SHELL_IMAPS);
    shell_expect_end(&c);
    shell_hang_up(&c);
    shell_connect(&c, &f, SHELL_IMAP);
    shell_say(&c, "a STARTTLS\r\n");
    shell_expect(&c, "a OK");
    shell_expect_end(&c);
    shell_hang_up(&c);
    shell_fixture_deinit(&f);
}

/* ---- bytes ---- */

static const char message[] = "From: a@b\r\nSubject: x\r\n\r\nline\r\n..dot\r\n.\r\n";
static const char stored[] = "From: a@b\r\nSubject: x\r\n\r\nline\r\n.dot\r\n";

static void greet_lmtp(struct shell_client *c, const struct shell_fixture *f)
{
    shell_connect(c, f, SHELL_LMTP);
    shell_expect(c, "220 ");
}

/* S4, I32: how the bytes are cut changes nothing. */
static void bytes_may_come_one_by_one(void **state)
{
    struct shell_fixture f;
    struct shell_client c;
    (void)state;
    open_fixture(&f);
    greet_lmtp(&c, &f);
    struct vy_buf all;
    vy_buf_init(&all, 4096);
    vy_buf_append_cstr(&all, "LHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<dev@dev.test>\r\n"
                             "RCPT TO:<two@dev.test>\r\nDATA\r\n");
    vy_buf_append_cstr(&all, message);
    vy_buf_append_cstr(&all, "QUIT\r\n");
    for (size_t i = 0; i < vy_buf_len(&all); i++) {
        shell_send(&c, vy_bytes_slice(vy_buf_bytes(&all), i, 1));
    }
    vy_buf_deinit(&all);
    shell_expect(&c, "354 ");
    shell_expect(&c, "250 ");
    shell_expect(&c, "250 ");
    shell_expect(&c, "221 ");
    shell_expect_end(&c);
    shell_hang_up(&c);
    assert_int_equal(shell_copies(&f, 1), 1);
    assert_int_equal(shell_copies(&f, 2), 1);
    assert_true(shell_last_copy_is(&f, 1, vy_cstr(stored)));
    shell_fixture_deinit(&f);
}

/* I25: everything is answered, in order, however much is sent ahead. */
static void thousands_of_commands_may_be_sent_ahead(void **state)
{
    enum { COUNT = 20000 };
    struct shell_fixture f;
    struct shell_client c;
    struct vy_buf all;
    (void)state;
    open_fixture(&f);
    shell_connect(&c, &f, SHELL_IMAP);
    sign_in(&c);
    shell_say(&c, "s SELECT INBOX\r\n");
    shell_expect(&c, "s OK");
    vy_buf_init(&all, 4U * 1024 * 1024);
    for (unsigned i = 0; i < COUNT; i++) {
        vy_buf_printf(&all, "t%u NOOP\r\n", i);
    }
    shell_send(&c, vy_buf_bytes(&all));
    vy_buf_deinit(&all);
    for (unsigned i = 0; i < COUNT; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "t%u OK", i);
        shell_expect(&c, text);
    }
    shell_hang_up(&c);
    shell_fixture_deinit(&f);
}

/* A client that closes its sending side is answered to the end. */
static void half_closed_clients_get_their_answers(void **state)
{
    struct shell_fixture f;
    struct shell_client c;
    (void)state;
    open_fixture(&f);
    greet_lmtp(&c, &f);
    shell_say(&c, "LHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<dev@dev.test>\r\nDATA\r\n");
    shell_say(&c, message);
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    shell_expect(&c, "354 ");
    shell_expect(&c, "250 ");
    shell_expect_end(&c);
    assert_false(c.was_reset);
    shell_hang_up(&c);
    shell_connect(&c, &f, SHELL_IMAP);
    shell_say(&c, "a LOGIN dev@dev.test secret\r\nb LIST \"\" *\r\n");
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    shell_expect(&c, "a OK");
    shell_expect(&c, "b OK");
    shell_expect_end(&c);
    shell_hang_up(&c);
    shell_wait_connections(&f, 0);
    shell_fixture_deinit(&f);
}

/* The last answer is not lost to a reset because of what the client had sent behind it. */
static void a_last_word_reaches_clients_that_go_on_talking(void **state)
{
    enum { JUNK_BYTES = 300000 };
    struct shell_fixture f;
    struct shell_client c;
    (void)state;
    open_fixture(&f);
    greet_lmtp(&c, &f);
    char *junk = malloc(JUNK_BYTES);
    assert_non_null(junk);
    memset(junk, 'x', JUNK_BYTES);
    memcpy(junk, "QUIT\r\n", 6);
    shell_send(&c, vy_bytes(junk, JUNK_BYTES));
    shell_expect(&c, "221 ");
    shell_expect_end(&c);
    assert_false(c.was_reset);
    free(junk);
    shell_hang_up(&c);
    shell_fixture_deinit(&f);
}

/* I14, P16: a client that does not read stops the shard, not the server. */
static void fetch_waits_for_a_client_that_does_not_read(void **state)
{
    enum { ROWS = 400000, ROW_BYTES_LEAST = 60, STEP = 65536 };
    /* what may lie between the shard and the client: credit, held records, output, sockets */
    const uint64_t between_bytes_max = 24U * 1024 * 1024;
    struct shell_fixture f;
    struct shell_client c;
    const struct shell_options options = {.fetch_rows = ROWS};
    (void)state;
    shell_fixture_init(&f, &options);
    shell_connect(&c, &f, SHELL_IMAP);
    sign_in(&c);
    shell_say(&c, "s SELECT INBOX\r\n");
    shell_expect(&c, "s OK");
    shell_say(&c, "f FETCH 1:* (UID FLAGS MODSEQ RFC822.SIZE INTERNALDATE)\r\n");
    uint64_t read_bytes = 0;
    uint64_t rows = 0;
    uint8_t before = 0;
    bool is_over = false;
    while (!is_over) {
        const uint64_t sent_bytes = shell_rows_sent(&f) * ROW_BYTES_LEAST;
        assert_true(sent_bytes < read_bytes + between_bytes_max);
        if (vy_buf_len(&c.in) == 0) {
            assert_true(shell_read_some(&c, STEP));
        }
        const struct vy_bytes bytes = vy_buf_bytes(&c.in);
        for (size_t i = 0; i < bytes.len; i++) {
            rows += bytes.data[i] == '*' && (before == '\n' || read_bytes + i == 0);
            is_over = is_over || (bytes.data[i] == 'f' && before == '\n');
            before = bytes.data[i];
        }
        read_bytes += bytes.len;
        vy_buf_reset(&c.in);
    }
    assert_int_equal(rows, ROWS);
    shell_hang_up(&c);
    shell_fixture_deinit(&f);
}

/* I14: it is not waited for without end; whoever has nothing to take may stay. */
static void a_client_that_takes_nothing_is_given_up(void **state)
{
    struct shell_fixture f;
    struct shell_client deaf;
    struct shell_client idle;
    const struct shell_options options = {.fetch_rows = 400000, .write_stall_ms = 50};
    (void)state;
    shell_fixture_init(&f, &options);
    shell_connect(&idle, &f, SHELL_IMAP);
    sign_in(&idle);
    shell_connect(&deaf, &f, SHELL_IMAP);
    sign_in(&deaf);
    shell_say(&deaf, "s SELECT INBOX\r\n");
    shell_expect(&deaf, "s OK");
    shell_say(&deaf, "f FETCH 1:* (UID FLAGS MODSEQ RFC822.SIZE INTERNALDATE)\r\n");
    shell_wait_connections(&f, 1);
    shell_say(&idle, "a NOOP\r\n");
    shell_expect(&idle, "a OK");
    shell_hang_up(&deaf);
    shell_hang_up(&idle);
    shell_fixture_deinit(&f);
}

/* ---- ends ---- */

/* S32, P3: without its end a message is nowhere, and the shard is told to forget it. */
static void a_client_that_leaves_inside_data_leaves_nothing(void **state)
{
    struct shell_fixture f;
    struct shell_client c;
    (void)state;
    open_fixture(&f);
    greet_lmtp(&c, &f);
    shell_say(&c, "LHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<dev@dev.test>\r\nDATA\r\n");
    shell_expect(&c, "354 ");
    shell_say(&c, "Subject: half\r\n\r\nhalf a line");
    shell_hang_up(&c);
    shell_wait_connections(&f, 0);
    assert_int_equal(shell_copies(&f, 1), 0);
    shell_fixture_deinit(&f);
}

/* 3.2, S31: everyone is told, whoever comes later is not let in. */
static void draining_says_goodbye(void **state)
{
    struct shell_fixture f;
    struct shell_client smtp;
    struct shell_client imap;
    struct shell_client idle;
    (void)state;
    open_fixture(&f);
    greet_lmtp(&smtp, &f);
    shell_connect(&imap, &f, SHELL_IMAP);
    sign_in(&imap);
    shell_connect(&idle, &f, SHELL_IMAPS);
    shell_handshake(&idle, &f, 0);
    sign_in(&idle);
    shell_say(&idle, "s SELECT INBOX\r\ni IDLE\r\n");
    shell_expect(&idle, "+ ");
    frontend_drain(f.frontend, 1000);
    shell_expect(&smtp, "421 4.3.2");
    shell_expect(&imap, "* BYE");
    shell_expect(&idle, "* BYE");
    shell_expect_end(&smtp);
    shell_expect_end(&imap);
    shell_expect_end(&idle);
    shell_hang_up(&smtp);
    shell_hang_up(&imap);
    shell_hang_up(&idle);
    shell_wait_connections(&f, 0);
    shell_fixture_deinit(&f);
}

/* Thousands are sent away one behind the other, and all of them. */
static void draining_many_is_paced(void **state)
{
    enum { COUNT = 300 };
    struct shell_fixture f;
    static struct shell_client c[COUNT];
    (void)state;
    open_fixture(&f);
    for (size_t i = 0; i < COUNT; i++) {
        shell_connect(&c[i], &f, SHELL_IMAP);
        shell_expect(&c[i], "ready");
    }
    frontend_drain(f.frontend, 10000);
    for (size_t i = 0; i < COUNT; i++) {
        shell_expect(&c[i], "* BYE");
        shell_expect_end(&c[i]);
        shell_hang_up(&c[i]);
    }
    shell_wait_connections(&f, 0);
    shell_fixture_deinit(&f);
}

/* DEL-6, APP-2: sessions of an account that changed end, others go on. */
static void sessions_end_with_their_accounts_epoch(void **state)
{
    struct shell_fixture f;
    struct shell_client imap;
    struct shell_client mail;
    struct shell_client stranger;
    (void)state;
    open_fixture(&f);
    shell_connect(&imap, &f, SHELL_IMAP);
    sign_in(&imap); /* account 77, epoch 1 */
    shell_connect(&mail, &f, SHELL_SUBMISSION);
    shell_expect(&mail, "220 ");
    shell_say(&mail, "EHLO x\r\n");
    shell_expect(&mail, "250 ");
    shell_say(&mail, "AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=\r\n"); /* account 1, epoch 7 */
    shell_expect(&mail, "235 ");
    shell_connect(&stranger, &f, SHELL_IMAP);
    shell_expect(&stranger, "ready");
    shell_raise_epoch(&f, 77, 1); /* the epoch that it has */
    shell_raise_epoch(&f, 1, 8);
    shell_expect(&mail, "421 4.7.0");
    shell_expect_end(&mail);
    shell_say(&imap, "a NOOP\r\n");
    shell_expect(&imap, "a OK");
    shell_raise_epoch(&f, 77, 2);
    shell_expect(&imap, "* BYE");
    shell_expect_end(&imap);
    shell_say(&stranger, "a NOOP\r\n");
    shell_expect(&stranger, "a OK");
    shell_say(&stranger, "b LOGIN dev@dev.test secret\r\n"); /* an old epoch: decided before */
    shell_expect(&stranger, "* BYE");
    shell_expect_end(&stranger);
    shell_hang_up(&imap);
    shell_hang_up(&mail);
    shell_hang_up(&stranger);
    shell_fixture_deinit(&f);
}

/* When events were missed, IMAP goes on (its shard checks every call), submission does not. */
static void missed_events_end_what_nobody_else_checks(void **state)
{
    struct shell_fixture f;
    struct shell_client imap;
    struct shell_client mail;
    (void)state;
    open_fixture(&f);
    shell_connect(&imap, &f, SHELL_IMAP);
    sign_in(&imap);
    shell_connect(&mail, &f, SHELL_SUBMISSION);
    shell_expect(&mail, "220 ");
    shell_say(&mail, "EHLO x\r\n");
    shell_expect(&mail, "250 ");
    shell_say(&mail, "AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=\r\n");
    shell_expect(&mail, "235 ");
    shell_raise_epoch(&f, 0, 0);
    shell_expect(&mail, "421 4.7.0");
    shell_expect_end(&mail);
    shell_say(&imap, "a NOOP\r\n");
    shell_expect(&imap, "a OK");
    shell_hang_up(&imap);
    shell_hang_up(&mail);
    shell_fixture_deinit(&f);
}

/* P22: a slot that moved is a pause. */
static void a_moved_account_is_asked_again(void **state)
{
    struct shell_fixture f;
    struct shell_client c;
    (void)state;
    open_fixture(&f);
    shell_connect(&c, &f, SHELL_IMAP);
    sign_in(&c);
    shell_move_away(&f, 3);
    shell_say(&c, "s SELECT INBOX\r\n");
    shell_expect(&c, "* 3 EXISTS");
    shell_expect(&c, "s OK");
    shell_hang_up(&c);
    shell_fixture_deinit(&f);
}

/* P22, F21: and so is one in the middle of an APPEND, as long as its body is still here. */
static void a_short_append_is_sent_again(void **state)
{
    enum { KEPT_BYTES = 256 * 1024, MORE_BYTES = KEPT_BYTES + 1 };
    struct shell_fixture f;
    struct shell_client c;
    (void)state;
    open_fixture(&f);
    shell_connect(&c, &f, SHELL_IMAP);
    sign_in(&c);
    char *body = malloc(MORE_BYTES);
    assert_non_null(body);
    memset(body, 'x', MORE_BYTES);
    shell_move_away(&f, 3);
    shell_say(&c, "a APPEND INBOX {9+}\r\nA: b\r\n\r\nc\r\n");
    shell_expect(&c, "a OK");
    shell_move_away(&f, 2);
    shell_say(&c, "b APPEND INBOX {262144+}\r\n");
    shell_send(&c, vy_bytes(body, KEPT_BYTES));
    shell_say(&c, "\r\n");
    shell_expect(&c, "b OK");
    shell_move_away(&f, 1);
    shell_say(&c, "c APPEND INBOX {262145+}\r\n");
    shell_send(&c, vy_bytes(body, MORE_BYTES));
    shell_say(&c, "\r\n");
    shell_expect(&c, "c NO [UNAVAILABLE]");
    shell_say(&c, "s SELECT INBOX\r\nf FETCH 4:* RFC822.SIZE\r\n");
    shell_expect(&c, "* 5 EXISTS");
    shell_expect(&c, "* 4 FETCH (RFC822.SIZE 9)");
    shell_expect(&c, "* 5 FETCH (RFC822.SIZE 262144)");
    shell_expect(&c, "f OK");
    free(body);
    shell_hang_up(&c);
    shell_fixture_deinit(&f);
}

/* P6: a FETCH may last an hour, but not for want of a shard. */
static void a_shard_that_does_not_answer_is_given_up(void **state)
{
    enum { BODY_BYTES = 2000000 };
    struct shell_fixture f;
    struct shell_client c;
    const struct shell_options options = {.loops_count = 1, .call_stall_ms = 50};
    (void)state;
    shell_fixture_init(&f, &options);
    shell_imap_setup(&f, "mailbox INBOX messages=3");
    shell_connect(&c, &f, SHELL_IMAP);
    sign_in(&c);
    shell_say(&c, "s SELECT INBOX\r\nf FETCH 1:3 FLAGS\r\n");
    shell_expect(&c, "f OK");
    shell_pause(&f);
    shell_say(&c, "g FETCH 1:3 FLAGS\r\n");
    shell_expect(&c, "g NO [UNAVAILABLE]");
    shell_resume(&f);
    shell_say(&c, "h FETCH 1:3 FLAGS\r\n");
    shell_expect(&c, "h OK");
    char *body = malloc(BODY_BYTES);
    assert_non_null(body);
    memset(body, 'x', BODY_BYTES);
    shell_pause(&f);
    shell_say(&c, "a APPEND INBOX {2000000+}\r\n");
    shell_send(&c, vy_bytes(body, BODY_BYTES));
    shell_say(&c, "\r\n");
    shell_expect(&c, "a NO [UNAVAILABLE]");
    shell_resume(&f);
    shell_say(&c, "n NOOP\r\n");
    shell_expect(&c, "n OK");
    shell_pause(&f); /* small enough to be on its way as a whole: nobody knows */
    shell_say(&c, "b APPEND INBOX {9+}\r\nA: b\r\n\r\nc\r\n");
    shell_expect(&c, "b NO [UNAVAILABLE]");
    shell_resume(&f);
    shell_say(&c, "m NOOP\r\n");
    shell_expect(&c, "m OK");
    free(body);
    shell_hang_up(&c);
    shell_fixture_deinit(&f);
}

/* ---- limits ---- */

/* 5.6: the client is told why. */
static void connections_over_a_limit_are_refused_in_words(void **state)
{
    struct shell_fixture f;
    struct shell_client c[3];
    struct shell_client over;
    const struct shell_options options = {.per_ip_max = 2, .is_untrusted = true};
    (void)state;
    shell_fixture_init(&f, &options);
    shell_connect(&c[0], &f, SHELL_IMAP);
    shell_expect(&c[0], "ready");
    shell_connect(&c[1], &f, SHELL_LMTP);
    shell_expect(&c[1], "220 ");
    shell_connect(&over, &f, SHELL_IMAP);
    shell_expect(&over, "* BYE [LIMIT]");
    shell_expect_end(&over);
    shell_hang_up(&over);
    shell_connect(&over, &f, SHELL_SMTP);
    shell_expect(&over, "421 4.7.0");
    shell_hang_up(&over);
    shell_hang_up(&c[0]);
    shell_wait_connections(&f, 1);
    shell_connect(&c[2], &f, SHELL_IMAP);
    shell_expect(&c[2], "ready");
    shell_hang_up(&c[1]);
    shell_hang_up(&c[2]);
    assert_int_equal(shell_metric(&f, "volary_connections_refused_total{proto=\"imap\","
                                      "reason=\"limit_per_ip\"}"),
                     1);
    shell_fixture_deinit(&f);
    const struct shell_options few = {.connections_max = 1};
    shell_fixture_init(&f, &few);
    shell_connect(&c[0], &f, SHELL_IMAP);
    shell_expect(&c[0], "ready");
    shell_connect(&over, &f, SHELL_SMTP);
    shell_expect(&over, "421 4.3.2");
    shell_expect_end(&over);
    shell_hang_up(&over);
    shell_hang_up(&c[0]);
    shell_fixture_deinit(&f);
}

/* F19: without descriptors clients wait; they are served when there are some again. */
static void accepting_goes_on_when_descriptors_are_back(void **state)
{
    struct shell_fixture f;
    struct shell_client first;
    struct shell_client second;
    struct rlimit limit;
    (void)state;
    open_fixture(&f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    shell_connect(&first, &f, SHELL_IMAP);
    shell_expect(&first, "ready");
    const int lowest = dup(first.fd); /* the next free number */
    assert_true(lowest >= 0);
    (void)close(lowest);
    const struct rlimit none_left = {.rlim_cur = (rlim_t)lowest + 1, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none_left), 0);
    shell_connect(&second, &f, SHELL_IMAP); /* takes the last one */
    shell_say(&first, "a NOOP\r\n");
    shell_expect(&first, "a OK");
    assert_int_equal(frontend_connection_count(f.frontend), 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    shell_expect(&second, "ready");
    shell_hang_up(&first);
    shell_hang_up(&second);
    shell_fixture_deinit(&f);
}

/* E8: Argon2id in the pool, the session waits. */
static void chosen_passwords_are_hashed_in_the_pool(void **state)
{
    enum { COUNT = 20 };
    struct shell_fixture f;
    struct shell_client c[COUNT];
    (void)state;
    open_fixture(&f);
    for (size_t i = 0; i < COUNT; i++) {
        shell_connect(&c[i], &f, SHELL_IMAP);
        shell_say(&c[i], "a LOGIN argon@dev.test secret\r\n");
    }
    for (size_t i = 0; i < COUNT; i++) {
        if (i % 4 == 3) {
            shell_hang_up(&c[i]); /* some do not wait */
            continue;
        }
        shell_expect(&c[i], "a OK");
        shell_hang_up(&c[i]);
    }
    shell_fixture_deinit(&f);
}

/* A5: who reconnects with a right password costs no second hash; a wrong one costs one every time.
 */
static void a5_right_passwords_are_remembered_and_wrong_ones_are_not(void **state)
{
    struct shell_fixture f;
    struct shell_client c;
    (void)state;
    open_fixture(&f);
    for (unsigned i = 0; i < 3; i++) {
        shell_connect(&c, &f, SHELL_IMAP);
        shell_say(&c, "a LOGIN argon@dev.test wrong\r\n");
        shell_expect(&c, "a NO [AUTHENTICATIONFAILED]");
        shell_say(&c, "b LOGIN argon@dev.test secret\r\n");
        shell_expect(&c, "b OK");
        shell_hang_up(&c);
    }
    assert_int_equal(shell_metric(&f, "volary_password_hashes_total{result=\"computed\"}"), 3 + 1);
    assert_int_equal(shell_metric(&f, "volary_password_hashes_total{result=\"remembered\"}"), 2);
    shell_fixture_deinit(&f);
}

/* ---- the tarpit (promises 5.6) ---- */

static void guess_twice(struct shell_client *c, const struct shell_fixture *f)
{
    shell_connect(c, f, SHELL_IMAPS);
    shell_handshake(c, f, 0);
    shell_expect(c, "ready");
    shell_say(c, "a LOGIN dev@dev.test wrong\r\n");
    shell_expect(c, "a NO [AUTHENTICATIONFAILED]"); /* anyone mistypes once */
    shell_say(c, "b LOGIN dev@dev.test wrong\r\n");
}

static void wait_for_tarpit(const struct shell_fixture *f, uint64_t count)
{
    for (int i = 0; shell_metric(f, "volary_tarpit_connections") != count; i++) {
        assert_true(i < SHELL_WAIT_MS);
        (void)poll(NULL, 0, 1);
    }
}

static void p18_a_full_tarpit_closes_at_once(void **state)
{
    const struct shell_options options = {
        .loops_count = 2, .is_untrusted = true, .tarpit_max = 2, .auth_delay_ms = 3600 * 1000};
    struct shell_fixture f;
    struct shell_client held[2];
    struct shell_client c;
    (void)state;
    shell_fixture_init(&f, &options);
    guess_twice(&held[0], &f);
    guess_twice(&held[1], &f);
    wait_for_tarpit(&f, 2);
    guess_twice(&c, &f);
    shell_expect(&c, "* BYE [LIMIT]");
    shell_expect_end(&c);
    shell_hang_up(&c);
    shell_hang_up(&held[0]); /* gives its place back */
    wait_for_tarpit(&f, 1);
    guess_twice(&c, &f);
    wait_for_tarpit(&f, 2);
    shell_hang_up(&c);
    shell_hang_up(&held[1]);
    wait_for_tarpit(&f, 0);
    shell_fixture_deinit(&f);
}

/* ---- memory: design 11 ---- */

/* A test of many clients says so when the machine does not allow them. */
static void skip_without_descriptors(size_t clients)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2 * clients + 64) {
        print_message("needs %zu descriptors: raise ulimit -n\n", 2 * clients + 64);
        skip();
    }
}

#ifdef __SANITIZE_ADDRESS__
#define IS_MEASURED false
#else
#define IS_MEASURED true
#endif

static size_t heap_bytes(void)
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void idle(struct shell_client *c)
{
    sign_in(c);
    shell_say(c, "s SELECT INBOX\r\ni IDLE\r\n");
    shell_expect(c, "+ ");
    vy_buf_release(&c->in);
    vy_buf_deinit(&c->in);
}

/* Large bodies in both directions: nothing of them stays. */
static void append_and_fetch(struct shell_client *c)
{
    enum { BODY_BYTES = 300000 };
    char *body = malloc(BODY_BYTES);
    assert_non_null(body);
    memset(body, 'x', BODY_BYTES);
    memcpy(body, "A: b\r\n\r\n", 8);
    memcpy(body + BODY_BYTES - 2, "\r\n", 2);
    sign_in(c);
    shell_say(c, "a APPEND Big {300000+}\r\n");
    shell_send(c, vy_bytes(body, BODY_BYTES));
    shell_say(c, "\r\n");
    shell_expect(c, "a OK");
    shell_say(c, "s EXAMINE Big\r\nf FETCH 1:2 BODY.PEEK[]\r\n");
    shell_expect(c, "f OK");
    shell_say(c, "i IDLE\r\n");
    shell_expect(c, "+ ");
    vy_buf_deinit(&c->in);
    free(body);
}

static void large_bodies_leave_nothing_behind(void **state)
{
    enum { COUNT = 12, FIRST = 2 };
    const size_t stored_bytes = 524288; /* what the double's buffer takes for a body */
    struct shell_fixture f;
    struct shell_client c[COUNT];
    size_t before = 0;
    (void)state;
    open_fixture(&f);
    shell_imap_setup(&f, "mailbox Big messages=0");
    for (size_t i = 0; i < COUNT; i++) {
        if (i == FIRST) {
            before = heap_bytes();
        }
        shell_connect(&c[i], &f, SHELL_IMAPS);
        shell_handshake(&c[i], &f, 0);
        append_and_fetch(&c[i]);
        vy_tls_free(c[i].tls);
        c[i].tls = NULL;
    }
    const size_t each = (heap_bytes() - before) / (COUNT - FIRST);
    if (IS_MEASURED) {
        print_message("TLS after large bodies: %zu bytes of heap, with %zu that are stored\n", each,
                      stored_bytes);
        assert_true(each <= stored_bytes + 48U * 1024);
    }
    for (size_t i = 0; i < COUNT; i++) {
        shell_hang_up(&c[i]);
    }
    shell_fixture_deinit(&f);
}

static void measure_idle(enum shell_port port, size_t count, size_t bytes_max, const char *name)
{
    struct shell_fixture f;
    open_fixture(&f);
    struct shell_client *clients = calloc(count, sizeof(*clients));
    assert_non_null(clients);
    size_t before = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 10) {
            before = heap_bytes(); /* what is made once is there */
        }
        shell_connect(&clients[i], &f, port);
        if (port == SHELL_IMAPS) {
            shell_handshake(&clients[i], &f, 0);
        }
        idle(&clients[i]);
        vy_tls_free(clients[i].tls); /* the server's part is what counts */
        clients[i].tls = NULL;
    }
    shell_wait_connections(&f, count);
    const size_t each = (heap_bytes() - before) / (count - 10);
    if (IS_MEASURED) {
        print_message("%s: %zu bytes of heap for each idle connection, of %zu\n", name, each,
                      count);
        assert_true(each <= bytes_max);
    }
    for (size_t i = 0; i < count; i++) {
        shell_hang_up(&clients[i]);
    }
    free(clients);
    shell_wait_connections(&f, 0);
    shell_fixture_deinit(&f);
}

static void idle_connections_are_small(void **state)
{
    (void)state;
    skip_without_descriptors(1000);
    measure_idle(SHELL_IMAP, 1000, 16U * 1024, "plain");
    measure_idle(SHELL_IMAPS, 400, 48U * 1024, "TLS");
}

/* More calls at once than a link carries: they wait their turn, none is refused. */
static void more_calls_at_once_than_a_link_has(void **state)
{
    enum { COUNT = RPC_CALLS_PER_LINK_MAX + 200 };
    struct shell_fixture f;
    const struct shell_options options = {.loops_count = 1};
    (void)state;
    skip_without_descriptors(COUNT);
    shell_fixture_init(&f, &options);
    shell_imap_setup(&f, "mailbox INBOX messages=1");
    struct shell_client *clients = calloc(COUNT, sizeof(*clients));
    assert_non_null(clients);
    for (size_t i = 0; i < COUNT; i++) {
        shell_connect(&clients[i], &f, SHELL_IMAP);
        sign_in(&clients[i]);
    }
    shell_pause(&f);
    for (size_t i = 0; i < COUNT; i++) {
        shell_say(&clients[i], "a LIST \"\" *\r\n");
    }
    shell_say(&clients[COUNT - 1], "b LOGOUT\r\n");
    while (shell_metric(&f, "volary_connection_bytes_total{proto=\"imap\",direction=\"in\"}") <
           COUNT * strlen("l LOGIN dev@dev.test secret\r\na LIST \"\" *\r\n")) {
        (void)poll(NULL, 0, 1); /* all of them were read, and asked */
    }
    shell_resume(&f);
    for (size_t i = 0; i < COUNT; i++) {
        shell_expect(&clients[i], "a OK");
        shell_hang_up(&clients[i]);
    }
    free(clients);
    shell_fixture_deinit(&f);
}

/* Watches are many: more of them than a link carries calls. */
static void more_idlers_than_a_link_has_calls(void **state)
{
    enum { COUNT = RPC_CALLS_PER_LINK_MAX + 100 };
    struct shell_fixture f;
    const struct shell_options options = {.loops_count = 1};
    (void)state;
    skip_without_descriptors(COUNT);
    shell_fixture_init(&f, &options);
    shell_imap_setup(&f, "mailbox INBOX messages=1");
    struct shell_client *clients = calloc(COUNT, sizeof(*clients));
    assert_non_null(clients);
    for (size_t i = 0; i < COUNT; i++) {
        shell_connect(&clients[i], &f, SHELL_IMAP);
        idle(&clients[i]);
    }
    shell_say(&clients[COUNT - 1], "DONE\r\nn NOOP\r\n");
    shell_expect(&clients[COUNT - 1], "n OK");
    for (size_t i = 0; i < COUNT; i++) {
        shell_hang_up(&clients[i]);
    }
    free(clients);
    shell_fixture_deinit(&f);
}

/* Two descriptors a client, and thousands of clients. */
static void allow_many_descriptors(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

int main(void)
{
    allow_many_descriptors();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_greeting_names_the_trace_id),
        cmocka_unit_test(plaintext_behind_starttls_ends_the_session),
        cmocka_unit_test(starttls_secures_and_forgets),
        cmocka_unit_test(garbage_in_a_handshake_ends_it),
        cmocka_unit_test(a_handshake_that_does_not_come_times_out),
        cmocka_unit_test(bytes_may_come_one_by_one),
        cmocka_unit_test(thousands_of_commands_may_be_sent_ahead),
        cmocka_unit_test(half_closed_clients_get_their_answers),
        cmocka_unit_test(a_last_word_reaches_clients_that_go_on_talking),
        cmocka_unit_test(fetch_waits_for_a_client_that_does_not_read),
        cmocka_unit_test(a_client_that_takes_nothing_is_given_up),
        cmocka_unit_test(a_client_that_leaves_inside_data_leaves_nothing),
        cmocka_unit_test(draining_says_goodbye),
        cmocka_unit_test(draining_many_is_paced),
        cmocka_unit_test(sessions_end_with_their_accounts_epoch),
        cmocka_unit_test(missed_events_end_what_nobody_else_checks),
        cmocka_unit_test(a_moved_account_is_asked_again),
        cmocka_unit_test(a_short_append_is_sent_again),
        cmocka_unit_test(a_shard_that_does_not_answer_is_given_up),
        cmocka_unit_test(connections_over_a_limit_are_refused_in_words),
        cmocka_unit_test(accepting_goes_on_when_descriptors_are_back),
        cmocka_unit_test(chosen_passwords_are_hashed_in_the_pool),
        cmocka_unit_test(a5_right_passwords_are_remembered_and_wrong_ones_are_not),
        cmocka_unit_test(p18_a_full_tarpit_closes_at_once),
        cmocka_unit_test(idle_connections_are_small),
        cmocka_unit_test(large_bodies_leave_nothing_behind),
        cmocka_unit_test(more_idlers_than_a_link_has_calls),
        cmocka_unit_test(more_calls_at_once_than_a_link_has),
    };
    cmocka_set_test_filter(getenv("SHELL_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
