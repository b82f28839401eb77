/* SPDX-License-Identifier: Apache-2.0 */
/* The service over the real state machine: what a frontend sees of each method. */
#include "mail/flags.h"
#include "proto/event_stream.h"
#include "proto/fetch_stream.h"
#include "proto/methods.h"
#include "shard/uids.h"
#include "shard/watches.h"
#include "tests/lib/shard_local.h"
#include "tests/lib/test.h"

#include "base/assert.h"
#include <stdio.h>

#define ADA 5U
#define VIEW 900U

static struct shard_local *s;
static const struct shard_actor *ada;

static int set_up(void **state)
{
    (void)state;
    s = shard_local_new();
    ada = shard_local_actor(s, ADA, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shard_local_free(s);
    return 0;
}

/* ---- calls ---- */

static enum vy_code ask(uint32_t method, const void *request, void *reply)
{
    return shard_local_call(s, method, NULL, request, vy_bytes(NULL, 0), reply, NULL).code;
}

static void must(uint32_t method, const void *request, void *reply)
{
    assert_int_equal(ask(method, request, reply), VY_CODE_OK);
}

static struct mailbox_list_reply list(void)
{
    const struct mailbox_list_request request = {
        .actor = ada, .with_status = true, .subscribed_names = true};
    struct mailbox_list_reply reply;

    must(METHOD_SHARD_MAILBOX_LIST, &request, &reply);
    return reply;
}

static const struct mailbox_info *find_info(const struct mailbox_list_reply *reply,
                                            const char *name)
{
    for (size_t i = 0; i < reply->mailboxes_count; i++) {
        if (vy_bytes_equal(reply->mailboxes[i].name, vy_cstr(name))) {
            return &reply->mailboxes[i];
        }
    }
    return NULL;
}

static struct mailbox_info status_of(const char *name)
{
    const struct mailbox_list_request request = {
        .actor = ada, .with_status = true, .only_name = vy_cstr(name)};
    struct mailbox_list_reply reply;

    must(METHOD_SHARD_MAILBOX_LIST, &request, &reply);
    assert_int_equal(reply.mailboxes_count, 1);
    return reply.mailboxes[0];
}

static enum vy_code create(const char *name)
{
    const struct mailbox_create_request request = {.actor = ada, .name = vy_cstr(name)};

    return ask(METHOD_SHARD_MAILBOX_CREATE, &request, NULL);
}

static enum vy_code delete_named(const char *name)
{
    const struct mailbox_delete_request request = {.actor = ada, .name = vy_cstr(name)};

    return ask(METHOD_SHARD_MAILBOX_DELETE, &request, NULL);
}

static enum vy_code rename_named(const char *from, const char *to)
{
    const struct mailbox_rename_request request = {
        .actor = ada, .from = vy_cstr(from), .to = vy_cstr(to)};

    return ask(METHOD_SHARD_MAILBOX_RENAME, &request, NULL);
}

static void append(const char *name, unsigned count)
{
    static const struct vy_bytes body = VY_LIT("Subject: hi\r\n\r\nhello\r\n");

    for (unsigned i = 0; i < count; i++) {
        const struct append_message message = {.size_bytes = body.len};
        const struct message_append_request request = {
            .actor = ada, .mailbox_name = vy_cstr(name), .messages_count = 1, .messages = &message};
        const struct vy_err err =
            shard_local_call(s, METHOD_SHARD_MESSAGE_APPEND, NULL, &request, body, NULL, NULL);
        assert_int_equal(err.code, VY_CODE_OK);
    }
}

static struct mailbox_open_reply open_box(const char *name, uint64_t view_id, bool read_only)
{
    const struct mailbox_open_request request = {
        .actor = ada, .name = vy_cstr(name), .view_id = view_id, .read_only = read_only};
    struct mailbox_open_reply reply;

    must(METHOD_SHARD_MAILBOX_OPEN, &request, &reply);
    assert_non_null(reply.info);
    return reply;
}

static struct vy_bytes set_of(uint32_t first, uint32_t last)
{
    struct uid_ranges uids;
    struct vy_bytes encoded;

    uids_init(&uids, &s->arena);
    uids_add_range(&uids, first, last);
    assert_false(vy_failed(uids_encode_arena(&uids, &s->arena, &encoded)));
    return encoded;
}

static void expect_set(struct vy_bytes encoded, const char *expected)
{
    struct uid_ranges uids;
    char text[256] = "";
    size_t len = 0;

    assert_false(vy_failed(uids_decode(&s->arena, encoded, &uids)));
    for (size_t i = 0; i < uids.count; i++) {
        const struct uid_range *range = &uids.items[i];
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u", i == 0 ? "" : ",",
                                range->first);
        if (range->last != range->first) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, ":%u", range->last);
        }
    }
    assert_string_equal(text, expected);
}

static struct message_store_reply store_flags(uint64_t mailbox_id, uint32_t first, uint32_t last,
                                              uint32_t flags, const char *keyword)
{
    struct vy_bytes name = {.data = NULL};
    struct message_store_request request = {.actor = ada,
                                            .mailbox_id = mailbox_id,
                                            .uids = set_of(first, last),
                                            .mode = STORE_MODE_ADD,
                                            .flags = flags,
                                            .want_result = true};
    struct message_store_reply reply;

    if (keyword != NULL) {
        name = vy_cstr(keyword);
        request.keywords = &name;
        request.keywords_count = 1;
    }
    must(METHOD_SHARD_MESSAGE_STORE, &request, &reply);
    return reply;
}

