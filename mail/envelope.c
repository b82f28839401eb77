/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/envelope.h"

#include "base/assert.h"
#include "mail/address.h"
#include "mail/header.h"
#include "mail/imap_string.h"

/* One list: the field twice and ADDRESS_COUNT_MAX entries. */
#define ADDRESSES_BYTES_MAX (4U * 1024U * 1024U)

enum envelope_field {
    ENVELOPE_DATE,
    ENVELOPE_SUBJECT,
    ENVELOPE_FROM,
    ENVELOPE_SENDER,
    ENVELOPE_REPLY_TO,
    ENVELOPE_TO,
    ENVELOPE_CC,
    ENVELOPE_BCC,
    ENVELOPE_IN_REPLY_TO,
    ENVELOPE_MESSAGE_ID,
    ENVELOPE_COUNT
};
static const char *const names[ENVELOPE_COUNT] = {
    [ENVELOPE_DATE] = "Date",
    [ENVELOPE_SUBJECT] = "Subject",
    [ENVELOPE_FROM] = "From",
    [ENVELOPE_SENDER] = "Sender",
    [ENVELOPE_REPLY_TO] = "Reply-To",
    [ENVELOPE_TO] = "To",
    [ENVELOPE_CC] = "Cc",
    [ENVELOPE_BCC] = "Bcc",
    [ENVELOPE_IN_REPLY_TO] = "In-Reply-To",
    [ENVELOPE_MESSAGE_ID] = "Message-ID",
};

struct values {
    struct vy_bytes raw[ENVELOPE_COUNT]; /* data == NULL: absent */
};

static void collect(struct vy_bytes header, struct values *out)
{
    struct header_iter iter;
    struct header_field field;

    *out = (struct values){.raw = {{.data = NULL}}};
    header_iter_init(&iter, header);
    while (header_iter_next(&iter, &field)) {
        for (size_t i = 0; i < ENVELOPE_COUNT && field.is_usable; i++) {
            if (out->raw[i].data == NULL && vy_bytes_equal_nocase(field.name, vy_cstr(names[i]))) {
                out->raw[i] = field.value;
                break;
            }
        }
    }
}

static struct vy_err append_text(struct vy_buf *out, struct vy_arena *scratch, struct vy_bytes raw)
{
    struct vy_bytes text = raw;
    if (raw.data != NULL) {
        VY_TRY(header_unfold_arena(scratch, raw, &text));
    }
    imap_string_append_or_nil(out, text);
    return vy_ok();
}

/* A mailbox without "@" has an empty host: NIL would make it a group (RFC 3501 section 7.4.2). */
static void append_address(struct vy_buf *out, const struct address *address)
{
    const bool is_mailbox = address->kind == ADDRESS_MAILBOX;
    const bool lacks_host = is_mailbox && address->host.data == NULL;
    vy_buf_append_byte(out, '(');
    imap_string_append_or_nil(out, address->name);
    vy_buf_append_byte(out, ' ');
    imap_string_append_or_nil(out, address->route);
    vy_buf_append_byte(out, ' ');
    imap_string_append_or_nil(out, address->mailbox);
    vy_buf_append_byte(out, ' ');
    imap_string_append_or_nil(out, lacks_host ? VY_LIT("") : address->host);
    vy_buf_append_byte(out, ')');
}

static void append_list(struct vy_buf *out, const struct address_list *list)
{
    if (list->count == 0) {
        vy_buf_append_cstr(out, "NIL");
        return;
    }
    vy_buf_append_byte(out, '(');
    for (size_t i = 0; i < list->count && !out->failed; i++) {
        append_address(out, &list->items[i]);
    }
    vy_buf_append_byte(out, ')');
}

/* An address list; *has_any is false when there is none (then NIL was written). The list has an
 * arena of its own: those of a thousand messages inside one another must not add up. */
static struct vy_err append_addresses(struct vy_buf *out, struct vy_bytes raw, bool *has_any)
{
    struct address_list list = {.count = 0};
    struct vy_arena arena;
    struct vy_err err = vy_ok();

    vy_arena_init(&arena, ADDRESSES_BYTES_MAX);
    if (raw.data != NULL) {
        err = address_list_parse(&arena, raw, &list);
    }
    if (!vy_failed(err)) {
        *has_any = list.count > 0;
        append_list(out, &list);
    }
    vy_arena_deinit(&arena);
    return err;
}

/* Sender and Reply-To: as From, when absent or empty. */
static struct vy_err append_or_from(struct vy_buf *out, const struct values *values,
                                    enum envelope_field field)
{
    bool has_any = false;
    const size_t from = vy_buf_len(out);
    VY_TRY(append_addresses(out, values->raw[field], &has_any));
    if (!has_any && !out->failed) {
        vy_buf_truncate(out, from);
        VY_TRY(append_addresses(out, values->raw[ENVELOPE_FROM], &has_any));
    }
    return vy_ok();
}

static struct vy_err append_field(struct vy_buf *out, struct vy_arena *scratch,
                                  const struct values *values, enum envelope_field field)
{
    bool has_any = false;
    switch (field) {
    case ENVELOPE_FROM:
    case ENVELOPE_TO:
    case ENVELOPE_CC:
    case ENVELOPE_BCC:
        return append_addresses(out, values->raw[field], &has_any);
    case ENVELOPE_SENDER:
    case ENVELOPE_REPLY_TO:
        return append_or_from(out, values, field);
    case ENVELOPE_DATE:
    case ENVELOPE_SUBJECT:
    case ENVELOPE_IN_REPLY_TO:
    case ENVELOPE_MESSAGE_ID:
        return append_text(out, scratch, values->raw[field]);
    case ENVELOPE_COUNT:
        break;
    }
    return vy_ok();
}

struct vy_err envelope_append(struct vy_buf *out, struct vy_arena *scratch, struct vy_bytes header)
{
    struct values values;
    collect(header, &values);
    for (size_t i = 0; i < ENVELOPE_COUNT; i++) {
        vy_buf_append_byte(out, i == 0 ? '(' : ' ');
        VY_TRY(append_field(out, scratch, &values, (enum envelope_field)i));
    }
    vy_buf_append_byte(out, ')');
    return vy_ok();
}
