/* SPDX-License-Identifier: Apache-2.0 */
/* What transcripts cannot show: segments, back-pressure, memory. Dialogues: tests/transcript/imap.
 */
#include "base/assert.h"
#include "frontend/imap/imap.h"
#include "frontend/imap/imap_session.h"
#include "proto/fetch_stream.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

struct fixture {
    struct session *session;
    struct imap_limits limits;
    struct vy_buf out;
    struct session_action call; /* the last one; its request is not kept */
    uint32_t calls;
    size_t body_bytes;
    bool has_cancel;
    bool has_call_end;
    bool is_reading;
    bool is_closed;
    bool has_tls;
};

static void take_actions(struct fixture *f)
{
    struct session_action action;
    while (f->session->ops->next_action(f->session, &action)) {
        switch (action.kind) {
        case SESSION_SEND:
            vy_buf_append(&f->out, action.bytes);
            break;
        case SESSION_CALL:
            f->call = action;
            f->calls++;
            break;
        case SESSION_CALL_SEND:
            f->body_bytes += action.bytes.len;
            break;
        case SESSION_CALL_END:
            f->has_call_end = true;
            break;
        case SESSION_CALL_CANCEL:
            f->has_cancel = true;
            break;
        case SESSION_START_TLS:
            f->has_tls = true;
            break;
        case SESSION_READ_STOP:
            f->is_reading = false;
            break;
        case SESSION_READ_START:
            f->is_reading = true;
            break;
        case SESSION_CLOSE:
            f->is_closed = true;
            break;
        case SESSION_HASH:
        case SESSION_TIMER:
        case SESSION_LOG:
        case SESSION_COMMAND:
            break;
        }
    }
}

static void send(struct fixture *f, const char *text)
{
    f->session->ops->receive(f->session, vy_cstr(text), 0);
    take_actions(f);
}

static void answer(struct fixture *f, const struct vy_pb_desc *desc, const void *reply)
{
    struct vy_buf bytes;
    vy_buf_init(&bytes, 1 << 20);
    assert_false(vy_failed(vy_pb_encode(desc, reply, &bytes)));
    f->session->ops->call_ended(f->session, f->call.call_id, vy_ok(), vy_buf_bytes(&bytes), 0);
    vy_buf_deinit(&bytes);
    take_actions(f);
}

static void begin(struct fixture *f)
{
    const struct session_peer peer = {
        .is_trusted = true, .can_start_tls = true, .trace_id = {1, 2}
    };
    *f = (struct fixture){.is_reading = true, .limits = imap_limits_default()};
    vy_buf_init(&f->out, 1 << 26);
    assert_false(vy_failed(imap_session_new(&peer, &f->limits, VY_LIT("host"), &f->session)));
    take_actions(f);
}

static void end(struct fixture *f)
{
    f->session->ops->free(f->session);
    vy_buf_deinit(&f->out);
}

static void log_in(struct fixture *f)
{
    const struct login_reply reply = {.result = LOGIN_RESULT_OK,
                                      .account_id = 7,
                                      .account_epoch = 1,
                                      .session_token = VY_LIT("t")};
    send(f, "0 LOGIN a b\r\n");
    answer(f, &login_reply_desc, &reply);
}

/* A mailbox of UIDs 1..count. */
static void select_mailbox(struct fixture *f, uint32_t count)
{
    const struct mailbox_info info = {
        .mailbox_id = 3, .uidvalidity = 1, .uidnext = count + 1, .highest_modseq = 5};
    struct uidset uids;
    struct vy_buf encoded;
    uidset_init(&uids);
    vy_buf_init(&encoded, 1024);
    uidset_add_range(&uids, 1, count);
    uidset_encode(&encoded, &uids);
    const struct mailbox_open_reply reply = {.info = &info, .uids = vy_buf_bytes(&encoded)};
    send(f, "1 SELECT INBOX\r\n"); /* the watch is opened first, the mailbox last */
    answer(f, &mailbox_open_reply_desc, &reply);
    uidset_deinit(&uids);
    vy_buf_deinit(&encoded);
    vy_buf_reset(&f->out);
}

static bool says(const struct fixture *f, const char *text)
{
    return vy_bytes_find(vy_buf_bytes(&f->out), vy_cstr(text), 0) != SIZE_MAX;
}

static void plaintext_behind_starttls_ends_the_connection(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    send(&f, "a STARTTLS\r\nb LOGIN x y\r\n"); /* I7 */
    assert_true(says(&f, "a BAD"));
    assert_false(says(&f, "b "));
    assert_true(f.is_closed);
    assert_false(f.has_tls);
    end(&f);
}

