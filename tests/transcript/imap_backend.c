/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meta and a shard for IMAP transcripts, over one account in memory (imap_store.h). Directives:
 *   login                   logs in as dev@dev.test, silently
 *   select NAME             SELECTs, silently
 *   mailbox NAME [uidvalidity=N] [messages=N] [role=N]
 *   message NAME [flags=\Seen,$Foo]      the lines "| ..." behind it are its text
 *   other NAME store UID FLAGS | other NAME expunge UID | other NAME append | other NAME delete
 *   seen-by-others NAME     its messages are not \Recent for the next SELECT
 *   count NAME N            fails unless that many messages are stored
 *   session-over            the account's epoch was raised
 * Passwords: "secret" for dev@dev.test and argon@dev.test (this one with Argon2id); disabled@ and
 * limited@ answer so.
 */
#include "base/assert.h"
#include "frontend/imap/imap.h"
#include "mail/flags.h"
#include "mail/imap_string.h"
#include "proto/event_stream.h"
#include "proto/fetch_stream.h"
#include "tests/transcript/imap_store.h"
#include "tests/transcript/transcript.h"
#include <stdio.h>
#include <stdlib.h>

#define ARENA_BYTES_MAX (64U * 1024U * 1024U)
#define LITERAL_PIECE_BYTES 1000U /* bodies go in several records */
#define INLINE_BYTES_MAX 100U

struct backend {
    struct store *store;
    struct imap_limits limits;
    struct vy_arena arena;         /* of the call being answered */
    struct store_message *message; /* whose "| " lines come */
    struct store_mailbox *message_mailbox;
    bool watch_is_open;
};

/* SHA-256 of "secret" */
static const uint8_t secret_hash[32] = {
    0x2b, 0xb8, 0x0d, 0x53, 0x7b, 0x1d, 0xa3, 0xe3, 0x8b, 0xd3, 0x03, 0x61, 0xaa, 0x85, 0x56, 0x86,
    0xbd, 0xe0, 0xea, 0xcd, 0x71, 0x62, 0xfe, 0xf6, 0xa2, 0x5f, 0xe9, 0x7b, 0xf5, 0x27, 0xa2, 0x5b};

static struct vy_err not_found(void)
{
    return vy_error(VY_CODE_NOT_FOUND, "as the store says");
}

/* ---- sets ---- */

static struct vy_bytes encode_set(struct backend *b, struct uidset *set)
{
    struct vy_bytes bytes = {.data = NULL};
    if (set->count > 0) {
        vy_ignore(imap_uids_encode(&b->arena, set, &bytes), "a test's arena is large enough");
    }
    uidset_deinit(set);
    return bytes;
}

static bool set_has(struct vy_bytes encoded, uint32_t uid)
{
    struct uidset set = {.ranges = NULL};
    vy_ignore(uidset_decode(encoded, &set), "what is cut holds less");
    const bool has = uidset_contains(&set, uid);
    uidset_deinit(&set);
    return has;
}

static size_t keyword_names(struct backend *b, const struct store_mailbox *mailbox,
                            const struct vy_bytes **out)
{
    struct vy_bytes *const names = VY_ARENA_ARRAY(&b->arena, STORE_KEYWORDS_MAX, struct vy_bytes);
    VY_ASSERT(names != NULL);
    for (uint32_t i = 0; i < mailbox->keyword_count; i++) {
        names[i] = vy_cstr(mailbox->keywords[i]);
    }
    *out = names;
    return mailbox->keyword_count;
}

/* ---- meta ---- */

static struct vy_err answer_login(struct backend *b, const struct login_request *request,
                                  struct login_reply *reply)
{
    const struct vy_bytes name = request->context->typed_name;
    const bool is_right = vy_bytes_equal(request->password_hash, vy_bytes(secret_hash, 32));
    (void)b;
    reply->result = LOGIN_RESULT_REFUSED;
    if (vy_bytes_equal(name, VY_LIT("argon@dev.test"))) {
        const bool is_second = request->argon2_tag.len == 32;
        reply->result = !is_second ? LOGIN_RESULT_NEED_ARGON2
                        : is_right ? LOGIN_RESULT_OK
                                   : LOGIN_RESULT_REFUSED;
        reply->argon2_cache_key = VY_LIT("argon, epoch 1");
        reply->salt = VY_LIT("0123456789abcdef");
        reply->argon2_memory_kib = 64;
        reply->argon2_passes = 1;
        reply->argon2_lanes = 1;
        reply->challenge = VY_LIT("challenge");
    } else if (vy_bytes_equal(name, VY_LIT("disabled@dev.test"))) {
        reply->result = LOGIN_RESULT_DISABLED;
        reply->text = VY_LIT("Call the help desk");
    } else if (vy_bytes_equal(name, VY_LIT("limited@dev.test"))) {
        reply->result = LOGIN_RESULT_LIMITED;
        reply->retry_after_ms = 5000;
    } else if (is_right && vy_bytes_equal(name, VY_LIT("dev@dev.test"))) {
        reply->result = LOGIN_RESULT_OK;
    }
    reply->account_id = 77;
    reply->account_epoch = 1;
    reply->session_token = VY_LIT("token");
    reply->account_name = VY_LIT("dev@dev.test");
    return vy_ok();
}