static struct mailbox_sync_reply sync_box(uint64_t mailbox_id, uint64_t view_id, uint64_t after)
{
    const struct mailbox_sync_request request = {
        .actor = ada, .mailbox_id = mailbox_id, .view_id = view_id, .after_modseq = after};
    struct mailbox_sync_reply reply;

    must(METHOD_SHARD_MAILBOX_SYNC, &request, &reply);
    return reply;
}

static struct message_expunge_reply expunge(uint64_t mailbox_id)
{
    const struct message_expunge_request request = {.actor = ada, .mailbox_id = mailbox_id};
    struct message_expunge_reply reply;

    must(METHOD_SHARD_MESSAGE_EXPUNGE, &request, &reply);
    return reply;
}

/* ---- who acts: P17 ---- */

static void a_call_needs_a_session_of_its_own_account(void **state)
{
    (void)state;
    struct mailbox_list_request request = {.actor = NULL};
    assert_int_equal(ask(METHOD_SHARD_MAILBOX_LIST, &request, NULL), VY_CODE_DENIED);
    const struct shard_actor empty = {.account_id = ADA, .account_epoch = 1};
    request.actor = &empty;
    assert_int_equal(ask(METHOD_SHARD_MAILBOX_LIST, &request, NULL), VY_CODE_DENIED);
    struct shard_actor other = *ada;
    other.account_id = ADA + 1;
    request.actor = &other;
    assert_int_equal(ask(METHOD_SHARD_MAILBOX_LIST, &request, NULL), VY_CODE_AUTH);
    struct shard_actor later = *ada;
    later.account_epoch = 2;
    request.actor = &later;
    assert_int_equal(ask(METHOD_SHARD_MAILBOX_LIST, &request, NULL), VY_CODE_AUTH);
    assert_int_equal(service_stats(s->service)->calls_denied, 4);
    assert_int_equal(s->key_requests, 0);
}

struct denied_lines {
    unsigned count;
    char last[512];
};

static void take_line(void *arg, enum vy_log_level level, const char *line, size_t len)
{
    struct denied_lines *lines = arg;
    if (level == VY_LOG_WARN &&
        vy_bytes_find(vy_bytes(line, len), VY_LIT("shard.call.denied"), 0) != SIZE_MAX) {
        lines->count++;
        (void)snprintf(lines->last, sizeof(lines->last), "%.*s", (int)len, line);
    }
}

/* R6: also every account that there is; nothing is looked up, and the log says so, not without end.
 */
static void r6_a_frontend_without_the_accounts_session_is_denied_and_logged(void **state)
{
    (void)state;
    struct denied_lines lines = {.count = 0};
    const struct vy_log_sink sink = {.write = take_line, .arg = &lines};
    struct shard_actor other = *ada;
    const struct mailbox_list_request request = {.actor = &other};

    s->vy_log = (struct vy_log){.sink = &sink, .clock = &s->clock.base, .level = VY_LOG_WARN};
    for (uint64_t id = ADA + 1; id <= ADA + 1000; id++) {
        other.account_id = id;
        assert_int_equal(ask(METHOD_SHARD_MAILBOX_LIST, &request, NULL), VY_CODE_AUTH);
    }
    assert_int_equal(service_stats(s->service)->calls_denied, 1000);
    assert_int_equal(s->key_requests, 0);
    assert_in_range(lines.count, 1, 2);
    const unsigned before = lines.count;
    fake_clock_advance_ms(&s->clock, 2000);
    assert_int_equal(ask(METHOD_SHARD_MAILBOX_LIST, &request, NULL), VY_CODE_AUTH);
    assert_int_equal(lines.count, before + 1);
    assert_non_null(strstr(lines.last, "shard.denied=1001"));
    assert_null(strstr(lines.last, "token="));
    s->vy_log.sink = NULL;
}

static void an_unknown_account_is_not_set_up(void **state)
{
    (void)state;
    s->unknown_account_id = ADA;
    const struct mailbox_list_request request = {.actor = ada};
    assert_int_equal(ask(METHOD_SHARD_MAILBOX_LIST, &request, NULL), VY_CODE_NOT_FOUND);
    assert_int_equal(s->machine.applied, 0);
}

static void a_follower_answers_no_session(void **state)
{
    (void)state;
    const struct mailbox_list_request request = {.actor = ada};
    const struct shard_status_request status = {.unused = 0};
    struct shard_status_reply reply;

    shard_local_set_leader(s, false);
    assert_int_equal(ask(METHOD_SHARD_MAILBOX_LIST, &request, NULL), VY_CODE_NOT_LEADER);
    assert_int_equal(create("Work"), VY_CODE_NOT_LEADER);
    must(METHOD_SHARD_STATUS, &status, &reply);
    assert_false(reply.leader);
    assert_int_equal(reply.member_id, 77);
}

/* ---- mailboxes ---- */

