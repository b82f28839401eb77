/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/transcript/imap_store.h"
#include "base/assert.h"
#include "mail/flags.h"
#include "mail/section.h"
#include "proto/event_stream.h"
#include <stdio.h>
#include <stdlib.h>

#define STORE_BYTES_MAX (64U * 1024U * 1024U)
#define STACK_MAX 1024U

struct store *store_new(void)
{
    static const struct {
        const char *name;
        enum mailbox_role role;
    } first[] = {
        {"INBOX",   MAILBOX_ROLE_INBOX  },
        {"Drafts",  MAILBOX_ROLE_DRAFTS },
        {"Sent",    MAILBOX_ROLE_SENT   },
        {"Junk",    MAILBOX_ROLE_JUNK   },
        {"Trash",   MAILBOX_ROLE_TRASH  },
        {"Archive", MAILBOX_ROLE_ARCHIVE}
    };
    struct store *const store = calloc(1, sizeof(*store));
    VY_ASSERT(store != NULL);
    vy_buf_init(&store->events, STORE_BYTES_MAX);
    store->quota_bytes = 1024 * 1024;
    for (size_t i = 0; i < VY_COUNT_OF(first); i++) {
        store_add_mailbox(store, vy_cstr(first[i].name), first[i].role)->subscribed = true;
    }
    vy_buf_reset(&store->events);
    return store;
}

void store_free(struct store *store)
{
    for (size_t i = 0; i < STORE_MAILBOXES_MAX; i++) {
        for (size_t m = 0; m < store->mailboxes[i].count; m++) {
            vy_buf_deinit(&store->mailboxes[i].messages[m].text);
        }
        free(store->mailboxes[i].messages);
    }
    vy_buf_deinit(&store->events);
    free(store);
}

struct store_mailbox *store_find(struct store *store, struct vy_bytes name)
{
    for (size_t i = 0; i < STORE_MAILBOXES_MAX; i++) {
        if (store->mailboxes[i].id != 0 &&
            vy_bytes_equal(name, vy_cstr(store->mailboxes[i].name))) {
            return &store->mailboxes[i];
        }
    }
    return NULL;
}

struct store_mailbox *store_find_id(struct store *store, uint64_t id)
{
    for (size_t i = 0; i < STORE_MAILBOXES_MAX; i++) {
        if (id != 0 && store->mailboxes[i].id == id) {
            return &store->mailboxes[i];
        }
    }
    return NULL;
}

struct store_mailbox *store_add_mailbox(struct store *store, struct vy_bytes name,
                                        enum mailbox_role role)
{
    struct store_mailbox *mailbox = store_find(store, name);
    for (size_t i = 0; i < STORE_MAILBOXES_MAX && mailbox == NULL; i++) {
        mailbox = store->mailboxes[i].id == 0 ? &store->mailboxes[i] : NULL;
    }
    VY_ASSERT(mailbox != NULL && name.len < sizeof(mailbox->name));
    if (mailbox->id == 0) {
        mailbox->id = ++store->next_id;
        (void)snprintf(mailbox->name, sizeof(mailbox->name), "%.*s", VY_PRI(name));
        mailbox->uidvalidity = 100 + (uint32_t)mailbox->id;
        mailbox->uidnext = 1;
        mailbox->modseq = ++store->modseq;
    }
    mailbox->exists = true;
    mailbox->role = role;
    return mailbox;
}

uint64_t store_touch(struct store *store, struct store_mailbox *mailbox)
{
    mailbox->modseq = ++store->modseq;
    const struct account_event event = {.mailbox_id = mailbox->id,
                                        .highest_modseq = mailbox->modseq};
    vy_ignore(event_stream_append(&store->events, &account_event_desc, &event),
              "a test's few events fit");
    return mailbox->modseq;
}

struct store_message *store_add_message(struct store *store, struct store_mailbox *mailbox,
                                        struct vy_bytes text)
{
    struct store_message *const messages =
        realloc(mailbox->messages, (mailbox->count + 1) * sizeof(*mailbox->messages));
    VY_ASSERT(messages != NULL);
    mailbox->messages = messages;
    struct store_message *const message = &messages[mailbox->count++];
    *message = (struct store_message){
        .uid = mailbox->uidnext++,
        .modseq = store_touch(store, mailbox),
        .internal_ms = 1000000000000ULL + 86400000ULL * (mailbox->uidnext - 2),
        .zone_minutes = 120,
        .is_recent = true,
    };
    message->added_modseq = message->modseq;
    vy_buf_init(&message->text, STORE_BYTES_MAX);
    vy_buf_append(&message->text, text);
    return message;
}