/* ---- mailboxes ---- */

static struct mailbox_info mailbox_info(const struct store_mailbox *mailbox)
{
    struct mailbox_info info = {
        .mailbox_id = mailbox->exists ? mailbox->id : 0,
        .name = vy_cstr(mailbox->name),
        .role = mailbox->role,
        .subscribed = mailbox->subscribed,
        .no_select = mailbox->no_select,
        .uidvalidity = mailbox->uidvalidity,
        .uidnext = mailbox->uidnext,
        .highest_modseq = mailbox->modseq,
    };
    for (size_t i = 0; i < mailbox->count; i++) {
        const struct store_message *const message = &mailbox->messages[i];
        if (message->is_expunged) {
            continue;
        }
        info.message_count++;
        info.unseen_count += (message->flags & MAIL_FLAG_SEEN) == 0 ? 1 : 0;
        info.deleted_count += (message->flags & MAIL_FLAG_DELETED) != 0 ? 1 : 0;
        info.recent_count += message->is_recent ? 1 : 0;
        info.size_bytes += vy_buf_len(&message->text);
    }
    return info;
}

static struct vy_err answer_list(struct backend *b, const struct mailbox_list_request *request,
                                 struct mailbox_list_reply *reply)
{
    struct mailbox_info *const infos =
        VY_ARENA_ARRAY(&b->arena, STORE_MAILBOXES_MAX, struct mailbox_info);
    VY_ASSERT(infos != NULL);
    for (size_t i = 0; i < STORE_MAILBOXES_MAX; i++) {
        const struct store_mailbox *const mailbox = &b->store->mailboxes[i];
        const bool is_wanted = request->only_name.len == 0 ||
                               vy_bytes_equal(request->only_name, vy_cstr(mailbox->name));
        if (mailbox->id == 0 || !is_wanted ||
            (!mailbox->exists && !(request->subscribed_names && mailbox->subscribed))) {
            continue;
        }
        infos[reply->mailboxes_count++] = mailbox_info(mailbox);
    }
    reply->mailboxes = infos;
    return vy_ok();
}

static struct vy_err answer_create(struct backend *b, const struct mailbox_create_request *request,
                                   struct mailbox_create_reply *reply)
{
    const struct store_mailbox *const mailbox = store_find(b->store, request->name);
    if (mailbox != NULL && mailbox->exists) {
        return vy_error(VY_CODE_EXISTS, "as the store says");
    }
    reply->mailbox_id = store_add_mailbox(b->store, request->name, request->role)->id;
    return vy_ok();
}

static struct store_mailbox *find_existing(struct backend *b, struct vy_bytes name)
{
    struct store_mailbox *const mailbox = store_find(b->store, name);
    return mailbox != NULL && mailbox->exists ? mailbox : NULL;
}

static struct vy_err answer_delete(struct backend *b, const struct mailbox_delete_request *request)
{
    struct store_mailbox *const mailbox = find_existing(b, request->name);
    if (mailbox == NULL) {
        return not_found();
    }
    mailbox->exists = false;
    return vy_ok();
}

static struct vy_err answer_rename(struct backend *b, const struct mailbox_rename_request *request)
{
    struct store_mailbox *const mailbox = find_existing(b, request->from);
    if (mailbox == NULL) {
        return not_found();
    }
    if (find_existing(b, request->to) != NULL) {
        return vy_error(VY_CODE_EXISTS, "as the store says");
    }
    (void)snprintf(mailbox->name, sizeof(mailbox->name), "%.*s", VY_PRI(request->to));
    return vy_ok();
}

static struct vy_err answer_subscribe(struct backend *b,
                                      const struct mailbox_subscribe_request *request)
{
    struct store_mailbox *const mailbox = store_find(b->store, request->name);
    if (mailbox == NULL) {
        return not_found();
    }
    mailbox->subscribed = request->subscribed;
    return vy_ok();
}

static struct vy_err answer_open(struct backend *b, const struct mailbox_open_request *request,
                                 struct mailbox_open_reply *reply)
{
    struct store_mailbox *const mailbox = find_existing(b, request->name);
    struct mailbox_info *const info = VY_ARENA_NEW(&b->arena, struct mailbox_info);
    struct uidset uids = {.ranges = NULL};
    struct uidset recent = {.ranges = NULL};
    VY_ASSERT(info != NULL);
    if (mailbox == NULL || mailbox->no_select) {
        return not_found();
    }
    *info = mailbox_info(mailbox);
    store_collect_uids(mailbox, false, &uids);
    store_collect_uids(mailbox, true, &recent);
    for (size_t i = mailbox->count; i > 0; i--) {
        struct store_message *const message = &mailbox->messages[i - 1];
        if (!message->is_expunged && (message->flags & MAIL_FLAG_SEEN) == 0) {
            reply->first_unseen_uid = message->uid;
        }
        message->is_recent = message->is_recent && request->read_only;
    }
    reply->info = info;
    reply->uids = encode_set(b, &uids);
    reply->recent_uids = encode_set(b, &recent);
    reply->keywords_count = keyword_names(b, mailbox, &reply->keywords);
    return vy_ok();
}

