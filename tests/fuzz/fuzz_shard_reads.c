/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what a frontend may send: the first byte says which. A message: it comes back as it
 * was, and its halves make a whole. A FETCH request: its stream is well formed. A SEARCH request:
 * the program runs, or is refused.
 */
#include "base/assert.h"
#include "shard/reads_fixture.h"

#define INPUTS_PER_SHARD 200U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct reads shard;
static unsigned inputs;

static const char first_message[] =
    "Message-ID: <a@b>\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nContent-Type: multipart/mixed; "
    "boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nTo: "
    "x@y\r\n\r\n"
    "inner\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b--\r\n";

/* A shard grows with every message: a new one now and then. */
static void prepare(void)
{
    if (inputs++ % INPUTS_PER_SHARD != 0) {
        return;
    }
    if (shard.local != NULL) {
        reads_deinit(&shard);
    }
    reads_init(&shard);
    (void)reads_append_cstr(&shard, first_message);
    (void)reads_append_cstr(&shard, "Subject: second\r\n\r\ntext\r\n");
}

static void check_message(struct vy_bytes message)
{
    struct fetch_section sections[4] = {{.kind = MAIL_SECTION_WHOLE}};
    const struct append_message one = {.size_bytes = message.len};
    const struct message_append_request append = {.messages_count = 1, .messages = &one};
    struct message_fetch_request fetch = {
        .columns = UINT32_MAX >> 16, .sections_count = VY_COUNT_OF(sections), .sections = sections};
    struct message_append_reply reply;

    sections[1].kind = MAIL_SECTION_HEADER;
    sections[2].kind = MAIL_SECTION_TEXT;
    sections[3] = (struct fetch_section){.part_path = VY_LIT("\0\1"), .binary = true};
    if (vy_failed(reads_append_as(&shard, &append, message, &reply))) {
        return; /* empty, or its header is over the limits */
    }
    fetch.uids = reply.uids;
    VY_ASSERT(!vy_failed(reads_fetch(&shard, &fetch)));
    VY_ASSERT(shard.fetched->count == 1);
    const struct reads_message *got = &shard.fetched->messages[0];
    VY_ASSERT(vy_bytes_equal(got->sections[0].bytes, message));
    const size_t head = got->sections[1].bytes.len;
    VY_ASSERT(head + got->sections[2].bytes.len == message.len);
    VY_ASSERT(vy_bytes_equal(got->sections[1].bytes, vy_bytes_slice(message, 0, head)));
    VY_ASSERT(shard.fetched->unreadable == 0);
}

static void check_fetch(struct vy_bytes bytes)
{
    struct message_fetch_request request;
    struct vy_arena arena;

    vy_arena_init(&arena, 1U << 20);
    if (!vy_failed(vy_pb_decode(&message_fetch_request_desc, &arena, bytes, &request))) {
        request.mailbox_id = 0;
        request.sections_count = VY_MIN(request.sections_count, (size_t)READS_SECTIONS_MAX);
        vy_ignore(reads_fetch(&shard, &request), "refused or not");
        VY_ASSERT(shard.fetched->unreadable == 0);
    }
    vy_arena_deinit(&arena);
}

static void check_search(struct vy_bytes bytes)
{
    struct message_search_request request;
    struct vy_arena arena;

    vy_arena_init(&arena, 1U << 20);
    if (!vy_failed(vy_pb_decode(&message_search_request_desc, &arena, bytes, &request))) {
        request.actor = shard.actor;
        request.mailbox_id = shard.mailbox_id;
        vy_ignore(shard_local_call(shard.local, METHOD_SHARD_MESSAGE_SEARCH, NULL, &request,
                                   vy_bytes(NULL, 0), NULL, NULL),
                  "refused or not");
    }
    vy_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    prepare();
    const struct vy_bytes rest = vy_bytes(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        check_message(rest);
        break;
    case 1:
        check_fetch(rest);
        break;
    default:
        check_search(rest);
        break;
    }
    return 0;
}