static void first_use_makes_the_common_mailboxes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum mailbox_role role;
    } expected[] = {
        {"INBOX",   MAILBOX_ROLE_INBOX  },
        {"Drafts",  MAILBOX_ROLE_DRAFTS },
        {"Sent",    MAILBOX_ROLE_SENT   },
        {"Junk",    MAILBOX_ROLE_JUNK   },
        {"Trash",   MAILBOX_ROLE_TRASH  },
        {"Archive", MAILBOX_ROLE_ARCHIVE}
    };
    const struct mailbox_list_reply reply = list();

    assert_int_equal(reply.mailboxes_count, VY_COUNT_OF(expected));
    for (size_t i = 0; i < VY_COUNT_OF(expected); i++) {
        const struct mailbox_info *info = find_info(&reply, expected[i].name);
        assert_non_null(info);
        assert_int_equal(info->role, expected[i].role);
        assert_true(info->subscribed);
        assert_int_not_equal(info->mailbox_id, 0);
        assert_int_not_equal(info->uidvalidity, 0);
        assert_int_equal(info->uidnext, 1);
    }
    assert_int_equal(s->key_requests, 1);
}

static void create_makes_the_levels_above_as_names(void **state)
{
    (void)state;
    assert_int_equal(create("a/b/c"), VY_CODE_OK);
    const struct mailbox_list_reply reply = list();
    assert_true(find_info(&reply, "a")->no_select);
    assert_true(find_info(&reply, "a/b")->no_select);
    assert_false(find_info(&reply, "a/b/c")->no_select);
    assert_int_equal(create("a/b/c"), VY_CODE_EXISTS);
    assert_int_equal(create("INBOX"), VY_CODE_EXISTS);
    assert_int_equal(create("a"), VY_CODE_OK);
    assert_int_equal(create("x//y"), VY_CODE_ARGUMENT);
}

static void delete_keeps_a_name_with_children(void **state)
{
    (void)state;
    create("a");
    create("a/b");
    assert_int_equal(delete_named("a"), VY_CODE_OK);
    assert_int_equal(delete_named("a"), VY_CODE_PRECONDITION);
    assert_int_equal(delete_named("a/b"), VY_CODE_OK);
    assert_int_equal(delete_named("a"), VY_CODE_OK);
    assert_int_equal(delete_named("a"), VY_CODE_NOT_FOUND);
    assert_int_equal(delete_named("INBOX"), VY_CODE_PRECONDITION);
    const struct mailbox_list_reply reply = list();
    assert_int_equal(reply.mailboxes_count, 6);
}

static void rename_takes_the_children_along(void **state)
{
    (void)state;
    create("a/b");
    create("ab");
    append("a/b", 1);
    assert_int_equal(rename_named("a", "x/y"), VY_CODE_OK);
    const struct mailbox_list_reply reply = list();
    assert_null(find_info(&reply, "a"));
    assert_true(find_info(&reply, "x")->no_select);
    assert_int_equal(find_info(&reply, "x/y/b")->message_count, 1);
    assert_non_null(find_info(&reply, "ab"));
    assert_int_equal(rename_named("x/y", "x/y/z"), VY_CODE_PRECONDITION);
    assert_int_equal(rename_named("none", "z"), VY_CODE_NOT_FOUND);
    assert_int_equal(rename_named("ab", "Sent"), VY_CODE_EXISTS);
}

static void renaming_inbox_leaves_it_empty(void **state)
{
    (void)state;
    append("INBOX", 2);
    assert_int_equal(rename_named("INBOX", "INBOX/old"), VY_CODE_OK);
    const struct mailbox_list_reply reply = list();
    assert_int_equal(find_info(&reply, "INBOX")->message_count, 0);
    assert_int_equal(find_info(&reply, "INBOX/old")->message_count, 2);
}

static void a_subscription_outlives_its_mailbox(void **state)
{
    (void)state;
    struct mailbox_subscribe_request request = {
        .actor = ada, .name = VY_LIT("Work"), .subscribed = true};
    create("Work");
    must(METHOD_SHARD_MAILBOX_SUBSCRIBE, &request, NULL);
    delete_named("Work");
    struct mailbox_list_reply reply = list();
    const struct mailbox_info *info = find_info(&reply, "Work");
    assert_non_null(info);
    assert_true(info->subscribed);
    assert_int_equal(info->mailbox_id, 0);
    request.subscribed = false;
    must(METHOD_SHARD_MAILBOX_SUBSCRIBE, &request, NULL);
    reply = list();
    assert_null(find_info(&reply, "Work"));
}

/* R4: a lost answer is asked for again under the same key. */
static void a_repeated_create_is_answered_again(void **state)
{
    (void)state;
    static const uint8_t key[16] = "create-once-key";
    const struct mailbox_create_request request = {.actor = ada, .name = VY_LIT("Once")};
    struct mailbox_create_reply reply = {.mailbox_id = 0};

    list();
    s->fail_next_propose = VY_CODE_UNKNOWN;
    struct vy_err err = shard_local_call(s, METHOD_SHARD_MAILBOX_CREATE, key, &request,
                                         vy_bytes(NULL, 0), NULL, NULL);
    assert_int_equal(err.code, VY_CODE_UNKNOWN);
    err = shard_local_call(s, METHOD_SHARD_MAILBOX_CREATE, key, &request, vy_bytes(NULL, 0), &reply,
                           NULL);
    assert_int_equal(err.code, VY_CODE_OK);
    assert_int_equal(reply.mailbox_id, status_of("Once").mailbox_id);
}