/* ---- changes ---- */

static struct vy_bytes keyword_bits(struct backend *b, uint64_t keywords)
{
    uint8_t *const bits = vy_arena_alloc(&b->arena, 8);
    VY_ASSERT(bits != NULL);
    for (size_t i = 0; i < 8; i++) {
        bits[i] = (uint8_t)(keywords >> (8 * i));
    }
    return vy_bytes(bits, 8);
}

static struct vy_err answer_sync(struct backend *b, const struct mailbox_sync_request *request,
                                 struct mailbox_sync_reply *reply)
{
    struct store_mailbox *const mailbox = store_find_id(b->store, request->mailbox_id);
    struct uidset vanished = {.ranges = NULL};
    struct uidset fresh = {.ranges = NULL};
    if (mailbox == NULL || !mailbox->exists) {
        return not_found();
    }
    struct flag_change *const changes =
        VY_ARENA_ARRAY(&b->arena, mailbox->count + 1, struct flag_change);
    VY_ASSERT(changes != NULL);
    for (size_t i = 0; i < mailbox->count; i++) {
        const struct store_message *const message = &mailbox->messages[i];
        if (message->modseq <= request->after_modseq) {
            continue;
        }
        if (message->is_expunged) {
            uidset_add_range(&vanished, message->uid, message->uid);
            continue;
        }
        if (message->added_modseq > request->after_modseq) {
            uidset_add_range(&fresh, message->uid, message->uid);
        }
        if (message->added_modseq <= request->after_modseq ||
            message->modseq > message->added_modseq) {
            changes[reply->changed_count++] = (struct flag_change){
                message->uid, message->flags, keyword_bits(b, message->keywords), message->modseq};
        }
    }
    reply->vanished = encode_set(b, &vanished);
    reply->recent_uids = vy_bytes(NULL, 0);
    reply->new_uids = encode_set(b, &fresh);
    reply->recent_uids = reply->new_uids;
    reply->changed = changes;
    reply->uidnext = mailbox->uidnext;
    reply->highest_modseq = mailbox->modseq;
    reply->keywords_count = keyword_names(b, mailbox, &reply->keywords);
    return vy_ok();
}

/* ---- rows ---- */

struct row_buffers {
    uint32_t uid;
    uint32_t flags;
    uint64_t words[FETCH_KEYWORD_WORDS];
    uint64_t modseq;
    uint32_t size;
    uint64_t internal_ms;
    uint32_t zone;
    uint8_t email_id[1][FETCH_ID_BYTES];
    uint8_t thread_id[1][FETCH_ID_BYTES];
};

static struct fetch_columns message_columns(const struct store_message *message, uint32_t columns,
                                            struct row_buffers *row)
{
    *row = (struct row_buffers){
        .uid = message->uid,
        .flags = message->flags,
        .words = {message->keywords},
        .modseq = message->modseq,
        .size = (uint32_t)vy_buf_len(&message->text),
        .internal_ms = message->internal_ms,
        .zone = (uint32_t)(message->zone_minutes + (int32_t)FETCH_ZONE_BIAS),
    };
    row->email_id[0][15] = (uint8_t)message->uid;
    row->thread_id[0][15] = (uint8_t)message->uid;
    return (struct fetch_columns){
        .columns = columns,
        .count = 1,
        .uid = &row->uid,
        .flags = &row->flags,
        .keyword_words = row->words,
        .modseq = &row->modseq,
        .size_bytes = &row->size,
        .internal_ms = &row->internal_ms,
        .zone_biased = &row->zone,
        .email_id = (const uint8_t(*)[FETCH_ID_BYTES])row->email_id,
        .thread_id = (const uint8_t(*)[FETCH_ID_BYTES])row->thread_id,
        .save_ms = &row->internal_ms,
    };
}

static uint32_t new_flags(uint32_t old, uint32_t given, enum store_mode mode)
{
    return mode == STORE_MODE_ADD ? old | given : mode == STORE_MODE_REMOVE ? old & ~given : given;
}

static uint64_t new_keywords(struct store_mailbox *mailbox, uint64_t old,
                             const struct message_store_request *request)
{
    uint64_t given = 0;
    for (size_t i = 0; i < request->keywords_count; i++) {
        given |= 1ULL << store_keyword(mailbox, request->keywords[i]);
    }
    return request->mode == STORE_MODE_ADD      ? old | given
           : request->mode == STORE_MODE_REMOVE ? old & ~given
                                                : given;
}