struct store_message *store_find_message(struct store_mailbox *mailbox, uint32_t uid)
{
    for (size_t i = 0; i < mailbox->count; i++) {
        if (mailbox->messages[i].uid == uid) {
            return &mailbox->messages[i];
        }
    }
    return NULL;
}

uint32_t store_keyword(struct store_mailbox *mailbox, struct vy_bytes name)
{
    for (uint32_t i = 0; i < mailbox->keyword_count; i++) {
        if (vy_bytes_equal_nocase(name, vy_cstr(mailbox->keywords[i]))) {
            return i;
        }
    }
    VY_ASSERT(mailbox->keyword_count < STORE_KEYWORDS_MAX && name.len <= 64);
    memcpy(mailbox->keywords[mailbox->keyword_count], name.data, name.len);
    return mailbox->keyword_count++;
}

void store_collect_uids(const struct store_mailbox *mailbox, bool recent_only, struct uidset *out)
{
    for (size_t i = 0; i < mailbox->count; i++) {
        const struct store_message *const message = &mailbox->messages[i];
        if (!message->is_expunged && (!recent_only || message->is_recent)) {
            uidset_add_range(out, message->uid, message->uid);
        }
    }
}

/* ---- text ---- */

static size_t header_bytes(struct vy_bytes text)
{
    const size_t at = vy_bytes_find(text, VY_LIT("\r\n\r\n"), 0);
    return at == SIZE_MAX ? text.len : at + 4;
}

struct vy_bytes store_body(const struct store_message *message)
{
    const struct vy_bytes text = vy_buf_bytes(&message->text);
    return vy_bytes_from(text, header_bytes(text));
}

static bool names_field(struct vy_bytes line, struct vy_bytes name)
{
    return vy_bytes_starts_with_nocase(line, name) && line.len > name.len &&
           line.data[name.len] == ':';
}

static struct vy_bytes next_line(struct vy_bytes *rest)
{
    const size_t at = vy_bytes_find_byte(*rest, '\n', 0);
    const struct vy_bytes line = vy_bytes_slice(*rest, 0, at == SIZE_MAX ? rest->len : at + 1);
    *rest = vy_bytes_from(*rest, line.len);
    return line;
}

struct vy_bytes store_header(const struct store_message *message, struct vy_bytes name)
{
    const struct vy_bytes text = vy_buf_bytes(&message->text);
    struct vy_bytes rest = vy_bytes_slice(text, 0, header_bytes(text));
    while (rest.len > 0) {
        const struct vy_bytes line = next_line(&rest);
        if (names_field(line, name)) {
            return vy_bytes_trim(vy_bytes_trim_crlf(vy_bytes_from(line, name.len + 1)));
        }
    }
    return vy_bytes(NULL, 0);
}

static void append_fields(const struct store_message *message, const struct fetch_section *section,
                          struct vy_buf *out)
{
    const struct vy_bytes text = vy_buf_bytes(&message->text);
    struct vy_bytes rest = vy_bytes_slice(text, 0, header_bytes(text));
    while (rest.len > 0) {
        const struct vy_bytes line = next_line(&rest);
        bool is_named = line.len <= 2;
        for (size_t i = 0; i < section->fields_count && !is_named; i++) {
            is_named = names_field(line, section->fields[i]);
        }
        if (line.len > 2 && is_named == (section->kind == MAIL_SECTION_HEADER_FIELDS)) {
            vy_buf_append(out, line);
        }
    }
    vy_buf_append_cstr(out, "\r\n");
}

bool store_section(const struct store_message *message, const struct fetch_section *section,
                   struct vy_buf *out)
{
    const struct vy_bytes text = vy_buf_bytes(&message->text);
    const bool is_part_one = section->part_path.len == 2 &&
                             vy_get_be16(section->part_path.data) == 1 &&
                             section->kind == MAIL_SECTION_WHOLE;
    if (section->part_path.len > 0) {
        vy_buf_append(out, is_part_one ? store_body(message) : vy_bytes(NULL, 0));
        return is_part_one;
    }
    switch ((enum mail_section_kind)section->kind) {
    case MAIL_SECTION_WHOLE:
        vy_buf_append(out, text);
        return true;
    case MAIL_SECTION_HEADER:
        vy_buf_append(out, vy_bytes_slice(text, 0, header_bytes(text)));
        return true;
    case MAIL_SECTION_TEXT:
        vy_buf_append(out, store_body(message));
        return true;
    case MAIL_SECTION_HEADER_FIELDS:
    case MAIL_SECTION_HEADER_FIELDS_NOT:
        append_fields(message, section, out);
        return true;
    case MAIL_SECTION_MIME:
        break;
    }
    return false;
}

/* ---- search ---- */