/* ---- SELECT and what follows ---- */

static void open_tells_what_is_there_and_gives_recent_once(void **state)
{
    (void)state;
    append("INBOX", 3);
    assert_int_equal(status_of("INBOX").recent_count, 3);
    struct mailbox_open_reply reply = open_box("INBOX", VIEW + 1, true);
    expect_set(reply.uids, "1:3");
    expect_set(reply.recent_uids, "1:3");
    assert_int_equal(reply.first_unseen_uid, 1);
    reply = open_box("INBOX", VIEW, false);
    expect_set(reply.recent_uids, "1:3");
    assert_int_equal(reply.info->recent_count, 3);
    reply = open_box("INBOX", VIEW + 2, false);
    expect_set(reply.recent_uids, "");
    assert_int_equal(status_of("INBOX").recent_count, 0);
    assert_int_equal(service_stats(s->service)->views_open, 3);

    const struct mailbox_open_request missing = {.actor = ada, .name = VY_LIT("None")};
    assert_int_equal(ask(METHOD_SHARD_MAILBOX_OPEN, &missing, NULL), VY_CODE_NOT_FOUND);
    const struct mailbox_close_request close = {
        .actor = ada, .mailbox_id = reply.info->mailbox_id, .view_id = VIEW};
    must(METHOD_SHARD_MAILBOX_CLOSE, &close, NULL);
    assert_int_equal(service_stats(s->service)->views_open, 2);
}

static void store_returns_the_new_state(void **state)
{
    (void)state;
    append("INBOX", 3);
    const struct mailbox_info info = status_of("INBOX");
    const struct message_store_reply reply =
        store_flags(info.mailbox_id, 2, 9, MAIL_FLAG_SEEN, "$Work");
    assert_int_equal(reply.previous_modseq, info.highest_modseq);
    assert_true(reply.modseq > info.highest_modseq);
    assert_int_equal(reply.keywords_count, 1);
    assert_true(vy_bytes_equal(reply.keywords[0], VY_LIT("$Work")));

    struct fetch_reader reader;
    struct fetch_event event;
    struct vy_bytes in = reply.blocks;
    fetch_reader_init(&reader);
    assert_false(vy_failed(fetch_reader_next(&reader, &in, &event)));
    assert_int_equal(event.kind, FETCH_EVENT_BLOCK);
    assert_int_equal(event.block.count, 2);
    assert_int_equal(fetch_block_uid(&event.block, 0), 2);
    assert_int_equal(fetch_block_flags(&event.block, 1), MAIL_FLAG_SEEN);
    assert_int_equal(fetch_block_keywords(&event.block, 0).data[0], 1);
    assert_int_equal(fetch_block_modseq(&event.block, 1), reply.modseq);
    fetch_reader_deinit(&reader);
    /* In any case, it is the same keyword. */
    assert_int_equal(store_flags(info.mailbox_id, 1, 1, 0, "$WORK").keywords_count, 1);
}

static void store_refuses_unknown_mailboxes_and_too_long_keywords(void **state)
{
    (void)state;
    uint8_t letters[65];
    memset(letters, 'k', sizeof(letters));
    const struct vy_bytes keyword = vy_bytes(letters, sizeof(letters));
    struct message_store_request request = {.actor = ada,
                                            .mailbox_id = 12345,
                                            .uids = set_of(1, 1),
                                            .mode = STORE_MODE_ADD,
                                            .flags = MAIL_FLAG_SEEN};
    list();
    assert_int_equal(ask(METHOD_SHARD_MESSAGE_STORE, &request, NULL), VY_CODE_NOT_FOUND);
    request.keywords = &keyword;
    request.keywords_count = 1;
    assert_int_equal(ask(METHOD_SHARD_MESSAGE_STORE, &request, NULL), VY_CODE_LIMIT);
}

static void sync_tells_each_change_once(void **state)
{
    (void)state;
    append("INBOX", 3);
    const struct mailbox_open_reply opened = open_box("INBOX", VIEW, false);
    const uint64_t id = opened.info->mailbox_id;
    struct mailbox_sync_reply reply = sync_box(id, VIEW, opened.info->highest_modseq);
    assert_int_equal(reply.vanished.len + reply.new_uids.len + reply.changed_count, 0);

    append("INBOX", 2);
    store_flags(id, 1, 2, MAIL_FLAG_DELETED, NULL);
    store_flags(id, 3, 3, MAIL_FLAG_FLAGGED, "$k");
    assert_int_equal(expunge(id).vanished.len > 0, true);
    reply = sync_box(id, VIEW, opened.info->highest_modseq);
    expect_set(reply.vanished, "1:2");
    expect_set(reply.new_uids, "4:5");
    expect_set(reply.recent_uids, "4:5");
    assert_int_equal(reply.changed_count, 1);
    assert_int_equal(reply.changed[0].uid, 3);
    assert_int_equal(reply.changed[0].flags, MAIL_FLAG_FLAGGED);
    assert_int_equal(reply.changed[0].keyword_bits.data[0], 1);
    assert_int_equal(reply.keywords_count, 1);
    assert_int_equal(reply.uidnext, 6);
    assert_false(reply.more);
    const uint64_t told = reply.highest_modseq;
    reply = sync_box(id, VIEW, told);
    assert_int_equal(reply.vanished.len + reply.new_uids.len + reply.changed_count, 0);
    assert_int_equal(reply.highest_modseq, told);
    /* \Recent was given to this session. */
    expect_set(open_box("INBOX", VIEW + 1, false).recent_uids, "");

    create("Gone");
    const uint64_t gone_id = open_box("Gone", VIEW + 2, false).info->mailbox_id;
    delete_named("Gone");
    assert_true(sync_box(gone_id, VIEW + 2, 0).mailbox_deleted);
}