static struct vy_err answer_store(struct backend *b, const struct message_store_request *request,
                                  struct message_store_reply *reply)
{
    struct store_mailbox *const mailbox = store_find_id(b->store, request->mailbox_id);
    struct uidset modified = {.ranges = NULL};
    struct uidset missing = {.ranges = NULL};
    struct vy_buf blocks;
    if (mailbox == NULL) {
        return not_found();
    }
    vy_buf_init(&blocks, ARENA_BYTES_MAX);
    for (size_t i = 0; i < mailbox->count; i++) {
        struct store_message *const message = &mailbox->messages[i];
        if (!set_has(request->uids, message->uid)) {
            continue;
        }
        if (message->is_expunged) {
            uidset_add_range(&missing, message->uid, message->uid);
            continue;
        }
        const uint64_t modseq = message->modseq == reply->modseq ? 0 : message->modseq;
        if (request->has_unchanged_since && modseq > request->unchanged_since) {
            uidset_add_range(&modified, message->uid, message->uid);
        } else {
            const uint32_t flags = new_flags(message->flags, request->flags, request->mode);
            const uint64_t keywords = new_keywords(mailbox, message->keywords, request);
            if (flags != message->flags || keywords != message->keywords) {
                if (reply->modseq == 0) {
                    reply->previous_modseq = mailbox->modseq;
                    reply->modseq = store_touch(b->store, mailbox);
                }
                message->modseq = reply->modseq;
            }
            message->flags = flags;
            message->keywords = keywords;
        }
        struct row_buffers row;
        const struct fetch_columns columns =
            message_columns(message, FETCH_COLUMN_FLAGS | FETCH_COLUMN_MODSEQ, &row);
        if (request->want_result) {
            fetch_stream_append_block(&blocks, &columns);
        }
    }
    reply->modified = encode_set(b, &modified);
    reply->missing = encode_set(b, &missing);
    vy_ignore(vy_arena_dup(&b->arena, vy_buf_bytes(&blocks), &reply->blocks), "large enough");
    vy_buf_deinit(&blocks);
    reply->keywords_count = keyword_names(b, mailbox, &reply->keywords);
    return vy_ok();
}

static void expunge(struct backend *b, struct store_mailbox *mailbox, struct store_message *message,
                    uint64_t *modseq)
{
    *modseq = *modseq == 0 ? store_touch(b->store, mailbox) : *modseq;
    message->is_expunged = true;
    message->modseq = *modseq;
}

static struct vy_err answer_expunge(struct backend *b,
                                    const struct message_expunge_request *request,
                                    struct message_expunge_reply *reply)
{
    struct store_mailbox *const mailbox = store_find_id(b->store, request->mailbox_id);
    struct uidset vanished = {.ranges = NULL};
    if (mailbox == NULL) {
        return not_found();
    }
    reply->previous_modseq = mailbox->modseq;
    for (size_t i = 0; i < mailbox->count; i++) {
        struct store_message *const message = &mailbox->messages[i];
        const bool is_asked = request->uids.len == 0 || set_has(request->uids, message->uid);
        if (is_asked && !message->is_expunged && (message->flags & MAIL_FLAG_DELETED) != 0) {
            uidset_add_range(&vanished, message->uid, message->uid);
            expunge(b, mailbox, message, &reply->modseq);
        }
    }
    reply->vanished = encode_set(b, &vanished);
    return vy_ok();
}

static struct vy_err answer_copy(struct backend *b, const struct message_copy_request *request,
                                 struct message_copy_reply *reply)
{
    struct store_mailbox *const mailbox = store_find_id(b->store, request->mailbox_id);
    struct store_mailbox *const target = find_existing(b, request->target_name);
    struct uidset sources = {.ranges = NULL};
    struct uidset targets = {.ranges = NULL};
    if (mailbox == NULL || target == NULL) {
        return not_found();
    }
    reply->uidvalidity = target->uidvalidity;
    reply->previous_modseq = mailbox->modseq;
    const size_t count = mailbox->count;
    for (size_t i = 0; i < count; i++) {
        if (mailbox->messages[i].is_expunged || !set_has(request->uids, mailbox->messages[i].uid)) {
            continue;
        }
        struct store_message *const copy =
            store_add_message(b->store, target, vy_buf_bytes(&mailbox->messages[i].text));
        struct store_message *const message = &mailbox->messages[i]; /* may have moved */
        copy->flags = message->flags;
        copy->internal_ms = message->internal_ms;
        uidset_add_range(&sources, message->uid, message->uid);
        uidset_add_range(&targets, copy->uid, copy->uid);
        if (request->move) {
            expunge(b, mailbox, message, &reply->modseq);
        }
    }
    reply->source_uids = encode_set(b, &sources);
    reply->target_uids = encode_set(b, &targets);
    return vy_ok();
}

/* ---- fetch ---- */