static void nothing_is_read_between_starttls_and_the_handshake(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    send(&f, "a STARTTLS\r\n");
    assert_true(f.has_tls);
    send(&f, "b CAPABILITY\r\n");
    assert_false(says(&f, "b "));
    const struct session_tls tls = {.info = VY_LIT("TLSv1.3")};
    f.session->ops->tls_started(f.session, &tls);
    take_actions(&f);
    assert_false(says(&f, "b "));
    send(&f, "c CAPABILITY\r\n");
    assert_true(says(&f, "c OK"));
    end(&f);
}

static void reading_stops_behind_32_waiting_commands(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    send(&f, "a LOGIN x y\r\n");
    for (int i = 0; i < 31; i++) {
        send(&f, "b NOOP\r\n");
    }
    assert_true(f.is_reading);
    send(&f, "b NOOP\r\n"); /* I25 */
    assert_false(f.is_reading);
    const struct login_reply refused = {.result = LOGIN_RESULT_REFUSED};
    answer(&f, &login_reply_desc, &refused);
    assert_true(f.is_reading);
    assert_true(says(&f, "b OK"));
    end(&f);
}

/* A stream of one message of 1 MiB, in records of 256 KiB. */
static void write_large_message(struct vy_buf *stream)
{
    static uint8_t data[FETCH_LITERAL_BYTES_MAX];
    const uint32_t uid = 1;
    const uint32_t flags = 1;
    const struct fetch_columns columns = {
        .columns = FETCH_COLUMN_FLAGS, .count = 1, .uid = &uid, .flags = &flags};
    const struct vy_bytes texts[FETCH_TEXT_COUNT] = {{.data = NULL}};
    memset(data, 'x', sizeof(data));
    fetch_stream_append_message(stream, &columns, texts, 1);
    fetch_stream_append_section(stream, 0, FETCH_SECTION_LITERAL, 4 * sizeof(data),
                                vy_bytes(NULL, 0));
    for (int i = 0; i < 4; i++) {
        fetch_stream_append_literal(stream, vy_bytes(data, sizeof(data)));
    }
}

static void a_client_that_does_not_read_stops_the_stream(void **state)
{
    (void)state;
    struct fixture f;
    struct vy_buf stream;
    begin(&f);
    log_in(&f);
    select_mailbox(&f, 10);
    send(&f, "a FETCH 1 BODY[]\r\n");
    vy_buf_init(&stream, 1 << 22);
    write_large_message(&stream);
    const struct session_ops *const ops = f.session->ops;
    f.session->output_full = true;
    assert_int_equal(ops->call_data(f.session, f.call.call_id, vy_buf_bytes(&stream)), 0); /* I14 */
    f.session->output_full = false;
    /* In chunks of 64 KiB: never more than the window and one chunk is held. */
    while (vy_buf_len(&stream) > 0) {
        const struct vy_bytes chunk = vy_bytes_slice(vy_buf_bytes(&stream), 0, 65536);
        const size_t taken = ops->call_data(f.session, f.call.call_id, chunk);
        assert_true(taken <= chunk.len);
        const size_t before = vy_buf_len(&f.out);
        take_actions(&f);
        assert_true(vy_buf_len(&f.out) - before <= IMAP_OUT_WINDOW_BYTES + 2 * 65536);
        vy_buf_consume(&stream, taken);
    }
    const struct shard_empty_reply empty = {.modseq = 0};
    answer(&f, &shard_empty_reply_desc, &empty);
    assert_true(says(&f, "a OK"));
    assert_true(vy_buf_len(&f.out) > 4 * FETCH_LITERAL_BYTES_MAX);
    vy_buf_deinit(&stream);
    end(&f);
}

static void a_stream_that_breaks_inside_a_message_ends_the_connection(void **state)
{
    (void)state;
    struct fixture f;
    struct vy_buf stream;
    begin(&f);
    log_in(&f);
    select_mailbox(&f, 10);
    send(&f, "a FETCH 1 BODY[]\r\n");
    vy_buf_init(&stream, 1 << 22);
    write_large_message(&stream);
    f.session->ops->call_data(f.session, f.call.call_id,
                              vy_bytes_slice(vy_buf_bytes(&stream), 0, 1000));
    take_actions(&f);
    f.session->ops->call_ended(f.session, f.call.call_id, vy_error(VY_CODE_UNAVAILABLE, "t"),
                               vy_bytes(NULL, 0), 0);
    take_actions(&f);
    assert_true(f.is_closed);
    assert_false(says(&f, "a NO"));
    vy_buf_deinit(&stream);
    end(&f);
}

