/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/reads_fixture.h"
#include "base/assert.h"
#include "mail/flags.h"
#include "mail/uidset.h"
#include "tests/lib/test.h"
#include <stdlib.h>

#define STREAM_BYTES_MAX (128U * 1024U * 1024U)

void reads_init(struct reads *r)
{
    *r = (struct reads){.local = shard_local_new()};
    r->actor = shard_local_actor(r->local, READS_ACCOUNT, 1);
    r->fetched = calloc(1, sizeof(*r->fetched));
    assert_non_null(r->fetched);
}

void reads_deinit(struct reads *r)
{
    shard_local_free(r->local);
    free(r->fetched);
}

/* ---- in ---- */

struct vy_err reads_append_as(struct reads *r, const struct message_append_request *request,
                              struct vy_bytes stream, struct message_append_reply *reply)
{
    struct message_append_request own = *request;

    own.actor = r->actor;
    own.mailbox_name = own.mailbox_name.len == 0 ? VY_LIT("INBOX") : own.mailbox_name;
    return shard_local_call(r->local, METHOD_SHARD_MESSAGE_APPEND, NULL, &own, stream, reply, NULL);
}

uint32_t reads_append(struct reads *r, struct vy_bytes message)
{
    const struct append_message one = {.size_bytes = message.len};
    const struct message_append_request request = {.messages_count = 1, .messages = &one};
    struct message_append_reply reply;
    struct uidset uids = {.ranges = NULL};

    const struct vy_err err = reads_append_as(r, &request, message, &reply);
    if (vy_failed(err)) {
        fail_msg("append: %s: %s", vy_code_name(err.code), err.what);
    }
    assert_false(vy_failed(uidset_decode(reply.uids, &uids)));
    assert_int_equal(uidset_count(&uids), 1);
    r->mailbox_id = reply.mailbox_id;
    const uint32_t uid = uidset_first(&uids);
    uidset_deinit(&uids);
    return uid;
}

uint32_t reads_append_cstr(struct reads *r, const char *message)
{
    return reads_append(r, vy_cstr(message));
}

struct vy_err reads_deliver(struct reads *r, const uint64_t *accounts, size_t count,
                            struct vy_bytes body, const uint8_t *key,
                            struct message_deliver_reply *reply)
{
    struct deliver_recipient *recipients =
        VY_ARENA_ARRAY(&r->local->arena, count, struct deliver_recipient);

    assert_non_null(recipients);
    for (size_t i = 0; i < count; i++) {
        const char *address =
            vy_arena_printf(&r->local->arena, "user%llu@dev.test", (unsigned long long)accounts[i]);
        recipients[i] = (struct deliver_recipient){
            .account_id = accounts[i], .account_epoch = 1, .address = vy_cstr(address)};
    }
    const struct message_deliver_request request = {
        .recipients_count = count,
        .recipients = recipients,
        .reverse_path = VY_LIT("sender@far.test"),
        .trace_headers = VY_LIT("Received: from here\r\n\tby there\r\n"),
    };
    return shard_local_call(r->local, METHOD_SHARD_MESSAGE_DELIVER, key, &request, body, reply,
                            NULL);
}

/* ---- out ---- */

struct vy_bytes reads_uids(struct reads *r, uint32_t first, uint32_t last)
{
    struct uidset_writer writer = {.last = 0};
    struct vy_bytes copy;
    VY_CLEANUP(vy_buf_deinit) struct vy_buf text;

    vy_buf_init(&text, 64);
    uidset_write_range(&writer, &text, first, last);
    assert_false(vy_failed(vy_arena_dup(&r->local->arena, vy_buf_bytes(&text), &copy)));
    return copy;
}

static struct vy_bytes keep(struct reads *r, struct vy_bytes bytes)
{
    struct vy_bytes copy = {.data = NULL};

    if (bytes.data != NULL) {
        assert_false(vy_failed(vy_arena_dup(&r->local->arena, bytes, &copy)));
    }
    return copy;
}

