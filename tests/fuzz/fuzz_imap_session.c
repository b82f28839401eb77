/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole IMAP session: eight bytes choose the splits and how the backend answers (errors, small
 * replies, streams, bytes that are none), the rest is the client. The session must keep its
 * promises to the shell whatever comes: every slice in bounds, no more taken than given, nothing
 * after CLOSE.
 */
#include "base/assert.h"
#include "frontend/imap/imap.h"
#include "proto/fetch_stream.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 20000U
#define CALLS_MAX 16U

struct call {
    uint64_t id;
    uint32_t method;
};
struct run {
    struct session *session;
    uint64_t random;
    struct call calls[CALLS_MAX];
    size_t call_count;
    uint64_t hash_id;
    uint64_t sum;
    bool is_closed;
    bool wants_tls;
    bool is_stopped;
};

static uint64_t next_random(struct run *run)
{
    run->random = run->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return run->random >> 33;
}

static void touch(struct run *run, struct vy_bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        run->sum += bytes.data[i];
    }
}

static void take_actions(struct run *run)
{
    struct session_action action;
    while (!run->is_closed && run->session->ops->next_action(run->session, &action)) {
        touch(run, action.bytes);
        if (action.kind == SESSION_CALL && run->call_count < CALLS_MAX) {
            struct vy_buf request;
            vy_buf_init(&request, 1 << 24);
            vy_ignore(vy_pb_encode(action.request_desc, action.request, &request), "only touched");
            vy_buf_deinit(&request);
            run->calls[run->call_count++] = (struct call){action.call_id, action.method};
        }
        run->hash_id = action.kind == SESSION_HASH ? action.call_id : run->hash_id;
        run->wants_tls = run->wants_tls || action.kind == SESSION_START_TLS;
        run->is_stopped = action.kind == SESSION_READ_STOP ||
                          (run->is_stopped && action.kind != SESSION_READ_START);
        run->is_closed = action.kind == SESSION_CLOSE;
    }
}

/* ---- replies ---- */

static void encode(struct vy_buf *out, const struct vy_pb_desc *desc, const void *reply)
{
    vy_ignore(vy_pb_encode(desc, reply, out), "a short reply is a bad one: fine too");
}

static void reply_open(struct run *run, struct vy_buf *out, struct vy_bytes uids)
{
    const struct vy_bytes keywords[] = {VY_LIT("$Junk"), VY_LIT("Work")};
    const struct mailbox_info info = {.mailbox_id = 3,
                                      .name = VY_LIT("INBOX"),
                                      .uidvalidity = 1,
                                      .uidnext = 99,
                                      .highest_modseq = 5};
    const struct mailbox_open_reply reply = {.info = next_random(run) % 16 == 0 ? NULL : &info,
                                             .uids = uids,
                                             .recent_uids = uids,
                                             .keywords_count = 2,
                                             .keywords = keywords};
    encode(out, &mailbox_open_reply_desc, &reply);
}

static void reply_sync(struct run *run, struct vy_buf *out, struct vy_bytes uids)
{
    const struct flag_change changes[] = {
        {5, 3, VY_LIT("\x01"), 7},
        {9, 0, VY_LIT(""),     8}
    };
    const struct mailbox_sync_reply reply = {
        .vanished = next_random(run) % 2 == 0 ? uids : vy_bytes(NULL, 0),
        .new_uids = next_random(run) % 2 == 0 ? uids : vy_bytes(NULL, 0),
        .recent_uids = uids,
        .changed_count = next_random(run) % 3,
        .changed = changes,
        .highest_modseq = next_random(run) % 100,
        .mailbox_deleted = next_random(run) % 32 == 0,
        .more = next_random(run) % 8 == 0,
    };
    encode(out, &mailbox_sync_reply_desc, &reply);
}