static void qresync_names_what_vanished_of_the_known(void **state)
{
    (void)state;
    append("INBOX", 5);
    const struct mailbox_info info = status_of("INBOX");
    store_flags(info.mailbox_id, 2, 4, MAIL_FLAG_DELETED, NULL);
    expunge(info.mailbox_id);
    const struct mailbox_open_request request = {.actor = ada,
                                                 .name = VY_LIT("INBOX"),
                                                 .known_uidvalidity = info.uidvalidity,
                                                 .known_modseq = info.highest_modseq,
                                                 .known_uids = set_of(3, 5)};
    struct mailbox_open_reply reply;
    must(METHOD_SHARD_MAILBOX_OPEN, &request, &reply);
    expect_set(reply.vanished, "3:4");
}

static void copy_and_move_report_both_sides(void **state)
{
    (void)state;
    append("INBOX", 3);
    const struct mailbox_info info = status_of("INBOX");
    struct message_copy_request request = {.actor = ada,
                                           .mailbox_id = info.mailbox_id,
                                           .uids = set_of(2, 7),
                                           .target_name = VY_LIT("Archive")};
    struct message_copy_reply reply;
    must(METHOD_SHARD_MESSAGE_COPY, &request, &reply);
    expect_set(reply.source_uids, "2:3");
    expect_set(reply.target_uids, "1:2");
    assert_int_equal(reply.uidvalidity, status_of("Archive").uidvalidity);
    assert_int_equal(reply.modseq, 0);
    request.move = true;
    must(METHOD_SHARD_MESSAGE_COPY, &request, &reply);
    expect_set(reply.target_uids, "3:4");
    assert_int_equal(reply.previous_modseq, info.highest_modseq);
    assert_int_equal(reply.modseq, status_of("INBOX").highest_modseq);
    request.target_name = VY_LIT("None");
    assert_int_equal(ask(METHOD_SHARD_MESSAGE_COPY, &request, NULL), VY_CODE_NOT_FOUND);
}

/* ---- IMAP-F2: expunged content stays until it is told ---- */

static size_t emails(void)
{
    return shard_machine_count_rows(&s->machine, SHARD_EMAIL);
}

static void run_s(uint64_t seconds)
{
    fake_loop_run_ms(&s->loop, seconds * 1000);
}

static void expunged_content_stays_until_every_view_was_told(void **state)
{
    (void)state;
    run_s(310); /* a leader purges nothing before one lease is over */
    append("INBOX", 2);
    const struct mailbox_open_reply mine = open_box("INBOX", VIEW, false);
    const struct mailbox_open_reply other = open_box("INBOX", VIEW + 1, true);
    const uint64_t id = mine.info->mailbox_id;
    store_flags(id, 1, 1, MAIL_FLAG_DELETED, NULL);
    const uint64_t modseq = expunge(id).modseq;
    sync_box(id, VIEW, modseq);
    run_s(20);
    assert_int_equal(emails(), 2);
    sync_box(id, VIEW + 1, other.info->highest_modseq); /* asks, but was not told yet */
    run_s(20);
    assert_int_equal(emails(), 2);
    sync_box(id, VIEW + 1, modseq);
    run_s(20);
    assert_int_equal(emails(), 1);
    assert_int_equal(service_stats(s->service)->purged_rows, 1);
}

static void a_silent_view_holds_content_for_one_lease(void **state)
{
    (void)state;
    run_s(310);
    append("INBOX", 1);
    const uint64_t id = open_box("INBOX", VIEW, false).info->mailbox_id;
    store_flags(id, 1, 1, MAIL_FLAG_DELETED, NULL);
    expunge(id);
    run_s(290);
    assert_int_equal(emails(), 1);
    run_s(30);
    assert_int_equal(emails(), 0);
    assert_int_equal(service_stats(s->service)->views_open, 0);
}

static void a_new_leader_finds_what_the_old_one_left(void **state)
{
    (void)state;
    append("INBOX", 1);
    const uint64_t id = status_of("INBOX").mailbox_id;
    store_flags(id, 1, 1, MAIL_FLAG_DELETED, NULL);
    expunge(id);
    shard_local_set_leader(s, false);
    shard_local_set_leader(s, true);
    run_s(290);
    assert_int_equal(emails(), 1);
    run_s(30);
    assert_int_equal(emails(), 0);
}

/* ---- the change feed ---- */