static struct vy_bytes envelope_text(struct backend *b, const struct store_message *message)
{
    struct vy_buf text;
    struct vy_bytes kept = {.data = NULL};
    vy_buf_init(&text, 65536);
    vy_buf_append_byte(&text, '(');
    imap_string_append_or_nil(&text, store_header(message, VY_LIT("Date")));
    vy_buf_append_byte(&text, ' ');
    imap_string_append_or_nil(&text, store_header(message, VY_LIT("Subject")));
    vy_buf_append_cstr(&text, " NIL NIL NIL NIL NIL NIL NIL ");
    imap_string_append_or_nil(&text, store_header(message, VY_LIT("Message-ID")));
    vy_buf_append_byte(&text, ')');
    vy_ignore(vy_arena_dup(&b->arena, vy_buf_bytes(&text), &kept), "large enough");
    vy_buf_deinit(&text);
    return kept;
}

static struct vy_bytes structure_text(struct backend *b, const struct store_message *message,
                                      bool is_extended)
{
    const size_t size = store_body(message).len;
    const char *const text = vy_arena_printf(
        &b->arena, "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"UTF-8\") NIL NIL \"8BIT\" %zu 1%s)", size,
        is_extended ? " NIL NIL NIL NIL" : "");
    return vy_cstr(text);
}

static void append_section(struct backend *b, const struct store_message *message,
                           const struct fetch_section *section, uint32_t index,
                           struct vy_buf *stream)
{
    struct vy_buf data;
    vy_buf_init(&data, ARENA_BYTES_MAX);
    const bool found = store_section(message, section, &data);
    struct vy_bytes bytes = vy_buf_bytes(&data);
    if (section->partial) {
        bytes = vy_bytes_slice(bytes, section->partial_offset, section->partial_length);
    }
    (void)b;
    if (section->binary &&
        vy_bytes_equal(store_header(message, VY_LIT("Content-Transfer-Encoding")),
                       VY_LIT("x-odd"))) {
        fetch_stream_append_section(stream, index, FETCH_SECTION_UNKNOWN_CTE, 0, vy_bytes(NULL, 0));
    } else if (!found) {
        fetch_stream_append_section(stream, index, FETCH_SECTION_NIL, 0, vy_bytes(NULL, 0));
    } else if (section->binary_size) {
        fetch_stream_append_section(stream, index, FETCH_SECTION_SIZE, bytes.len,
                                    vy_bytes(NULL, 0));
    } else if (bytes.len <= INLINE_BYTES_MAX) {
        fetch_stream_append_section(stream, index, FETCH_SECTION_INLINE, 0, bytes);
    } else {
        fetch_stream_append_section(stream, index, FETCH_SECTION_LITERAL, bytes.len,
                                    vy_bytes(NULL, 0));
        for (size_t at = 0; at < bytes.len; at += LITERAL_PIECE_BYTES) {
            fetch_stream_append_literal(stream, vy_bytes_slice(bytes, at, LITERAL_PIECE_BYTES));
        }
    }
    vy_buf_deinit(&data);
}

static void append_message(struct backend *b, const struct store_message *message,
                           const struct message_fetch_request *request, struct vy_buf *stream)
{
    const uint32_t columns = request->columns;
    struct row_buffers row;
    const struct fetch_columns cells =
        message_columns(message, columns & FETCH_INDEX_COLUMNS, &row);
    if ((columns & ~(uint32_t)FETCH_INDEX_COLUMNS) == 0 && request->sections_count == 0) {
        fetch_stream_append_block(stream, &cells);
        return;
    }
    struct vy_bytes texts[FETCH_TEXT_COUNT] = {{.data = NULL}};
    texts[FETCH_TEXT_ENVELOPE] =
        (columns & FETCH_COLUMN_ENVELOPE) != 0 ? envelope_text(b, message) : vy_bytes(NULL, 0);
    texts[FETCH_TEXT_BODY] =
        (columns & FETCH_COLUMN_BODY) != 0 ? structure_text(b, message, false) : vy_bytes(NULL, 0);
    texts[FETCH_TEXT_BODYSTRUCTURE] = (columns & FETCH_COLUMN_BODYSTRUCTURE) != 0
                                          ? structure_text(b, message, true)
                                          : vy_bytes(NULL, 0);
    texts[FETCH_TEXT_PREVIEW] = (columns & FETCH_COLUMN_PREVIEW) != 0
                                    ? vy_bytes_trim_crlf(vy_bytes_slice(store_body(message), 0, 20))
                                    : vy_bytes(NULL, 0);
    fetch_stream_append_message(stream, &cells, texts, (uint32_t)request->sections_count);
    for (uint32_t i = 0; i < request->sections_count; i++) {
        append_section(b, message, &request->sections[i], i, stream);
    }
}

static struct vy_err answer_fetch(struct backend *b, const struct message_fetch_request *request,
                                  struct vy_buf *stream)
{
    struct store_mailbox *const mailbox = store_find_id(b->store, request->mailbox_id);
    if (mailbox == NULL) {
        return not_found();
    }
    for (size_t i = 0; i < mailbox->count; i++) {
        const struct store_message *const message = &mailbox->messages[i];
        if (!set_has(request->uids, message->uid) || message->modseq <= request->changed_since) {
            continue;
        }
        if (message->is_expunged) {
            fetch_stream_append_missing(stream, FETCH_MISSING_EXPUNGED, &message->uid, 1);
            continue;
        }
        append_message(b, message, request, stream);
    }
    return vy_buf_error(stream);
}

