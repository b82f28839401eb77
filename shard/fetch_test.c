/* SPDX-License-Identifier: Apache-2.0 */
/* FETCH: rows, texts and sections as a stream, from a snapshot, under credit, checked (P4). */
#include "mail/flags.h"
#include "mail/uidset.h"
#include "shard/email_row.h"
#include "shard/fetch_private.h"
#include "shard/reads_fixture.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

static struct reads r;

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

static void append_many(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        reads_append_cstr(&r, "Subject: one of many\r\n\r\ntext\r\n");
    }
}

static void assert_text(struct vy_bytes got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.data, want, got.len);
}

/* ---- rows ---- */

static void rows_come_in_order_and_whole(void **state)
{
    const struct message_fetch_request request = {
        .columns = FETCH_COLUMN_FLAGS | FETCH_COLUMN_SIZE | FETCH_COLUMN_MODSEQ |
                   FETCH_COLUMN_EMAILID | FETCH_COLUMN_THREADID};
    (void)state;
    append_many(700);
    assert_false(vy_failed(reads_fetch(&r, &request)));
    assert_int_equal(r.fetched->count, 700);
    for (uint32_t i = 0; i < 700; i++) {
        assert_int_equal(r.fetched->messages[i].uid, i + 1);
        assert_int_equal(r.fetched->messages[i].size_bytes, 30);
    }
}

static void only_what_was_asked_for_comes(void **state)
{
    const struct message_fetch_request request = {.uids = VY_LIT("\x02\x00\x05\x01"),
                                                  .columns = FETCH_COLUMN_FLAGS};
    (void)state;
    append_many(20);
    assert_false(vy_failed(reads_fetch(&r, &request))); /* 2, 7:8 */
    assert_int_equal(r.fetched->count, 3);
    assert_int_equal(r.fetched->messages[0].uid, 2);
    assert_int_equal(r.fetched->messages[1].uid, 7);
    assert_int_equal(r.fetched->messages[2].uid, 8);
}

/* Holes wide enough to seek over them. */
static void distant_messages_are_found_by_seeking(void **state)
{
    struct message_fetch_request request = {.columns = FETCH_COLUMN_FLAGS};
    VY_CLEANUP(vy_buf_deinit) struct vy_buf uids;
    struct uidset_writer writer = {.last = 0};

    (void)state;
    vy_buf_init(&uids, 100);
    append_many(3000);
    uidset_write_range(&writer, &uids, 5, 5);
    uidset_write_range(&writer, &uids, 1500, 1501);
    uidset_write_range(&writer, &uids, 2999, 5000);
    request.uids = vy_buf_bytes(&uids);
    assert_false(vy_failed(reads_fetch(&r, &request)));
    static const uint32_t want[] = {5, 1500, 1501, 2999, 3000};
    assert_int_equal(r.fetched->count, VY_COUNT_OF(want));
    for (size_t i = 0; i < VY_COUNT_OF(want); i++) {
        assert_int_equal(r.fetched->messages[i].uid, want[i]);
    }
    assert_int_equal(r.fetched->expunged, 2000);
}

static void unchanged_messages_are_left_out(void **state)
{
    const struct message_store_request store = {.actor = r.actor,
                                                .uids = reads_uids(&r, 3, 3),
                                                .mode = STORE_MODE_ADD,
                                                .flags = MAIL_FLAG_FLAGGED};
    struct message_store_request own = store;
    (void)state;
    append_many(5);
    assert_false(vy_failed(
        reads_fetch(&r, &(struct message_fetch_request){.columns = FETCH_COLUMN_MODSEQ})));
    const uint64_t highest = r.fetched->messages[4].modseq;
    own.mailbox_id = r.mailbox_id;
    assert_false(vy_failed(shard_local_call(r.local, METHOD_SHARD_MESSAGE_STORE, NULL, &own,
                                            vy_bytes(NULL, 0), NULL, NULL)));
    assert_false(
        vy_failed(reads_fetch(&r, &(struct message_fetch_request){.columns = FETCH_COLUMN_FLAGS,
                                                                  .changed_since = highest})));
    assert_int_equal(r.fetched->count, 1);
    assert_int_equal(r.fetched->messages[0].uid, 3);
    assert_int_equal(r.fetched->messages[0].flags, MAIL_FLAG_FLAGGED);
}