static bool contains(struct vy_bytes haystack, struct vy_bytes needle)
{
    if (needle.len == 0) {
        return true;
    }
    for (size_t at = 0; at + needle.len <= haystack.len; at++) {
        if (vy_bytes_equal_nocase(vy_bytes_slice(haystack, at, needle.len), needle)) {
            return true;
        }
    }
    return false;
}

static bool matches_keyword(const struct store_mailbox *mailbox,
                            const struct store_message *message, struct vy_bytes name)
{
    for (uint32_t i = 0; i < mailbox->keyword_count; i++) {
        if (vy_bytes_equal_nocase(name, vy_cstr(mailbox->keywords[i]))) {
            return (message->keywords >> i & 1) != 0;
        }
    }
    return false;
}

static bool matches_uids(const struct store_message *message, struct vy_bytes encoded)
{
    struct uidset uids = {.ranges = NULL};
    vy_ignore(uidset_decode(encoded, &uids), "what is cut matches less");
    const bool is_in = uidset_contains(&uids, message->uid);
    uidset_deinit(&uids);
    return is_in;
}

static bool matches_header(const struct store_message *message, const struct search_step *step)
{
    const struct vy_bytes value = store_header(message, step->field);
    return value.data != NULL && contains(value, step->text);
}

/* The date that the index has; the transcripts' Date fields follow it. */
static uint64_t local_day(const struct store_message *message)
{
    const uint64_t local_ms =
        message->internal_ms + (uint64_t)((int64_t)message->zone_minutes * 60000);
    return local_ms / 86400000 * 86400000;
}

static bool matches_step(const struct store_mailbox *mailbox, const struct store_message *message,
                         const struct search_step *step)
{
    const uint64_t size = vy_buf_len(&message->text);
    const uint64_t day = local_day(message);
    switch (step->op) {
    case SEARCH_OP_ALL:
        return true;
    case SEARCH_OP_FLAGS_SET:
        return (message->flags & step->number) == step->number;
    case SEARCH_OP_FLAGS_CLEAR:
        return (message->flags & step->number) == 0;
    case SEARCH_OP_KEYWORD:
        return matches_keyword(mailbox, message, step->text);
    case SEARCH_OP_UIDS:
        return matches_uids(message, step->text);
    case SEARCH_OP_LARGER:
        return size > step->number;
    case SEARCH_OP_SMALLER:
        return size < step->number;
    case SEARCH_OP_BEFORE:
    case SEARCH_OP_SENT_BEFORE:
        return day < step->number;
    case SEARCH_OP_ON:
    case SEARCH_OP_SENT_ON:
        return day == step->number;
    case SEARCH_OP_SINCE:
    case SEARCH_OP_SENT_SINCE:
        return day >= step->number;
    case SEARCH_OP_HEADER:
        return matches_header(message, step);
    case SEARCH_OP_BODY:
        return contains(store_body(message), step->text);
    case SEARCH_OP_TEXT:
        return contains(vy_buf_bytes(&message->text), step->text);
    case SEARCH_OP_MODSEQ:
        return message->modseq >= step->number;
    case SEARCH_OP_EMAILID:
    case SEARCH_OP_THREADID:
        return step->text.len == 16 && step->text.data[15] == (uint8_t)message->uid;
    case SEARCH_OP_OLDER:
        return true; /* everything here is old */
    case SEARCH_OP_YOUNGER:
    case SEARCH_OP_NONE_MATCH:
    case SEARCH_OP_NONE:
    case SEARCH_OP_AND:
    case SEARCH_OP_OR:
    case SEARCH_OP_NOT:
        break;
    }
    return false;
}

bool store_search(const struct store_mailbox *mailbox, const struct store_message *message,
                  const struct search_step *steps, size_t count)
{
    bool stack[STACK_MAX];
    size_t depth = 0;
    for (size_t i = 0; i < count; i++) {
        if (steps[i].op == SEARCH_OP_NOT) {
            VY_ASSERT(depth >= 1);
            stack[depth - 1] = !stack[depth - 1];
            continue;
        }
        if (steps[i].op != SEARCH_OP_AND && steps[i].op != SEARCH_OP_OR) {
            VY_ASSERT(depth < STACK_MAX);
            stack[depth++] = matches_step(mailbox, message, &steps[i]);
            continue;
        }
        const bool is_and = steps[i].op == SEARCH_OP_AND;
        bool value = is_and;
        VY_ASSERT(steps[i].number >= 1 && depth >= steps[i].number);
        for (uint64_t n = 0; n < steps[i].number; n++) {
            const bool operand = stack[--depth];
            value = is_and ? value && operand : value || operand;
        }
        stack[depth++] = value;
    }
    VY_ASSERT(depth == 1);
    return stack[0];
}