static void keep_row(struct reads *r, const struct fetch_block *block, size_t row)
{
    struct reads_fetched *fetched = r->fetched;

    fetched->rows++;
    if (fetched->count == READS_MESSAGES_MAX) {
        return;
    }
    struct reads_message *out = &fetched->messages[fetched->count++];
    *out = (struct reads_message){.uid = fetch_block_uid(block, row)};
    if (block->flags != NULL) {
        out->flags = fetch_block_flags(block, row);
        out->keyword_bits = keep(r, fetch_block_keywords(block, row));
    }
    out->modseq = block->modseq != NULL ? fetch_block_modseq(block, row) : 0;
    out->size_bytes = block->size_bytes != NULL ? fetch_block_size(block, row) : 0;
    if (block->internal_ms != NULL) {
        out->internal_ms = fetch_block_internal_ms(block, row);
        out->zone_minutes = fetch_block_zone_minutes(block, row);
    }
    if (block->email_id != NULL) {
        memcpy(out->email_id, fetch_block_email_id(block, row), FETCH_ID_BYTES);
    }
    if (block->thread_id != NULL) {
        memcpy(out->thread_id, fetch_block_thread_id(block, row), FETCH_ID_BYTES);
    }
}

static void keep_message(struct reads *r, const struct fetch_event *event)
{
    keep_row(r, &event->block, 0);
    struct reads_message *out = &r->fetched->messages[r->fetched->count - 1];
    for (size_t i = 0; i < FETCH_TEXT_COUNT; i++) {
        out->texts[i] = keep(r, event->texts[i]);
    }
}

static void keep_section(struct reads *r, const struct fetch_event *event, struct vy_buf *literal)
{
    struct reads_message *message = &r->fetched->messages[r->fetched->count - 1];

    assert_int_equal(event->section_index, message->section_count);
    assert_true(message->section_count < READS_SECTIONS_MAX);
    message->sections[message->section_count++] = (struct reads_section){
        .status = event->status, .total_bytes = event->total_bytes, .bytes = keep(r, event->bytes)};
    vy_buf_reset(literal);
}

static void keep_data(struct reads *r, const struct fetch_event *event, struct vy_buf *literal)
{
    struct reads_message *message = &r->fetched->messages[r->fetched->count - 1];

    vy_buf_append(literal, event->bytes);
    if (event->section_ends) {
        message->sections[message->section_count - 1].bytes = keep(r, vy_buf_bytes(literal));
    }
}

static void take_event(struct reads *r, const struct fetch_event *event, struct vy_buf *literal)
{
    switch (event->kind) {
    case FETCH_EVENT_NONE:
        break;
    case FETCH_EVENT_BLOCK:
        for (size_t row = 0; row < event->block.count; row++) {
            keep_row(r, &event->block, row);
        }
        break;
    case FETCH_EVENT_MESSAGE:
        keep_message(r, event);
        break;
    case FETCH_EVENT_SECTION:
        keep_section(r, event, literal);
        break;
    case FETCH_EVENT_SECTION_DATA:
        keep_data(r, event, literal);
        break;
    case FETCH_EVENT_MISSING:
        *(event->missing == FETCH_MISSING_EXPUNGED ? &r->fetched->expunged
                                                   : &r->fetched->unreadable) +=
            event->bytes.len / 4;
        break;
    }
}

void reads_decode(struct reads *r, struct vy_bytes stream)
{
    struct fetch_reader reader;
    struct fetch_event event = {.kind = FETCH_EVENT_BLOCK};
    VY_CLEANUP(vy_buf_deinit) struct vy_buf literal;

    vy_buf_init(&literal, STREAM_BYTES_MAX);
    *r->fetched = (struct reads_fetched){.count = 0};
    fetch_reader_init(&reader);
    while (event.kind != FETCH_EVENT_NONE) {
        assert_false(vy_failed(fetch_reader_next(&reader, &stream, &event)));
        take_event(r, &event, &literal);
    }
    r->fetched->is_at_end = fetch_reader_is_at_end(&reader);
    fetch_reader_deinit(&reader);
}