/* Reads the events of a feed as "m2@7 list over" and empties it. */
static const char *events_of(struct shard_local_call *call)
{
    static char text[512];
    struct event_reader reader;
    struct vy_bytes in = vy_buf_bytes(&call->stream);
    struct vy_bytes message;
    bool found = true;
    size_t len = 0;

    text[0] = '\0';
    event_reader_init(&reader);
    while (found) {
        assert_false(vy_failed(event_reader_next(&reader, &in, &message, &found)));
        struct account_event event;
        if (!found) {
            break;
        }
        assert_false(vy_failed(vy_pb_decode(&account_event_desc, &s->arena, message, &event)));
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len == 0 ? "" : " ",
                                event.session_over           ? "over"
                                : event.mailbox_list_changed ? "list"
                                                             : "box");
        if (event.mailbox_id != 0) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%llu@%llu",
                                    (unsigned long long)event.mailbox_id,
                                    (unsigned long long)event.highest_modseq);
        }
    }
    event_reader_deinit(&reader);
    vy_buf_reset(&call->stream);
    return text;
}

static void a_feed_tells_changes_coalesced(void **state)
{
    (void)state;
    struct shard_local_call feed;
    const struct account_watch_request request = {.actor = ada};
    char expected[128];

    append("INBOX", 1);
    const uint64_t id = status_of("INBOX").mailbox_id;
    shard_local_begin(s, &feed, METHOD_SHARD_ACCOUNT_WATCH, NULL, &request);
    shard_local_run(s);
    assert_false(feed.is_ended);
    assert_string_equal(events_of(&feed), "");
    const uint64_t first = store_flags(id, 1, 1, MAIL_FLAG_SEEN, NULL).modseq;
    (void)snprintf(expected, sizeof(expected), "box%llu@%llu", (unsigned long long)id,
                   (unsigned long long)first);
    assert_string_equal(events_of(&feed), expected);
    /* The link is full: what comes meanwhile is one event a mailbox. */
    feed.credit = 0;
    store_flags(id, 1, 1, MAIL_FLAG_FLAGGED, NULL);
    store_flags(id, 1, 1, MAIL_FLAG_ANSWERED, NULL);
    const uint64_t last = store_flags(id, 1, 1, MAIL_FLAG_DRAFT, NULL).modseq;
    create("Work");
    assert_string_equal(events_of(&feed), "");
    feed.credit = SIZE_MAX;
    service_call_writable(feed.call);
    const char *told = events_of(&feed);
    (void)snprintf(expected, sizeof(expected), "box%llu@%llu", (unsigned long long)id,
                   (unsigned long long)last);
    assert_non_null(strstr(told, expected));
    assert_non_null(strstr(told, "list"));
    shard_local_end(&feed);
}

static void a_feed_begins_behind_its_cursor(void **state)
{
    (void)state;
    struct shard_local_call feed;
    char expected[128];

    append("INBOX", 1);
    const struct mailbox_info before = status_of("INBOX");
    const uint64_t modseq = store_flags(before.mailbox_id, 1, 1, MAIL_FLAG_SEEN, NULL).modseq;
    const struct account_watch_request request = {.actor = ada, .cursor = before.highest_modseq};
    shard_local_begin(s, &feed, METHOD_SHARD_ACCOUNT_WATCH, NULL, &request);
    shard_local_run(s);
    (void)snprintf(expected, sizeof(expected), "box%llu@%llu",
                   (unsigned long long)before.mailbox_id, (unsigned long long)modseq);
    assert_string_equal(events_of(&feed), expected);
    shard_local_end(&feed);
}

/* IMAP-N8: the feed of a session that has selected already, as after a failover. */
static void a_feed_tells_what_happened_since_the_mailbox_was_selected(void **state)
{
    (void)state;
    struct shard_local_call feed;
    const struct account_watch_request request = {.actor = ada};
    char expected[128];

    append("INBOX", 1);
    const uint64_t id = open_box("INBOX", VIEW, false).info->mailbox_id;
    append("INBOX", 1);
    append("Sent", 1); /* nobody has it selected */
    shard_local_begin(s, &feed, METHOD_SHARD_ACCOUNT_WATCH, NULL, &request);
    shard_local_run(s);
    (void)snprintf(expected, sizeof(expected), "box%llu@%llu", (unsigned long long)id,
                   (unsigned long long)status_of("INBOX").highest_modseq);
    assert_string_equal(events_of(&feed), expected);
    shard_local_end(&feed);
    /* Told of it, the session hears nothing twice. */
    sync_box(id, VIEW, status_of("INBOX").highest_modseq);
    shard_local_begin(s, &feed, METHOD_SHARD_ACCOUNT_WATCH, NULL, &request);
    shard_local_run(s);
    assert_string_equal(events_of(&feed), "");
    shard_local_end(&feed);
}

static void feeds_end_when_leadership_moves(void **state)
{
    (void)state;
    struct shard_local_call feed;
    const struct account_watch_request request = {.actor = ada};

    shard_local_begin(s, &feed, METHOD_SHARD_ACCOUNT_WATCH, NULL, &request);
    shard_local_run(s);
    shard_local_set_leader(s, false);
    assert_true(feed.is_ended);
    assert_int_equal(feed.err.code, VY_CODE_NOT_LEADER);
    shard_local_end(&feed);
}