static void imap_f2_expunged_messages_stay_readable_for_their_view(void **state)
{
    const struct fetch_section text = {.kind = MAIL_SECTION_TEXT};
    struct message_fetch_request request = {
        .columns = FETCH_COLUMN_FLAGS, .sections_count = 1, .sections = &text, .view_id = 9};
    (void)state;
    append_many(6);
    reads_open_view(&r, 9);
    assert_false(vy_failed(reads_expunge(&r, 2)));
    assert_false(vy_failed(reads_expunge(&r, 6)));
    request.uids = reads_uids(&r, 1, 6);
    assert_false(vy_failed(reads_fetch(&r, &request)));
    assert_int_equal(r.fetched->count, 6);
    assert_int_equal(r.fetched->messages[1].uid, 2);
    assert_text(r.fetched->messages[1].sections[0].bytes, "text\r\n");
    assert_int_equal(r.fetched->expunged, 0);

    request.view_id = 0; /* nobody's view */
    assert_false(vy_failed(reads_fetch(&r, &request)));
    assert_int_equal(r.fetched->count, 4);
    assert_int_equal(r.fetched->expunged, 2);
}

static void a_missing_mailbox_is_not_found(void **state)
{
    const struct message_fetch_request request = {.mailbox_id = 12345,
                                                  .columns = FETCH_COLUMN_FLAGS};
    (void)state;
    append_many(1);
    assert_int_equal(reads_fetch(&r, &request).code, VY_CODE_NOT_FOUND);
}

/* ---- sections ---- */

static const char nested[] =
    "Subject: outer\r\nX-One: 1\r\nTo: a@b\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"
    "preamble\r\n--o\r\nContent-Type: text/plain\r\n\r\nfirst\r\n"
    "--o\r\nContent-Type: message/rfc822\r\n\r\n"
    "Subject: inner\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n"
    "--i\r\n\r\nplain\r\n--i\r\nContent-Type: text/html\r\n\r\n<b>html\r\n--i--\r\n"
    "\r\n--o\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    "aGVs\r\nbG8=\r\n"
    "--o\r\nContent-Transfer-Encoding: x-odd\r\n\r\nodd\r\n--o--\r\nepilogue\r\n";

static void sections_are_what_the_rfc_says(void **state)
{
    static const struct {
        const char *path;
        size_t path_len;
        enum mail_section_kind kind;
        const char *want; /* NULL: NIL */
    } cases[] = {
        {"\0\1",     2, MAIL_SECTION_WHOLE,  "first"                                },
        {"\0\1",     2, MAIL_SECTION_MIME,   "Content-Type: text/plain\r\n\r\n"     },
        {"\0\1",     2, MAIL_SECTION_HEADER, NULL                                   },
        {"\0\2",     2, MAIL_SECTION_HEADER,
         "Subject: inner\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n"},
        {"\0\2\0\1", 4, MAIL_SECTION_WHOLE,  "plain"                                },
        {"\0\2\0\2", 4, MAIL_SECTION_WHOLE,  "<b>html"                              },
        {"\0\2\0\3", 4, MAIL_SECTION_WHOLE,  NULL                                   },
        {"\0\3",     2, MAIL_SECTION_WHOLE,  "aGVs\r\nbG8="                         },
        {"\0\5",     2, MAIL_SECTION_WHOLE,  NULL                                   },
        {"\0\0",     2, MAIL_SECTION_WHOLE,  NULL                                   },
        {"",         0, MAIL_SECTION_MIME,   NULL                                   },
        {"",         0, MAIL_SECTION_WHOLE,  nested                                 },
    };
    (void)state;
    const uint32_t uid = reads_append_cstr(&r, nested);
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        const struct fetch_section section = {
            .part_path = vy_bytes(cases[i].path, cases[i].path_len), .kind = cases[i].kind};
        const struct reads_section *got = reads_section(&r, uid, &section);
        if (cases[i].want == NULL) {
            assert_int_equal(got->status, FETCH_SECTION_NIL);
        } else {
            assert_text(got->bytes, cases[i].want);
        }
    }
}