static struct vy_err answer_search(struct backend *b, const struct message_search_request *request,
                                   struct message_search_reply *reply)
{
    const struct store_mailbox *const mailbox = store_find_id(b->store, request->mailbox_id);
    struct uidset found = {.ranges = NULL};
    if (mailbox == NULL) {
        return not_found();
    }
    for (size_t i = 0; i < mailbox->count; i++) {
        const struct store_message *const message = &mailbox->messages[i];
        if (!message->is_expunged &&
            store_search(mailbox, message, request->steps, request->steps_count)) {
            uidset_add_range(&found, message->uid, message->uid);
            reply->highest_modseq = VY_MAX(reply->highest_modseq, message->modseq);
        }
    }
    reply->uids = encode_set(b, &found);
    return vy_ok();
}

static struct vy_err answer_append(struct backend *b, const struct message_append_request *request,
                                   struct vy_bytes body, struct message_append_reply *reply)
{
    struct store_mailbox *const mailbox = find_existing(b, request->mailbox_name);
    struct uidset uids = {.ranges = NULL};
    if (mailbox == NULL) {
        return not_found();
    }
    VY_ASSERT(request->messages_count == 1 && request->messages[0].size_bytes == body.len);
    struct store_message *const message = store_add_message(b->store, mailbox, body);
    message->flags = request->messages[0].flags;
    for (size_t i = 0; i < request->messages[0].keywords_count; i++) {
        message->keywords |= 1ULL << store_keyword(mailbox, request->messages[0].keywords[i]);
    }
    if (request->messages[0].internal_ms != 0) {
        message->internal_ms = request->messages[0].internal_ms;
        message->zone_minutes = request->messages[0].internal_zone_minutes;
    }
    uidset_add_range(&uids, message->uid, message->uid);
    reply->uidvalidity = mailbox->uidvalidity;
    reply->mailbox_id = mailbox->id;
    reply->uids = encode_set(b, &uids);
    return vy_ok();
}

static struct vy_err answer_quota(struct backend *b, struct quota_reply *reply)
{
    reply->limit_bytes = b->store->quota_bytes;
    reply->used_bytes = 2000;
    reply->message_count = 3;
    return vy_ok();
}

/* ---- dispatch ---- */

union any_request {
    struct login_request login;
    struct mailbox_list_request list;
    struct mailbox_create_request create;
    struct mailbox_delete_request delete_;
    struct mailbox_rename_request rename_;
    struct mailbox_subscribe_request subscribe;
    struct mailbox_open_request open_;
    struct mailbox_close_request close_;
    struct mailbox_sync_request sync_;
    struct message_store_request store;
    struct message_copy_request copy;
    struct message_expunge_request expunge;
    struct message_fetch_request fetch;
    struct message_search_request search;
    struct message_append_request append;
    struct quota_request quota;
    struct account_watch_request watch;
};
union any_reply {
    struct login_reply login;
    struct mailbox_list_reply list;
    struct mailbox_create_reply create;
    struct mailbox_open_reply open_;
    struct mailbox_sync_reply sync_;
    struct message_store_reply store;
    struct message_copy_reply copy;
    struct message_expunge_reply expunge;
    struct message_search_reply search;
    struct message_append_reply append;
    struct quota_reply quota;
    struct shard_empty_reply empty;
};

static struct vy_err dispatch(struct backend *b, uint32_t method, const union any_request *request,
                              struct vy_bytes body, union any_reply *reply, struct vy_buf *stream)
{
    switch (method) {
    case METHOD_META_LOGIN:
        return answer_login(b, &request->login, &reply->login);
    case METHOD_SHARD_MAILBOX_LIST:
        return answer_list(b, &request->list, &reply->list);
    case METHOD_SHARD_MAILBOX_CREATE:
        return answer_create(b, &request->create, &reply->create);
    case METHOD_SHARD_MAILBOX_DELETE:
        return answer_delete(b, &request->delete_);
    case METHOD_SHARD_MAILBOX_RENAME:
        return answer_rename(b, &request->rename_);
    case METHOD_SHARD_MAILBOX_SUBSCRIBE:
        return answer_subscribe(b, &request->subscribe);
    case METHOD_SHARD_MAILBOX_OPEN:
        return answer_open(b, &request->open_, &reply->open_);
    case METHOD_SHARD_MAILBOX_SYNC:
        return answer_sync(b, &request->sync_, &reply->sync_);
    case METHOD_SHARD_MESSAGE_STORE:
        return answer_store(b, &request->store, &reply->store);
    case METHOD_SHARD_MESSAGE_COPY:
        return answer_copy(b, &request->copy, &reply->copy);
    case METHOD_SHARD_MESSAGE_EXPUNGE:
        return answer_expunge(b, &request->expunge, &reply->expunge);
    case METHOD_SHARD_MESSAGE_FETCH:
        return answer_fetch(b, &request->fetch, stream);
    case METHOD_SHARD_MESSAGE_SEARCH:
        return answer_search(b, &request->search, &reply->search);
    case METHOD_SHARD_MESSAGE_APPEND:
        return answer_append(b, &request->append, body, &reply->append);
    case METHOD_SHARD_QUOTA:
        return answer_quota(b, &reply->quota);
    default:
        return vy_ok(); /* MAILBOX_CLOSE, ACCOUNT_WATCH */
    }
}