static void reply_list(struct vy_buf *out)
{
    const struct mailbox_info infos[] = {
        {.mailbox_id = 3,    .name = VY_LIT("INBOX"), .role = MAILBOX_ROLE_INBOX, .subscribed = true},
        {.mailbox_id = 4,                  .name = VY_LIT("a/b/c"),                           .role = MAILBOX_ROLE_SENT,             .no_select = true},
        {.mailbox_id = 0, .name = VY_LIT("\xc3\xbc//"),                        .subscribed = true                       },
    };
    const struct mailbox_list_reply reply = {.mailboxes_count = VY_COUNT_OF(infos),
                                             .mailboxes = infos};
    encode(out, &mailbox_list_reply_desc, &reply);
}

static struct fetch_columns row_columns(const uint32_t *uid, const uint32_t *flags,
                                        const uint64_t *numbers,
                                        const uint8_t (*id)[FETCH_ID_BYTES])
{
    return (struct fetch_columns){.columns = FETCH_INDEX_COLUMNS,
                                  .count = 1,
                                  .uid = uid,
                                  .flags = flags,
                                  .keyword_words = numbers,
                                  .modseq = numbers,
                                  .size_bytes = flags,
                                  .internal_ms = numbers,
                                  .zone_biased = flags,
                                  .email_id = id,
                                  .thread_id = id,
                                  .save_ms = numbers};
}

static void write_rows(struct run *run, struct vy_buf *out, bool only_blocks)
{
    static const uint8_t id[1][FETCH_ID_BYTES] = {{1}};
    const uint64_t numbers[FETCH_KEYWORD_WORDS] = {next_random(run), next_random(run), 0, 0};
    const struct vy_bytes texts[FETCH_TEXT_COUNT] = {
        VY_LIT("(e)"), VY_LIT("(b)"), {.data = NULL}, VY_LIT("p\r\n\"")};
    uint32_t uid = 0;
    for (uint64_t i = next_random(run) % 6; i > 0; i--) {
        const uint32_t flags = (uint32_t)next_random(run);
        uid += 1 + (uint32_t)(next_random(run) % 5);
        const struct fetch_columns columns = row_columns(&uid, &flags, numbers, id);
        if (only_blocks || next_random(run) % 2 == 0) {
            fetch_stream_append_block(out, &columns);
            continue;
        }
        const uint32_t sections = (uint32_t)(next_random(run) % 3);
        fetch_stream_append_message(out, &columns, texts, sections);
        for (uint32_t index = 0; index < sections; index++) {
            if (next_random(run) % 2 == 0) {
                fetch_stream_append_section(out, index, FETCH_SECTION_LITERAL, 3,
                                            vy_bytes(NULL, 0));
                fetch_stream_append_literal(out, VY_LIT("abc"));
            } else {
                fetch_stream_append_section(out, index, FETCH_SECTION_INLINE, 0, VY_LIT("in"));
            }
        }
    }
}

static void reply_store(struct run *run, struct vy_buf *out, struct vy_bytes uids)
{
    struct vy_buf blocks;
    vy_buf_init(&blocks, 1 << 20);
    write_rows(run, &blocks, true);
    const struct message_store_reply reply = {
        .modseq = next_random(run) % 20,
        .previous_modseq = next_random(run) % 20,
        .modified = next_random(run) % 3 == 0 ? uids : vy_bytes(NULL, 0),
        .missing = next_random(run) % 3 == 0 ? uids : vy_bytes(NULL, 0),
        .blocks = vy_buf_bytes(&blocks)};
    encode(out, &message_store_reply_desc, &reply);
    vy_buf_deinit(&blocks);
}

static void reply_login(struct run *run, struct vy_buf *out)
{
    const struct login_reply reply = {
        .result = (enum login_result)(next_random(run) % 4 != 0 ? 1 : next_random(run) % 8),
        .account_id = 7,
        .account_epoch = 1,
        .session_token = VY_LIT("t"),
        .salt = VY_LIT("saltsalt"),
        .argon2_passes = 1,
        .server_message = VY_LIT("r=x"),
        .text = VY_LIT("te\r\nxt")};
    encode(out, &login_reply_desc, &reply);
}