struct vy_err reads_fetch(struct reads *r, const struct message_fetch_request *request)
{
    struct message_fetch_request own = *request;
    VY_CLEANUP(vy_buf_deinit) struct vy_buf stream;

    vy_buf_init(&stream, STREAM_BYTES_MAX);
    own.actor = r->actor;
    own.mailbox_id = own.mailbox_id == 0 ? r->mailbox_id : own.mailbox_id;
    own.uids = own.uids.len == 0 ? reads_uids(r, 1, UINT32_MAX) : own.uids;
    const struct vy_err err = shard_local_call(r->local, METHOD_SHARD_MESSAGE_FETCH, NULL, &own,
                                               vy_bytes(NULL, 0), NULL, &stream);
    reads_decode(r, vy_buf_bytes(&stream));
    assert_true(vy_failed(err) || r->fetched->is_at_end);
    return err;
}

const struct reads_section *reads_section(struct reads *r, uint32_t uid,
                                          const struct fetch_section *section)
{
    const struct message_fetch_request request = {
        .uids = reads_uids(r, uid, uid), .sections_count = 1, .sections = section};

    assert_false(vy_failed(reads_fetch(r, &request)));
    assert_int_equal(r->fetched->count, 1);
    assert_int_equal(r->fetched->messages[0].section_count, 1);
    return &r->fetched->messages[0].sections[0];
}

struct vy_bytes reads_whole(struct reads *r, uint32_t uid)
{
    const struct fetch_section whole = {.kind = MAIL_SECTION_WHOLE};
    const struct reads_section *section = reads_section(r, uid, &whole);

    assert_true(section->status == FETCH_SECTION_INLINE ||
                section->status == FETCH_SECTION_LITERAL);
    return section->bytes;
}

const char *reads_search(struct reads *r, const struct search_step *steps, size_t count)
{
    const struct message_search_request request = {
        .actor = r->actor, .mailbox_id = r->mailbox_id, .steps_count = count, .steps = steps};
    struct message_search_reply reply;
    struct uidset uids = {.ranges = NULL};
    VY_CLEANUP(vy_buf_deinit) struct vy_buf text;

    vy_buf_init(&text, 65536);
    const struct vy_err err = shard_local_call(r->local, METHOD_SHARD_MESSAGE_SEARCH, NULL,
                                               &request, vy_bytes(NULL, 0), &reply, NULL);
    if (vy_failed(err)) {
        return vy_code_name(err.code);
    }
    assert_false(vy_failed(uidset_decode(reply.uids, &uids)));
    uidset_append_text(&text, &uids);
    uidset_deinit(&uids);
    return vy_arena_cstr(&r->local->arena, vy_buf_bytes(&text));
}

struct vy_err reads_expunge(struct reads *r, uint32_t uid)
{
    const struct message_store_request store = {.actor = r->actor,
                                                .mailbox_id = r->mailbox_id,
                                                .uids = reads_uids(r, uid, uid),
                                                .mode = STORE_MODE_ADD,
                                                .flags = MAIL_FLAG_DELETED};
    const struct message_expunge_request expunge = {
        .actor = r->actor, .mailbox_id = r->mailbox_id, .uids = reads_uids(r, uid, uid)};

    VY_TRY(shard_local_call(r->local, METHOD_SHARD_MESSAGE_STORE, NULL, &store, vy_bytes(NULL, 0),
                            NULL, NULL));
    return shard_local_call(r->local, METHOD_SHARD_MESSAGE_EXPUNGE, NULL, &expunge,
                            vy_bytes(NULL, 0), NULL, NULL);
}