static void header_fields_are_filtered(void **state)
{
    const struct vy_bytes names[] = {VY_LIT("SUBJECT"), VY_LIT("to"), VY_LIT("none")};
    struct fetch_section section = {
        .kind = MAIL_SECTION_HEADER_FIELDS, .fields_count = 3, .fields = names};
    (void)state;
    const uint32_t uid = reads_append_cstr(&r, nested);
    assert_text(reads_section(&r, uid, &section)->bytes, "Subject: outer\r\nTo: a@b\r\n\r\n");
    section.partial = true;
    section.partial_offset = 9;
    section.partial_length = 5;
    assert_text(reads_section(&r, uid, &section)->bytes, "outer");
    section.partial = false;
    section.kind = MAIL_SECTION_HEADER_FIELDS_NOT;
    assert_text(reads_section(&r, uid, &section)->bytes,
                "X-One: 1\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n");
}

static void i15_partials_never_reach_behind_the_end(void **state)
{
    static const struct {
        uint32_t offset;
        uint32_t length;
        const char *want;
    } cases[] = {
        {0,          UINT32_MAX, "first"},
        {1,          2,          "ir"   },
        {4,          9,          "t"    },
        {5,          9,          ""     },
        {UINT32_MAX, UINT32_MAX, ""     },
        {0,          0,          ""     },
    };
    (void)state;
    const uint32_t uid = reads_append_cstr(&r, nested);
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        const struct fetch_section section = {.part_path = VY_LIT("\0\1"),
                                              .partial = true,
                                              .partial_offset = cases[i].offset,
                                              .partial_length = cases[i].length};
        assert_text(reads_section(&r, uid, &section)->bytes, cases[i].want);
    }
}

static void binary_parts_are_decoded(void **state)
{
    struct fetch_section section = {.part_path = VY_LIT("\0\3"), .binary = true};
    (void)state;
    const uint32_t uid = reads_append_cstr(&r, nested);
    assert_text(reads_section(&r, uid, &section)->bytes, "hello");
    section.partial = true;
    section.partial_offset = 1;
    section.partial_length = 3;
    assert_text(reads_section(&r, uid, &section)->bytes, "ell");
    section = (struct fetch_section){.part_path = VY_LIT("\0\3"), .binary_size = true};
    assert_int_equal(reads_section(&r, uid, &section)->total_bytes, 5);
    section = (struct fetch_section){.part_path = VY_LIT("\0\4"), .binary = true};
    assert_int_equal(reads_section(&r, uid, &section)->status, FETCH_SECTION_UNKNOWN_CTE);
    section = (struct fetch_section){.part_path = VY_LIT("\0\1"), .binary = true};
    assert_text(reads_section(&r, uid, &section)->bytes, "first");
}

/* A long base64 part: decoded piece by piece, over the ends of stored chunks. */
static void long_binary_parts_are_decoded_in_pieces(void **state)
{
    static const char head[] = "Content-Transfer-Encoding: base64\r\n\r\n";
    const size_t lines = 20000;
    VY_CLEANUP(vy_buf_deinit) struct vy_buf text;
    struct fetch_section section = {.part_path = VY_LIT("\0\1"), .binary = true};

    (void)state;
    vy_buf_init(&text, 4U << 20);
    vy_buf_append_cstr(&text, head);
    for (size_t i = 0; i < lines; i++) { /* 57 bytes of 'A' each */
        for (int k = 0; k < 19; k++) {
            vy_buf_append_cstr(&text, "QUFB");
        }
        vy_buf_append_cstr(&text, "\r\n");
    }
    const uint32_t uid = reads_append(&r, vy_buf_bytes(&text));
    const struct reads_section *got = reads_section(&r, uid, &section);
    assert_int_equal(got->bytes.len, lines * 57);
    for (size_t i = 0; i < got->bytes.len; i++) {
        assert_int_equal(got->bytes.data[i], 'A');
    }
    section.partial = true;
    section.partial_offset = 1000000;
    section.partial_length = 100000;
    assert_int_equal(reads_section(&r, uid, &section)->bytes.len, 100000);
    section.partial_offset = 57 * (uint32_t)lines;
    assert_int_equal(reads_section(&r, uid, &section)->bytes.len, 0);
}