static void a_damaged_stream_is_no_crash(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    log_in(&f);
    select_mailbox(&f, 10);
    send(&f, "a FETCH 1 FLAGS\r\n");
    f.session->ops->call_data(f.session, f.call.call_id, VY_LIT("\x01\x00\x00\x00\x02zz"));
    take_actions(&f);
    assert_true(f.has_cancel);
    assert_true(says(&f, "a NO [SERVERBUG]"));
    end(&f);
}

static void append_sends_no_more_than_the_call_takes(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    log_in(&f);
    send(&f, "a APPEND INBOX {10+}\r\n0123456789\r\n");
    assert_int_equal(f.body_bytes, 0);
    f.session->ops->call_writable(f.session, f.call.call_id, 4);
    take_actions(&f);
    assert_int_equal(f.body_bytes, 4);
    assert_false(f.has_call_end);
    f.session->ops->call_writable(f.session, f.call.call_id, 100);
    take_actions(&f);
    assert_int_equal(f.body_bytes, 10);
    assert_true(f.has_call_end);
    end(&f);
}

static void a_client_gone_inside_append_does_not_end_the_body(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    log_in(&f);
    send(&f, "a APPEND INBOX {10+}\r\n01234");
    f.session->ops->call_writable(f.session, f.call.call_id, 100);
    f.session->ops->closed(f.session);
    take_actions(&f);
    assert_int_equal(f.body_bytes, 5);
    assert_false(f.has_call_end); /* I21: CLOSE drops the call, the shard stores nothing */
    assert_true(f.is_closed);
    end(&f);
}

static void reading_stops_while_append_has_no_room(void **state)
{
    (void)state;
    static char data[70001];
    struct fixture f;
    begin(&f);
    log_in(&f);
    memset(data, 'x', sizeof(data) - 1);
    send(&f, "a APPEND INBOX {1000000+}\r\n");
    send(&f, data);
    assert_false(f.is_reading);
    f.session->ops->call_writable(f.session, f.call.call_id, 262144);
    take_actions(&f);
    assert_true(f.is_reading);
    assert_int_equal(f.body_bytes, sizeof(data) - 1);
    end(&f);
}

static void sequences_of_a_million_messages_are_told_a_window_at_a_time(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    log_in(&f);
    select_mailbox(&f, 1000000);
    f.session->output_full = true;
    send(&f, "a FETCH 1:* UID\r\n");
    assert_int_equal(vy_buf_len(&f.out), 0);
    f.session->output_full = false;
    f.session->ops->output_drained(f.session);
    struct session_action action;
    assert_true(f.session->ops->next_action(f.session, &action));
    assert_int_equal(action.kind, SESSION_SEND);
    assert_true(action.bytes.len <= IMAP_OUT_WINDOW_BYTES + 4096);
    f.session->output_full = true;
    assert_false(f.session->ops->next_action(f.session, &action));
    f.session->output_full = false;
    take_actions(&f);
    assert_true(says(&f, "* 1000000 FETCH (UID 1000000)\r\na OK"));
    end(&f);
}

static void an_idle_session_is_small(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    log_in(&f);
    select_mailbox(&f, 1000000);
    send(&f, "a IDLE\r\n");
    const struct imap_session *const s = VY_CONTAINER_OF(f.session, struct imap_session, base);
    const size_t bytes = sizeof(*s) + sizeof(*s->view) +
                         s->view->uids.capacity * sizeof(struct uidset_range) + s->input.capacity +
                         s->out.capacity + s->reader.text.capacity + s->run.text.capacity +
                         s->account.token.capacity + s->account.name.capacity +
                         s->view->keywords.capacity + s->watch.reader.partial.capacity;
    assert_true(bytes <= 4096); /* design 8: a few KiB for an idle session */
    end(&f);
}

/* ---- every allocation of a small session fails once ---- */

struct canned {
    struct vy_buf login, open, stream, empty, found, sync;
};

static void encode(struct vy_buf *out, const struct vy_pb_desc *desc, const void *message)
{
    vy_buf_init(out, 1 << 20);
    assert_false(vy_failed(vy_pb_encode(desc, message, out)));
}