static const struct vy_pb_desc *request_desc(uint32_t method)
{
    switch (method) {
#define X(name, id, request, reply, roles, stream)                                                 \
    case METHOD_##name:                                                                            \
        return &request##_desc;
        SHARD_METHODS(X)
        META_METHODS(X)
#undef X
    default:
        return NULL;
    }
}

static struct vy_err backend_call(void *arg, const struct transcript_call *call,
                                  struct vy_buf *reply_bytes, struct vy_buf *stream,
                                  bool *stays_open)
{
    struct backend *const b = arg;
    union any_request request;
    union any_reply reply = {.empty = {0}};
    memset(&reply, 0, sizeof(reply));
    VY_ASSERT(request_desc(call->method)->struct_bytes <= sizeof(request));
    VY_TRY(vy_pb_decode(request_desc(call->method), &b->arena, call->request, &request));
    *stays_open = call->method == METHOD_SHARD_ACCOUNT_WATCH;
    b->watch_is_open = b->watch_is_open || *stays_open;
    struct vy_err err = dispatch(b, call->method, &request, call->body, &reply, stream);
    if (!vy_failed(err) && !*stays_open) {
        err = vy_pb_encode(imap_method_reply_desc(call->method), &reply, reply_bytes);
    }
    vy_arena_reset(&b->arena);
    return err;
}

static void backend_stream_more(void *arg, struct vy_buf *stream)
{
    struct backend *const b = arg;
    if (b->store->session_over) {
        const struct account_event event = {.session_over = true};
        vy_ignore(event_stream_append(&b->store->events, &account_event_desc, &event), "it fits");
        b->store->session_over = false;
    }
    vy_buf_append(stream, vy_buf_bytes(&b->store->events));
    vy_buf_reset(&b->store->events);
}

/* ---- directives ---- */

static uint32_t parse_flag_word(struct store_mailbox *mailbox, struct vy_bytes word,
                                uint64_t *keywords)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } flags[] = {
        {"\\Seen",     MAIL_FLAG_SEEN    },
        {"\\Answered", MAIL_FLAG_ANSWERED},
        {"\\Flagged",  MAIL_FLAG_FLAGGED },
        {"\\Deleted",  MAIL_FLAG_DELETED },
        {"\\Draft",    MAIL_FLAG_DRAFT   }
    };
    for (size_t i = 0; i < VY_COUNT_OF(flags); i++) {
        if (vy_bytes_equal(word, vy_cstr(flags[i].name))) {
            return flags[i].bit;
        }
    }
    *keywords |= word.len > 0 ? 1ULL << store_keyword(mailbox, word) : 0;
    return 0;
}

static void set_flags(struct store_mailbox *mailbox, struct store_message *message,
                      struct vy_bytes words)
{
    while (words.len > 0) {
        message->flags |= parse_flag_word(mailbox, vy_bytes_cut(&words, ','), &message->keywords);
    }
}

static void add_standard_messages(struct backend *b, struct store_mailbox *mailbox, uint32_t count)
{
    for (uint32_t i = 1; i <= count; i++) {
        char text[256];
        const int len = snprintf(text, sizeof(text),
                                 "From: a%u@dev.test\r\nTo: dev@dev.test\r\nSubject: Message %u\r\n"
                                 "Message-ID: <%u@dev.test>\r\n\r\nHello %u\r\n",
                                 i, i, i, i);
        store_add_message(b->store, mailbox, vy_bytes(text, (size_t)len));
    }
}

static uint32_t number_of(struct vy_bytes text)
{
    uint32_t number = 0;
    VY_ASSERT(vy_parse_u32(text, &number));
    return number;
}

static bool make_mailbox(struct backend *b, struct vy_bytes words)
{
    const struct vy_bytes name = vy_bytes_cut(&words, ' ');
    const struct store_mailbox *const known = store_find(b->store, name);
    struct store_mailbox *const mailbox =
        store_add_mailbox(b->store, name, known == NULL ? MAILBOX_ROLE_NONE : known->role);
    while (words.len > 0) {
        struct vy_bytes word = vy_bytes_cut(&words, ' ');
        const struct vy_bytes key = vy_bytes_cut(&word, '=');
        if (vy_bytes_equal(key, VY_LIT("uidvalidity"))) {
            mailbox->uidvalidity = number_of(word);
        } else if (vy_bytes_equal(key, VY_LIT("messages"))) {
            add_standard_messages(b, mailbox, number_of(word));
        } else if (vy_bytes_equal(key, VY_LIT("role"))) {
            mailbox->role = (enum mailbox_role)number_of(word);
        } else if (vy_bytes_equal(key, VY_LIT("subscribed"))) {
            mailbox->subscribed = number_of(word) != 0;
        } else if (vy_bytes_equal(key, VY_LIT("noselect"))) {
            mailbox->no_select = number_of(word) != 0;
        } else {
            return false;
        }
    }
    return true;
}