static void parts_of_long_messages_are_the_right_bytes(void **state)
{
    const struct vy_bytes message = reads_random_bytes(&r, &r.local->rng.base, 1500000);
    static const uint32_t offsets[] = {0, 262143, 262144, 500000, 1499999};
    static const uint32_t lengths[] = {1, 2, 300000, 1000000};
    (void)state;
    const uint32_t uid = reads_append(&r, message);
    for (size_t i = 0; i < VY_COUNT_OF(offsets); i++) {
        for (size_t k = 0; k < VY_COUNT_OF(lengths); k++) {
            const struct fetch_section section = {
                .partial = true, .partial_offset = offsets[i], .partial_length = lengths[k]};
            const struct vy_bytes want = vy_bytes_slice(message, offsets[i], lengths[k]);
            const struct reads_section *got = reads_section(&r, uid, &section);
            assert_int_equal(got->bytes.len, want.len);
            assert_memory_equal(got->bytes.data, want.data, want.len);
        }
    }
}

/* ---- texts ---- */

static void texts_come_from_the_summary(void **state)
{
    const struct message_fetch_request request = {
        .columns = FETCH_COLUMN_ENVELOPE | FETCH_COLUMN_BODY | FETCH_COLUMN_BODYSTRUCTURE |
                   FETCH_COLUMN_PREVIEW};
    (void)state;
    reads_append_cstr(&r, "Subject: s\r\nMessage-ID: <m@x>\r\n\r\nSome words\r\n");
    assert_false(vy_failed(reads_fetch(&r, &request)));
    const struct vy_bytes *texts = r.fetched->messages[0].texts;
    assert_text(texts[FETCH_TEXT_ENVELOPE], "(NIL \"s\" NIL NIL NIL NIL NIL NIL NIL \"<m@x>\")");
    assert_text(texts[FETCH_TEXT_PREVIEW], "Some words");
    assert_true(vy_bytes_starts_with_nocase(texts[FETCH_TEXT_BODY], VY_LIT("(\"text\" \"plain\"")));
    assert_true(texts[FETCH_TEXT_BODYSTRUCTURE].len > texts[FETCH_TEXT_BODY].len);
}

static void texts_too_long_to_keep_are_made_again(void **state)
{
    const struct message_fetch_request request = {.columns = FETCH_COLUMN_ENVELOPE |
                                                             FETCH_COLUMN_BODYSTRUCTURE};
    VY_CLEANUP(vy_buf_deinit) struct vy_buf text;
    (void)state;
    vy_buf_init(&text, 1U << 20);
    vy_buf_append_cstr(&text, "Content-Type: multipart/mixed; boundary=b\r\nTo: a@b");
    for (int i = 0; i < 3000; i++) {
        vy_buf_printf(&text, ",\r\n someone%d@some.where.test", i);
    }
    vy_buf_append_cstr(&text, "\r\n\r\n");
    for (int i = 0; i < 900; i++) {
        vy_buf_append_cstr(&text, "--b\r\nContent-Description: a part of many\r\n\r\nx\r\n");
    }
    const uint32_t uid = reads_append(&r, vy_buf_bytes(&text));
    assert_int_equal(uid, 1);
    assert_false(vy_failed(reads_fetch(&r, &request)));
    const struct vy_bytes *texts = r.fetched->messages[0].texts;
    assert_true(texts[FETCH_TEXT_ENVELOPE].len > 100000);
    assert_true(vy_bytes_find(texts[FETCH_TEXT_ENVELOPE], VY_LIT("\"someone2999\""), 0) !=
                SIZE_MAX);
    assert_true(texts[FETCH_TEXT_BODYSTRUCTURE].len > 40000);
}

/* ---- credit ---- */

static void i14_no_more_is_sent_than_there_is_credit_for(void **state)
{
    const struct vy_bytes message = reads_random_bytes(&r, &r.local->rng.base, 900000);
    const struct fetch_section whole = {.kind = MAIL_SECTION_WHOLE};
    struct message_fetch_request request = {
        .actor = r.actor, .sections_count = 1, .sections = &whole};
    struct shard_local_call call;

    (void)state;
    reads_append(&r, message);
    request.mailbox_id = r.mailbox_id;
    request.uids = reads_uids(&r, 1, 1);
    shard_local_begin(r.local, &call, METHOD_SHARD_MESSAGE_FETCH, NULL, &request);
    call.credit = 0;
    shard_local_run(r.local);
    while (!call.is_ended) {
        const size_t before = vy_buf_len(&call.stream);
        call.credit = 70001;
        service_call_writable(call.call);
        shard_local_run(r.local);
        assert_true(vy_buf_len(&call.stream) - before <= 70001);
        assert_true(vy_buf_len(&call.stream) > before || call.is_ended);
    }
    assert_int_equal(call.err.code, VY_CODE_OK);
    reads_decode(&r, vy_buf_bytes(&call.stream));
    shard_local_end(&call);
    assert_int_equal(r.fetched->messages[0].sections[0].bytes.len, message.len);
    assert_memory_equal(r.fetched->messages[0].sections[0].bytes.data, message.data, message.len);
}