static void reply_of(struct run *run, uint32_t method, struct vy_buf *out)
{
    struct uidset set;
    struct vy_buf encoded;
    uidset_init(&set);
    vy_buf_init(&encoded, 1024);
    uidset_add_range(&set, 1 + (uint32_t)(next_random(run) % 5),
                     5 + (uint32_t)(next_random(run) % 20));
    uidset_encode(&encoded, &set);
    const struct vy_bytes uids = vy_buf_bytes(&encoded);
    const struct message_copy_reply copied = {
        .uidvalidity = 1, .source_uids = uids, .target_uids = uids, .modseq = 9};
    const struct message_expunge_reply expunged = {.vanished = uids, .modseq = 9};
    const struct message_search_reply found = {.uids = uids, .highest_modseq = 9};
    const struct message_append_reply appended = {.uidvalidity = 1, .uids = uids, .mailbox_id = 3};
    const struct quota_reply quota = {.limit_bytes = 5, .used_bytes = 4, .message_limit = 3};
    switch (method) {
    case METHOD_META_LOGIN:
        reply_login(run, out);
        break;
    case METHOD_SHARD_MAILBOX_OPEN:
        reply_open(run, out, uids);
        break;
    case METHOD_SHARD_MAILBOX_SYNC:
        reply_sync(run, out, uids);
        break;
    case METHOD_SHARD_MAILBOX_LIST:
        reply_list(out);
        break;
    case METHOD_SHARD_MESSAGE_STORE:
        reply_store(run, out, uids);
        break;
    case METHOD_SHARD_MESSAGE_COPY:
        encode(out, &message_copy_reply_desc, &copied);
        break;
    case METHOD_SHARD_MESSAGE_EXPUNGE:
        encode(out, &message_expunge_reply_desc, &expunged);
        break;
    case METHOD_SHARD_MESSAGE_SEARCH:
        encode(out, &message_search_reply_desc, &found);
        break;
    case METHOD_SHARD_MESSAGE_APPEND:
        encode(out, &message_append_reply_desc, &appended);
        break;
    case METHOD_SHARD_QUOTA:
        encode(out, &quota_reply_desc, &quota);
        break;
    default:
        break;
    }
    uidset_deinit(&set);
    vy_buf_deinit(&encoded);
}

/* ---- steps ---- */

static void feed_stream(struct run *run, const struct call *call)
{
    struct vy_buf stream;
    vy_buf_init(&stream, 1 << 22);
    if (call->method == METHOD_SHARD_ACCOUNT_WATCH) {
        const struct account_event event = {.mailbox_id = 3,
                                            .highest_modseq = next_random(run) % 50,
                                            .session_over = next_random(run) % 32 == 0};
        vy_ignore(event_stream_append(&stream, &account_event_desc, &event), "only touched");
    } else {
        write_rows(run, &stream, false);
    }
    if (next_random(run) % 16 == 0 && vy_buf_len(&stream) > 0) {
        stream.data[next_random(run) % vy_buf_len(&stream)] ^= (uint8_t)next_random(run);
    }
    for (uint32_t steps = 0; vy_buf_len(&stream) > 0 && steps < 1000 && !run->is_closed; steps++) {
        const size_t size = 1 + (size_t)next_random(run) % vy_buf_len(&stream);
        const size_t taken = run->session->ops->call_data(
            run->session, call->id, vy_bytes_slice(vy_buf_bytes(&stream), 0, size));
        VY_ASSERT(taken <= size);
        vy_buf_consume(&stream, taken);
        take_actions(run);
    }
    vy_buf_deinit(&stream);
}