void reads_open_view(struct reads *r, uint64_t view_id)
{
    const struct mailbox_open_request open = {
        .actor = r->actor, .name = VY_LIT("INBOX"), .view_id = view_id};

    assert_false(vy_failed(shard_local_call(r->local, METHOD_SHARD_MAILBOX_OPEN, NULL, &open,
                                            vy_bytes(NULL, 0), NULL, NULL)));
}

/* ---- messages by chance ---- */

struct vy_bytes reads_random_bytes(struct reads *r, struct vy_rng *rng, size_t len)
{
    uint8_t *bytes = vy_arena_alloc(&r->local->arena, len + 1);

    assert_non_null(bytes);
    vy_rng_fill(rng, bytes, len);
    return vy_bytes(bytes, len);
}

static const char *pick(struct vy_rng *rng, const char *const *from, size_t count)
{
    return from[vy_rng_below(rng, count)];
}

static void generate_text(struct vy_buf *out, struct vy_rng *rng, const char *eol)
{
    static const char *const lines[] = {"Hello there,",
                                        "",
                                        "-- ",
                                        "--",
                                        "--b0",
                                        "--b1--",
                                        "From the start",
                                        ".",
                                        "..",
                                        "a=3Db=",
                                        "caf\xc3\xa9",
                                        "\xff\xfe",
                                        "tab\there",
                                        "Subject: none"};

    for (uint64_t n = vy_rng_below(rng, 8); n > 0; n--) {
        vy_buf_append_cstr(out, pick(rng, lines, VY_COUNT_OF(lines)));
        if (vy_rng_below(rng, 30) == 0) {
            for (int i = 0; i < 3000; i++) {
                vy_buf_append_byte(out, 'x');
            }
        }
        vy_buf_append_cstr(out, eol);
    }
}

static void generate_entity(struct vy_buf *out, struct vy_rng *rng, const char *eol, unsigned depth)
{
    static const char *const leaves[] = {"text/plain", "text/html; charset=utf-8", "image/png",
                                         "text/plain; charset=koi8-r", "broken"};
    static const char *const codings[] = {"7bit", "base64", "quoted-printable", "x-odd", "8bit"};
    const uint64_t kind = vy_rng_below(rng, depth >= 4 ? 2 : 5);

    if (kind == 4) {
        vy_buf_printf(out, "Content-Type: message/rfc822%s%sSubject: inner%s", eol, eol, eol);
        generate_entity(out, rng, eol, depth + 1);
        return;
    }
    if (kind < 2) {
        vy_buf_printf(out, "Content-Type: %s%sContent-Transfer-Encoding: %s%s%s",
                      pick(rng, leaves, VY_COUNT_OF(leaves)), eol,
                      pick(rng, codings, VY_COUNT_OF(codings)), eol, eol);
        generate_text(out, rng, eol);
        return;
    }
    vy_buf_printf(out, "Content-Type: multipart/mixed; boundary=b%u%s%s", depth, eol, eol);
    generate_text(out, rng, eol);
    for (uint64_t parts = vy_rng_below(rng, 4); parts > 0; parts--) {
        vy_buf_printf(out, "%s--b%u%s", eol, depth, eol);
        generate_entity(out, rng, eol, depth + 1);
    }
    if (vy_rng_below(rng, 4) != 0) {
        vy_buf_printf(out, "%s--b%u--%s", eol, depth, eol);
    }
}

struct vy_bytes reads_generate(struct reads *r, struct vy_rng *rng)
{
    const char *eol = vy_rng_below(rng, 4) == 0 ? "\n" : "\r\n";
    VY_CLEANUP(vy_buf_deinit) struct vy_buf text;

    vy_buf_init(&text, 1U << 20);
    vy_buf_printf(&text, "Message-ID: <%llx@dev.test>%sSubject: =?utf-8?q?caf=C3=A9?=%s",
                  (unsigned long long)vy_rng_u64(rng), eol, eol);
    generate_entity(&text, rng, eol, 0);
    assert_false(text.failed);
    return keep(r, vy_buf_bytes(&text));
}