static void a_reader_that_is_gone_ends_the_call(void **state)
{
    const struct fetch_section whole = {.kind = MAIL_SECTION_WHOLE};
    struct message_fetch_request request = {
        .actor = r.actor, .sections_count = 1, .sections = &whole};
    struct shard_local_call call;

    (void)state;
    append_many(3);
    request.mailbox_id = r.mailbox_id;
    request.uids = reads_uids(&r, 1, 3);
    shard_local_begin(r.local, &call, METHOD_SHARD_MESSAGE_FETCH, NULL, &request);
    call.credit = 0;
    shard_local_run(r.local);
    assert_false(call.is_ended);
    service_call_cancel(call.call);
    shard_local_run(r.local);
    assert_int_equal(call.err.code, VY_CODE_CANCELLED);
    shard_local_end(&call);
}

/* ---- damage ---- */

static void flip(enum shard_family family, struct vy_bytes key, size_t bit)
{
    assert_true(store_mem_flip_bit(r.local->machine.disk, shard_store_family(family), key, bit));
}

static void p4_flipped_bits_are_never_served(void **state)
{
    const struct fetch_section whole = {.kind = MAIL_SECTION_WHOLE};
    const struct message_fetch_request ids = {.columns = FETCH_COLUMN_EMAILID};
    const struct message_fetch_request request = {.sections_count = 1, .sections = &whole};

    (void)state;
    append_many(4);
    assert_false(vy_failed(reads_fetch(&r, &ids)));
    const struct shard_key row = keys_id(READS_ACCOUNT, r.fetched->messages[1].email_id);
    const struct shard_key chunk = keys_body(READS_ACCOUNT, r.fetched->messages[2].email_id, 0);
    flip(SHARD_EMAIL, shard_key_bytes(&row), 8 * 60);
    flip(SHARD_BODY, shard_key_bytes(&chunk), 8 * 20 + 3);
    assert_false(vy_failed(reads_fetch(&r, &request)));
    assert_int_equal(r.fetched->count, 2);
    assert_int_equal(r.fetched->messages[0].uid, 1);
    assert_int_equal(r.fetched->messages[1].uid, 4);
    assert_int_equal(r.fetched->unreadable, 2);
    assert_int_equal(service_stats(r.local->service)->checksum_failures, 2);
}

/* Too long to be looked at whole before it is sent: the stream breaks in front of the damage. */
static void p4_damage_inside_a_long_message_breaks_the_stream(void **state)
{
    const struct vy_bytes message = reads_random_bytes(&r, &r.local->rng.base, 3000000);
    const struct fetch_section whole = {.kind = MAIL_SECTION_WHOLE};
    const struct message_fetch_request ids = {.columns = FETCH_COLUMN_EMAILID};
    const struct message_fetch_request request = {.sections_count = 1, .sections = &whole};

    (void)state;
    reads_append(&r, message);
    assert_false(vy_failed(reads_fetch(&r, &ids)));
    const struct shard_key chunk = keys_body(READS_ACCOUNT, r.fetched->messages[0].email_id, 7);
    flip(SHARD_BODY, shard_key_bytes(&chunk), 800);
    assert_int_equal(reads_fetch(&r, &request).code, VY_CODE_CORRUPT);
    assert_false(r.fetched->is_at_end);
}