static void end_call(struct run *run, size_t index)
{
    static const enum vy_code codes[] = {VY_CODE_UNAVAILABLE, VY_CODE_NOT_FOUND, VY_CODE_QUOTA,
                                         VY_CODE_STALE,       VY_CODE_EXISTS,    VY_CODE_CORRUPT,
                                         VY_CODE_LIMIT};
    const struct call call = run->calls[index];
    struct vy_buf reply;
    struct vy_err err = vy_ok();
    vy_buf_init(&reply, 1 << 22);
    if (call.method == METHOD_SHARD_MESSAGE_FETCH || call.method == METHOD_SHARD_ACCOUNT_WATCH) {
        feed_stream(run, &call);
    }
    if (call.method == METHOD_SHARD_ACCOUNT_WATCH && next_random(run) % 8 != 0) {
        vy_buf_deinit(&reply);
        return; /* it goes on */
    }
    run->calls[index] = run->calls[--run->call_count];
    const uint64_t kind = next_random(run) % 12;
    if (kind == 0) {
        err = vy_error(codes[next_random(run) % VY_COUNT_OF(codes)], "fuzz");
    } else if (kind == 1) {
        vy_buf_append_be64(&reply, next_random(run));
    } else {
        reply_of(run, call.method, &reply);
    }
    if (!run->is_closed) {
        run->session->ops->call_ended(run->session, call.id, err, vy_buf_bytes(&reply), 0);
    }
    vy_buf_deinit(&reply);
}

static void do_something(struct run *run, struct vy_bytes *input)
{
    const struct session_ops *const ops = run->session->ops;
    const uint64_t kind = next_random(run) % 32;
    run->session->output_full = kind == 31;
    if (run->wants_tls) {
        const struct session_tls tls = {.info = VY_LIT("TLSv1.3")};
        run->wants_tls = false;
        ops->tls_started(run->session, &tls);
    } else if (run->hash_id != 0) {
        const uint64_t id = run->hash_id;
        run->hash_id = 0;
        ops->hash_done(run->session, id, vy_ok(), VY_LIT("0123456789abcdef0123456789abcdef"));
    } else if (kind < 12 && run->call_count > 0) {
        const size_t index = (size_t)next_random(run) % run->call_count;
        ops->call_writable(run->session, run->calls[index].id, 1 + (size_t)next_random(run) % 100);
        take_actions(run);
        if (!run->is_closed && run->call_count > index) {
            end_call(run, index);
        }
    } else if (kind == 12) {
        run->session->now_ms += next_random(run) % 100000;
        ops->tick(run->session, run->session->now_ms);
    } else if (input->len > 0 && !run->is_stopped) {
        const size_t size = 1 + (size_t)next_random(run) % VY_MIN(input->len, (size_t)64);
        ops->receive(run->session, vy_bytes_slice(*input, 0, size), run->session->now_ms);
        *input = vy_bytes_from(*input, size);
    } else {
        ops->output_drained(run->session);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8) {
        return 0;
    }
    const struct imap_limits limits = imap_limits_default();
    struct run run = {.random = vy_get_be64(data)};
    const struct session_peer peer = {
        .remote_ip = VY_LIT("192.0.2.1"),
        .is_trusted = (data[0] & 1) == 0,
        .can_start_tls = true,
        .seed = {1, 2, 3, 4}
    };
    struct vy_bytes input = vy_bytes(data + 8, size - 8);
    if (vy_failed(imap_session_new(&peer, &limits, VY_LIT("host"), &run.session))) {
        return 0;
    }
    take_actions(&run);
    for (uint32_t step = 0; step < STEPS_MAX && !run.is_closed; step++) {
        if (input.len == 0 && run.call_count == 0) {
            break;
        }
        if (input.len == 0 && step % 64 == 63) {
            run.session->ops->closed(run.session);
        }
        do_something(&run, &input);
        take_actions(&run);
    }
    run.session->ops->free(run.session);
    return 0;
}