static void make_replies(struct canned *canned)
{
    static const uint8_t uids[] = {1, 9}; /* 1:10 */
    const struct vy_bytes keywords[] = {VY_LIT("$Junk")};
    const struct mailbox_info info = {
        .mailbox_id = 3, .uidvalidity = 1, .uidnext = 11, .highest_modseq = 5};
    const struct login_reply login = {.result = LOGIN_RESULT_OK,
                                      .account_id = 7,
                                      .account_epoch = 1,
                                      .session_token = VY_LIT("t")};
    const struct mailbox_open_reply opened = {.info = &info,
                                              .uids = vy_bytes(uids, 2),
                                              .recent_uids = vy_bytes(uids, 2),
                                              .keywords_count = 1,
                                              .keywords = keywords};
    const struct message_search_reply found = {.uids = vy_bytes(uids, 2)};
    const struct flag_change change = {.uid = 5, .flags = 1, .modseq = 8};
    const struct mailbox_sync_reply synced = {
        .vanished = vy_bytes(uids, 2), .changed_count = 1, .changed = &change, .highest_modseq = 9};
    const struct shard_empty_reply empty = {.modseq = 0};
    encode(&canned->login, &login_reply_desc, &login);
    encode(&canned->open, &mailbox_open_reply_desc, &opened);
    encode(&canned->found, &message_search_reply_desc, &found);
    encode(&canned->sync, &mailbox_sync_reply_desc, &synced);
    encode(&canned->empty, &shard_empty_reply_desc, &empty);
    vy_buf_init(&canned->stream, 1 << 22);
    write_large_message(&canned->stream);
}

static void free_replies(struct canned *canned)
{
    vy_buf_deinit(&canned->login);
    vy_buf_deinit(&canned->open);
    vy_buf_deinit(&canned->stream);
    vy_buf_deinit(&canned->empty);
    vy_buf_deinit(&canned->found);
    vy_buf_deinit(&canned->sync);
}

static void answer_canned(struct fixture *f, const struct vy_buf *reply)
{
    if (!f->is_closed) {
        f->session->ops->call_ended(f->session, f->call.call_id, vy_ok(), vy_buf_bytes(reply), 0);
        take_actions(f);
        vy_buf_reset(&f->out);
    }
}

static void send_if_open(struct fixture *f, const char *text)
{
    if (!f->is_closed) {
        send(f, text);
    }
}

static void play_small_session(struct fixture *f, const struct canned *canned)
{
    send_if_open(f, "0 LOGIN \"a\\\"b\" {1+}\r\nc\r\n");
    answer_canned(f, &canned->login);
    send_if_open(f, "1 SELECT INBOX\r\n");
    answer_canned(f, &canned->open);
    send_if_open(f, "2 FETCH 1:3,5 (FLAGS BODY.PEEK[HEADER.FIELDS (To)])\r\n");
    if (!f->is_closed) {
        f->session->ops->call_data(f->session, f->call.call_id,
                                   vy_bytes_slice(vy_buf_bytes(&canned->stream), 0, 20));
        take_actions(f);
    }
    answer_canned(f, &canned->empty);
    send_if_open(f, "3 SEARCH OR SUBJECT x (1:2 NOT UID 3)\r\n");
    answer_canned(f, &canned->found);
    send_if_open(f, "4 NOOP\r\n");
    answer_canned(f, &canned->sync);
    send_if_open(f, "5 LIST \"\" (a* b%)\r\n");
    send_if_open(f, "6 LOGOUT\r\n");
}

static void no_allocation_that_fails_does_harm(void **state)
{
    (void)state;
    struct canned canned;
    const struct session_peer peer = {.is_trusted = true};
    bool fired = true;
    make_replies(&canned);
    uint64_t n = 1;
    for (; fired; n++) {
        struct fixture f = {.is_reading = true, .limits = imap_limits_default()};
        vy_buf_init(&f.out, 1 << 20);
        assert_non_null(vy_buf_reserve(&f.out, 1 << 19));
        (void)fault_begin(n);
        if (!vy_failed(imap_session_new(&peer, &f.limits, VY_LIT("host"), &f.session))) {
            take_actions(&f);
            play_small_session(&f, &canned);
        }
        fired = fault_end();
        if (f.session != NULL) {
            f.session->ops->free(f.session);
        }
        vy_buf_deinit(&f.out);
    }
    assert_true(n > 20); /* it did allocate */
    free_replies(&canned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plaintext_behind_starttls_ends_the_connection),
        cmocka_unit_test(nothing_is_read_between_starttls_and_the_handshake),
        cmocka_unit_test(reading_stops_behind_32_waiting_commands),
        cmocka_unit_test(a_client_that_does_not_read_stops_the_stream),
        cmocka_unit_test(a_stream_that_breaks_inside_a_message_ends_the_connection),
        cmocka_unit_test(a_damaged_stream_is_no_crash),
        cmocka_unit_test(append_sends_no_more_than_the_call_takes),
        cmocka_unit_test(a_client_gone_inside_append_does_not_end_the_body),
        cmocka_unit_test(reading_stops_while_append_has_no_room),
        cmocka_unit_test(sequences_of_a_million_messages_are_told_a_window_at_a_time),
        cmocka_unit_test(an_idle_session_is_small),
        cmocka_unit_test(no_allocation_that_fails_does_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