/* Chunks that are whole each, but not what was received: the checksum of the message knows. */
static void p4_the_checksum_spans_chunks(void **state)
{
    const struct vy_bytes message = reads_random_bytes(&r, &r.local->rng.base, 600000);
    struct seal_keys keys;
    uint8_t account_key[SEAL_KEY_BYTES];
    VY_CLEANUP(vy_buf_deinit) struct vy_buf sealed;
    const struct message_fetch_request ids = {.columns = FETCH_COLUMN_EMAILID};
    const struct fetch_section whole = {.kind = MAIL_SECTION_WHOLE};
    const struct message_fetch_request request = {.sections_count = 1, .sections = &whole};

    (void)state;
    vy_buf_init(&sealed, SEAL_CHUNK_SEALED_MAX);
    reads_append(&r, message);
    assert_false(vy_failed(reads_fetch(&r, &ids)));
    memset(account_key, READS_ACCOUNT, sizeof(account_key)); /* as the fake meta gives it */
    seal_keys_derive(account_key, &keys);
    const struct shard_key key = keys_body(READS_ACCOUNT, r.fetched->messages[0].email_id, 1);
    const struct vy_bytes other = reads_random_bytes(&r, &r.local->rng.base, SEAL_CHUNK_BYTES);
    assert_false(vy_failed(
        seal_text(&keys, &r.local->rng.base, shard_key_bytes(&key), SEAL_SQUEEZE, other, &sealed)));
    shard_machine_put_payload(&r.local->machine, shard_key_bytes(&key), vy_buf_bytes(&sealed));
    assert_false(vy_failed(reads_fetch(&r, &request)));
    assert_int_equal(r.fetched->count, 0);
    assert_int_equal(r.fetched->unreadable, 1);
}

/* The work fails at every allocation: the call fails, or gives what it would have given. */
static void missing_memory_gives_no_wrong_bytes(void **state)
{
    const struct fetch_section whole = {.kind = MAIL_SECTION_WHOLE};
    struct message_fetch_request request = {.actor = r.actor,
                                            .columns = FETCH_COLUMN_ENVELOPE | FETCH_COLUMN_FLAGS,
                                            .sections_count = 1,
                                            .sections = &whole,
                                            .view_id = 9};
    bool was_hit = true;
    uint64_t n = 1;

    (void)state;
    reads_append_cstr(&r, nested);
    append_many(1);
    assert_false(vy_failed(reads_expunge(&r, 2)));
    request.mailbox_id = r.mailbox_id;
    request.uids = reads_uids(&r, 1, 2);
    for (; was_hit && n < 1000; n++) {
        struct shard_local_call call;
        shard_local_begin(r.local, &call, METHOD_SHARD_MESSAGE_FETCH, NULL, &request);
        uint8_t *room = vy_buf_reserve(&call.stream, 65536); /* the test's own memory is there */
        assert_non_null(room);
        (void)fault_begin(n);
        shard_local_run(r.local);
        was_hit = fault_end();
        shard_local_run(r.local);
        assert_true(call.is_ended);
        assert_true(was_hit || !vy_failed(call.err));
        if (!vy_failed(call.err)) {
            reads_decode(&r, vy_buf_bytes(&call.stream));
            assert_int_equal(r.fetched->count, 2);
            assert_text(r.fetched->messages[0].sections[0].bytes, nested);
        }
        shard_local_end(&call);
    }
    assert_in_range(n, 10, 999);
}

static void i16_there_are_at_most_64_sections(void **state)
{
    struct fetch_section sections[FETCH_SECTIONS_MAX + 1] = {{.kind = MAIL_SECTION_WHOLE}};
    const struct message_fetch_request request = {.sections_count = VY_COUNT_OF(sections),
                                                  .sections = sections};
    (void)state;
    append_many(1);
    assert_int_equal(reads_fetch(&r, &request).code, VY_CODE_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_come_in_order_and_whole),
        TEST(only_what_was_asked_for_comes),
        TEST(distant_messages_are_found_by_seeking),
        TEST(unchanged_messages_are_left_out),
        TEST(imap_f2_expunged_messages_stay_readable_for_their_view),
        TEST(a_missing_mailbox_is_not_found),
        TEST(sections_are_what_the_rfc_says),
        TEST(header_fields_are_filtered),
        TEST(i15_partials_never_reach_behind_the_end),
        TEST(binary_parts_are_decoded),
        TEST(long_binary_parts_are_decoded_in_pieces),
        TEST(parts_of_long_messages_are_the_right_bytes),
        TEST(texts_come_from_the_summary),
        TEST(texts_too_long_to_keep_are_made_again),
        TEST(i14_no_more_is_sent_than_there_is_credit_for),
        TEST(a_reader_that_is_gone_ends_the_call),
        TEST(p4_flipped_bits_are_never_served),
        TEST(p4_damage_inside_a_long_message_breaks_the_stream),
        TEST(p4_the_checksum_spans_chunks),
        TEST(missing_memory_gives_no_wrong_bytes),
        TEST(i16_there_are_at_most_64_sections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