static void lost_events_end_feeds_so_that_sessions_look_anew(void **state)
{
    (void)state;
    struct shard_local_call feed;
    const struct account_watch_request request = {.actor = ada};

    shard_local_begin(s, &feed, METHOD_SHARD_ACCOUNT_WATCH, NULL, &request);
    shard_local_run(s);
    service_on_events_lost(s->service);
    assert_true(feed.is_ended);
    assert_int_equal(feed.err.code, VY_CODE_BUSY);
    shard_local_end(&feed);
}

/* More mailboxes than a feed can name: it ends, it does not forget. */
static void a_feed_too_far_behind_ends(void **state)
{
    (void)state;
    struct shard_local_call feed;
    const struct account_watch_request request = {.actor = ada};
    char name[16];

    list(); /* sets the account up */
    shard_local_begin(s, &feed, METHOD_SHARD_ACCOUNT_WATCH, NULL, &request);
    shard_local_run(s);
    feed.credit = 0;
    for (unsigned i = 0; i < WATCH_PENDING_MAX; i++) {
        (void)snprintf(name, sizeof(name), "m%u", i);
        assert_int_equal(create(name), VY_CODE_OK);
    }
    assert_false(feed.is_ended);
    create("one-more");
    assert_true(feed.is_ended);
    assert_int_equal(feed.err.code, VY_CODE_BUSY);
    shard_local_end(&feed);
}

/* Meta says that something about the account changed: it is asked, not remembered. */
static void a_changed_account_is_asked_for_anew(void **state)
{
    (void)state;
    struct shard_local_call feed;
    const struct account_watch_request request = {.actor = ada};

    list();
    assert_int_equal(s->key_requests, 1);
    shard_local_begin(s, &feed, METHOD_SHARD_ACCOUNT_WATCH, NULL, &request);
    shard_local_run(s);
    service_on_account_change(s->service, ADA, 1);
    assert_false(feed.is_ended);
    list();
    assert_int_equal(s->key_requests, 2);
    service_on_account_change(s->service, ADA, 2);
    assert_true(feed.is_ended);
    assert_int_equal(feed.err.code, VY_CODE_STALE);
    shard_local_end(&feed);
}

/* ---- fences: APP-2, DEL-4 ---- */

static void a_fence_ends_sessions_at_once(void **state)
{
    (void)state;
    struct shard_local_call feed;
    const struct account_watch_request watch = {.actor = ada};
    const struct account_fence_request fence = {.account_id = ADA, .account_epoch = 2};
    struct account_fence_reply reply;

    list();
    shard_local_begin(s, &feed, METHOD_SHARD_ACCOUNT_WATCH, NULL, &watch);
    shard_local_run(s);
    must(METHOD_SHARD_ACCOUNT_FENCE, &fence, &reply);
    assert_int_equal(reply.account_epoch, 2);
    assert_true(feed.is_ended);
    assert_int_equal(feed.err.code, VY_CODE_STALE);
    assert_string_equal(events_of(&feed), "over");
    shard_local_end(&feed);
    assert_int_equal(create("Work"), VY_CODE_STALE);
    const struct mailbox_list_request request = {.actor = ada};
    assert_int_equal(ask(METHOD_SHARD_MAILBOX_LIST, &request, NULL), VY_CODE_STALE);
    ada = shard_local_actor(s, ADA, 2);
    assert_int_equal(list().mailboxes_count, 6);
}

/* The fence came from meta's leader, and then nobody of meta can be asked: the log knows enough. */
static void a_fence_holds_without_meta(void **state)
{
    (void)state;
    const struct account_fence_request fence = {.account_id = ADA, .account_epoch = 2};
    const struct mailbox_list_request request = {.actor = ada};
    struct account_fence_reply reply;

    list();
    must(METHOD_SHARD_ACCOUNT_FENCE, &fence, &reply);
    s->is_meta_away = true;
    const unsigned before = s->key_requests;
    assert_int_equal(ask(METHOD_SHARD_MAILBOX_LIST, &request, NULL), VY_CODE_STALE);
    assert_int_equal(create("Work"), VY_CODE_STALE);
    assert_int_equal(s->key_requests, before);
}

/* F22: meta asks every member, leader or not; nobody is clean before the erasure is applied here.
 */
static void f22_a_member_says_how_far_its_files_are_rid_of_an_account(void **state)
{
    (void)state;
    const struct account_expel_request request = {.account_id = ADA};
    const struct account_fence_request fence = {
        .account_id = ADA, .account_epoch = 2, .erase = true};
    struct account_expel_reply reply;

    append("INBOX", 1);
    for (unsigned i = 0; i < 2; i++) {
        must(METHOD_SHARD_ACCOUNT_EXPEL, &request, &reply);
        assert_false(reply.applied || reply.rewritten || reply.log_cut);
    }
    assert_int_equal(s->expelled_account_id, 0); /* nothing was begun */
    must(METHOD_SHARD_ACCOUNT_FENCE, &fence, NULL);
    shard_local_set_leader(s, false);
    must(METHOD_SHARD_ACCOUNT_EXPEL, &request, &reply);
    assert_true(reply.applied && !reply.log_cut);
    must(METHOD_SHARD_ACCOUNT_EXPEL, &request, &reply);
    assert_true(reply.applied && reply.rewritten && reply.log_cut);
    assert_int_equal(reply.member_id, 77);
}