static bool make_message(struct backend *b, struct vy_bytes words)
{
    const struct vy_bytes name = vy_bytes_cut(&words, ' ');
    b->message_mailbox = store_find(b->store, name);
    if (b->message_mailbox == NULL) {
        return false;
    }
    b->message = store_add_message(b->store, b->message_mailbox, vy_bytes(NULL, 0));
    if (vy_bytes_starts_with(words, VY_LIT("flags="))) {
        set_flags(b->message_mailbox, b->message, vy_bytes_from(words, 6));
    }
    return true;
}

/* What another session does. */
static bool act_as_other(struct backend *b, struct vy_bytes words)
{
    struct store_mailbox *const mailbox = store_find(b->store, vy_bytes_cut(&words, ' '));
    const struct vy_bytes verb = vy_bytes_cut(&words, ' ');
    if (mailbox == NULL) {
        return false;
    }
    if (vy_bytes_equal(verb, VY_LIT("append"))) {
        add_standard_messages(b, mailbox, 1);
        return true;
    }
    if (vy_bytes_equal(verb, VY_LIT("delete"))) {
        mailbox->exists = false;
        store_touch(b->store, mailbox);
        return true;
    }
    struct store_message *const message =
        store_find_message(mailbox, number_of(vy_bytes_cut(&words, ' ')));
    if (message == NULL) {
        return false;
    }
    message->modseq = store_touch(b->store, mailbox);
    if (vy_bytes_equal(verb, VY_LIT("expunge"))) {
        message->is_expunged = true;
        return true;
    }
    set_flags(mailbox, message, words);
    return vy_bytes_equal(verb, VY_LIT("store"));
}

static bool backend_directive(void *arg, struct transcript *transcript, struct vy_bytes line)
{
    struct backend *const b = arg;
    struct vy_bytes rest = line;
    const struct vy_bytes word = vy_bytes_cut(&rest, ' ');
    if (vy_bytes_equal(word, VY_LIT("|"))) {
        vy_buf_append(&b->message->text, rest);
        vy_buf_append_cstr(&b->message->text, "\r\n");
        return true;
    }
    if (vy_bytes_equal(word, VY_LIT("mailbox"))) {
        return make_mailbox(b, rest);
    }
    if (vy_bytes_equal(word, VY_LIT("message"))) {
        return make_message(b, rest);
    }
    if (vy_bytes_equal(word, VY_LIT("other"))) {
        return act_as_other(b, rest);
    }
    if (vy_bytes_equal(word, VY_LIT("count"))) {
        const struct store_mailbox *const mailbox = store_find(b->store, vy_bytes_cut(&rest, ' '));
        return mailbox != NULL && mailbox_info(mailbox).message_count == number_of(rest);
    }
    if (vy_bytes_equal(word, VY_LIT("session-over"))) {
        b->store->session_over = true;
        return true;
    }
    if (vy_bytes_equal(word, VY_LIT("login"))) {
        transcript_send(transcript, VY_LIT("0 LOGIN dev@dev.test secret\r\n"));
        transcript_skip_output(transcript);
        return true;
    }
    if (vy_bytes_equal(word, VY_LIT("select"))) {
        transcript_send(transcript, VY_LIT("0 SELECT "));
        transcript_send(transcript, rest);
        transcript_send(transcript, VY_LIT("\r\n"));
        transcript_skip_output(transcript);
        return true;
    }
    if (vy_bytes_equal(word, VY_LIT("seen-by-others"))) {
        struct store_mailbox *const mailbox = store_find(b->store, rest);
        for (size_t i = 0; mailbox != NULL && i < mailbox->count; i++) {
            mailbox->messages[i].is_recent = false;
        }
        return mailbox != NULL;
    }
    return false;
}

/* ---- the protocol ---- */

static void *backend_new(void)
{
    struct backend *const b = calloc(1, sizeof(*b));
    VY_ASSERT(b != NULL);
    b->store = store_new();
    b->limits = imap_limits_default();
    vy_arena_init(&b->arena, ARENA_BYTES_MAX);
    return b;
}

static void backend_free(void *arg)
{
    struct backend *const b = arg;
    store_free(b->store);
    vy_arena_deinit(&b->arena);
    free(b);
}

static struct vy_err session_new(void *arg, const struct session_peer *peer, struct session **out)
{
    struct backend *const b = arg;
    return imap_session_new(peer, &b->limits, VY_LIT("mail.dev.test"), out);
}

const struct transcript_protocol transcript_imap = {
    .folder = "imap",
    .backend_new = backend_new,
    .backend_free = backend_free,
    .session_new = session_new,
    .call = backend_call,
    .stream_more = backend_stream_more,
    .directive = backend_directive,
};