static void an_erased_account_is_gone(void **state)
{
    (void)state;
    append("INBOX", 2);
    open_box("INBOX", VIEW, false);
    const struct account_fence_request fence = {
        .account_id = ADA, .account_epoch = 2, .erase = true};
    must(METHOD_SHARD_ACCOUNT_FENCE, &fence, NULL);
    assert_int_equal(emails(), 0);
    assert_int_equal(service_stats(s->service)->views_open, 0);
    ada = shard_local_actor(s, ADA, 3);
    const struct mailbox_list_request request = {.actor = ada};
    assert_int_equal(ask(METHOD_SHARD_MAILBOX_LIST, &request, NULL), VY_CODE_STALE);
    assert_int_equal(create("Work"), VY_CODE_NOT_FOUND);
}

static void quota_is_told_and_kept(void **state)
{
    (void)state;
    s->quota_bytes = 1000;
    append("INBOX", 1);
    const struct quota_request request = {.actor = ada};
    struct quota_reply reply;
    must(METHOD_SHARD_QUOTA, &request, &reply);
    assert_int_equal(reply.limit_bytes, 1000);
    assert_int_equal(reply.message_count, 1);
    assert_int_equal(reply.used_bytes, status_of("INBOX").size_bytes);
    const struct account_fence_request fence = {
        .account_id = ADA, .account_epoch = 1, .set_quota = true, .quota_bytes = 77};
    must(METHOD_SHARD_ACCOUNT_FENCE, &fence, NULL);
    must(METHOD_SHARD_QUOTA, &request, &reply);
    assert_int_equal(reply.limit_bytes, 77);
}

/* ---- calls that are in the way of others ---- */

static void calls_open_at_the_end_are_answered(void **state)
{
    (void)state;
    struct shard_local_call call;
    const struct account_watch_request request = {.actor = ada};

    shard_local_begin(s, &call, METHOD_SHARD_ACCOUNT_WATCH, NULL, &request);
    shard_local_run(s);
    shard_local_free(s);
    assert_true(call.is_ended);
    assert_int_equal(call.err.code, VY_CODE_UNAVAILABLE);
    vy_buf_deinit(&call.reply);
    vy_buf_deinit(&call.stream);
    s = shard_local_new();
}

static void a_damaged_request_is_refused(void **state)
{
    (void)state;
    struct shard_local_call call;
    const struct quota_request request = {.actor = ada};
    const struct call_transport_ops *ops = NULL;

    shard_local_begin(s, &call, METHOD_SHARD_QUOTA, NULL, &request);
    shard_local_run(s);
    ops = shard_local_transport();
    assert_true(call.is_ended);
    call.is_ended = false;
    assert_null(
        service_call_start(s->service, METHOD_SHARD_QUOTA, VY_LIT("\x0a\xff"), NULL, ops, &call));
    assert_int_equal(call.err.code, VY_CODE_SYNTAX);
    call.is_ended = false;
    assert_null(service_call_start(s->service, 0x1ffff, VY_LIT(""), NULL, ops, &call));
    assert_int_equal(call.err.code, VY_CODE_UNSUPPORTED);
    shard_local_end(&call);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_call_needs_a_session_of_its_own_account),
        T(r6_a_frontend_without_the_accounts_session_is_denied_and_logged),
        T(an_unknown_account_is_not_set_up),
        T(a_follower_answers_no_session),
        T(first_use_makes_the_common_mailboxes),
        T(create_makes_the_levels_above_as_names),
        T(delete_keeps_a_name_with_children),
        T(rename_takes_the_children_along),
        T(renaming_inbox_leaves_it_empty),
        T(a_subscription_outlives_its_mailbox),
        T(a_repeated_create_is_answered_again),
        T(open_tells_what_is_there_and_gives_recent_once),
        T(store_returns_the_new_state),
        T(store_refuses_unknown_mailboxes_and_too_long_keywords),
        T(sync_tells_each_change_once),
        T(qresync_names_what_vanished_of_the_known),
        T(copy_and_move_report_both_sides),
        T(expunged_content_stays_until_every_view_was_told),
        T(a_silent_view_holds_content_for_one_lease),
        T(a_new_leader_finds_what_the_old_one_left),
        T(a_feed_tells_changes_coalesced),
        T(a_feed_begins_behind_its_cursor),
        T(a_feed_tells_what_happened_since_the_mailbox_was_selected),
        T(feeds_end_when_leadership_moves),
        T(lost_events_end_feeds_so_that_sessions_look_anew),
        T(a_feed_too_far_behind_ends),
        T(a_changed_account_is_asked_for_anew),
        T(a_fence_ends_sessions_at_once),
        T(a_fence_holds_without_meta),
        T(f22_a_member_says_how_far_its_files_are_rid_of_an_account),
        T(an_erased_account_is_gone),
        T(quota_is_told_and_kept),
        T(calls_open_at_the_end_are_answered),
        T(a_damaged_request_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
