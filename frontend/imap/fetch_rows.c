/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of index columns to FETCH responses: the path that lists 100,000 messages. No printf in
 * here. */
#include "base/assert.h"
#include "frontend/imap/fetch.h"
#include "mail/date.h"
#include "mail/flags.h"
#include <stdlib.h>

/* "* 4294967295 FETCH (UID .. FLAGS (..) MODSEQ (..) RFC822.SIZE .. INTERNALDATE ".." EMAILID (..)
 * THREADID (..))" with every number at its longest is under 400 bytes; keywords are written apart.
 */
#define ROW_BYTES_MAX 512U

static const struct {
    uint32_t item;
    uint32_t column;
} item_columns[] = {
    {IMAP_ITEM_FLAGS,         FETCH_COLUMN_FLAGS        },
    {IMAP_ITEM_MODSEQ,        FETCH_COLUMN_MODSEQ       },
    {IMAP_ITEM_SIZE,          FETCH_COLUMN_SIZE         },
    {IMAP_ITEM_INTERNALDATE,  FETCH_COLUMN_INTERNALDATE },
    {IMAP_ITEM_EMAILID,       FETCH_COLUMN_EMAILID      },
    {IMAP_ITEM_THREADID,      FETCH_COLUMN_THREADID     },
    {IMAP_ITEM_ENVELOPE,      FETCH_COLUMN_ENVELOPE     },
    {IMAP_ITEM_BODY,          FETCH_COLUMN_BODY         },
    {IMAP_ITEM_BODYSTRUCTURE, FETCH_COLUMN_BODYSTRUCTURE},
    {IMAP_ITEM_PREVIEW,       FETCH_COLUMN_PREVIEW      },
};

uint32_t imap_items_columns(uint32_t items)
{
    uint32_t columns = 0;
    for (size_t i = 0; i < VY_COUNT_OF(item_columns); i++) {
        columns |= (items & item_columns[i].item) != 0 ? item_columns[i].column : 0;
    }
    return columns;
}

/* Moves *index along ascending ranges to the one that holds uid; false when none does. */
static bool walk_to(const struct uidset *ranges, size_t *index, uint32_t uid)
{
    if (*index < ranges->count && ranges->ranges[*index].last < uid) {
        *index = *index + 1 < ranges->count && ranges->ranges[*index + 1].last >= uid
                     ? *index + 1
                     : uidset_lower_bound(ranges, uid);
    }
    return *index < ranges->count && ranges->ranges[*index].first <= uid;
}

uint32_t imap_row_place(struct imap_row_writer *rows, const struct imap_view *view, uint32_t uid)
{
    if (!walk_to(&view->uids, &rows->range, uid)) {
        return 0;
    }
    const struct uidset_range *const range = &view->uids.ranges[rows->range];
    return range->before + (uid - range->first) + 1;
}

static char *put_text(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}
#define PUT(at, literal) put_text((at), (literal), sizeof(literal) - 1)

static char *put_flags(struct imap_row_writer *rows, char *at, uint32_t flags, bool is_recent)
{
    const size_t index = (flags & 63U) + (is_recent ? 64U : 0U);
    if (rows->flags[index].len == 0) {
        struct vy_buf text;
        vy_buf_init(&text, IMAP_FLAGS_TEXT_BYTES - 1);
        imap_write_flags(&text, NULL, flags & 63U, vy_bytes(NULL, 0), is_recent);
        const struct vy_bytes bytes = vy_buf_bytes(&text);
        VY_ASSERT(!text.failed && bytes.len > 0);
        memcpy(rows->flags[index].text, bytes.data, bytes.len);
        rows->flags[index].len = (uint8_t)bytes.len;
        vy_buf_deinit(&text);
    }
    return put_text(at, rows->flags[index].text, rows->flags[index].len);
}

static char *put_id(char *at, char kind, const uint8_t *id)
{
    static const char hex[] = "0123456789abcdef";
    *at++ = '(';
    *at++ = kind;
    for (size_t i = 0; i < FETCH_ID_BYTES; i++) {
        *at++ = hex[id[i] >> 4];
        *at++ = hex[id[i] & 15];
    }
    *at++ = ')';
    return at;
}

#define MS_PER_DAY 86400000
/* What can be written with 26 bytes, whatever a shard says: years to 9999, zones to a day. */
#define DATE_MS_MAX UINT64_C(253402128000000)
#define ZONE_MINUTES_MAX 1440

static char *put_two(char *at, int64_t value)
{
    *at++ = (char)('0' + value / 10);
    *at++ = (char)('0' + value % 10);
    return at;
}

static void remember_date(struct imap_row_writer *rows, struct date_time date, int64_t day)
{
    struct vy_buf text;
    vy_buf_init(&text, IMAP_DATE_TIME_BYTES);
    date_append_imap_date_time(&text, date);
    VY_ASSERT(vy_buf_len(&text) == IMAP_DATE_TIME_BYTES);
    memcpy(rows->date, vy_buf_bytes(&text).data, IMAP_DATE_TIME_BYTES);
    vy_buf_deinit(&text);
    rows->date_day = day;
    rows->date_zone_minutes = date.zone_minutes;
    rows->has_date = true;
}

/* "17-Jul-1996 02:44:25 -0700" */
static char *put_date(struct imap_row_writer *rows, char *at, const struct fetch_block *block,
                      size_t row)
{
    const int32_t zone_minutes = fetch_block_zone_minutes(block, row);
    const struct date_time date = {
        .unix_ms = (int64_t)VY_MIN(fetch_block_internal_ms(block, row), DATE_MS_MAX),
        .zone_minutes = abs(zone_minutes) <= ZONE_MINUTES_MAX ? zone_minutes : 0};
    const int64_t local_ms = date.unix_ms + date.zone_minutes * INT64_C(60000);
    const int64_t day = local_ms / MS_PER_DAY - (local_ms < 0 ? 1 : 0);
    const int64_t second = (local_ms - day * MS_PER_DAY) / 1000 % 86400;
    if (!rows->has_date || day != rows->date_day || date.zone_minutes != rows->date_zone_minutes) {
        remember_date(rows, date, day);
    }
    memcpy(at, rows->date, IMAP_DATE_TIME_BYTES);
    char *time = put_two(at + 12, second / 3600);
    time = put_two(time + 1, second / 60 % 60);
    (void)put_two(time + 1, second % 60);
    return at + IMAP_DATE_TIME_BYTES;
}

/* The items of a row, each behind a space; flags without keywords only. */
static char *put_items(struct imap_row_writer *rows, char *at, uint32_t items,
                       const struct fetch_block *block, size_t row, bool is_recent)
{
    if ((items & IMAP_ITEM_UID) != 0) {
        at = imap_put_u64(PUT(at, " UID "), fetch_block_uid(block, row));
    }
    if ((items & IMAP_ITEM_FLAGS) != 0 && block->flags != NULL) {
        at = put_flags(rows, PUT(at, " FLAGS "), fetch_block_flags(block, row), is_recent);
    }
    if ((items & IMAP_ITEM_MODSEQ) != 0 && block->modseq != NULL) {
        at = imap_put_u64(PUT(at, " MODSEQ ("), fetch_block_modseq(block, row));
        *at++ = ')';
    }
    if ((items & IMAP_ITEM_SIZE) != 0 && block->size_bytes != NULL) {
        at = imap_put_u64(PUT(at, " RFC822.SIZE "), fetch_block_size(block, row));
    }
    if ((items & IMAP_ITEM_INTERNALDATE) != 0 && block->internal_ms != NULL) {
        at = put_date(rows, PUT(at, " INTERNALDATE \""), block, row);
        *at++ = '"';
    }
    if ((items & IMAP_ITEM_EMAILID) != 0 && block->email_id != NULL) {
        at = put_id(PUT(at, " EMAILID "), 'M', fetch_block_email_id(block, row));
    }
    if ((items & IMAP_ITEM_THREADID) != 0 && block->thread_id != NULL) {
        at = put_id(PUT(at, " THREADID "), 'T', fetch_block_thread_id(block, row));
    }
    return at;
}

static bool has_keyword(struct vy_bytes bits)
{
    for (size_t i = 0; i < bits.len; i++) {
        if (bits.data[i] != 0) {
            return true;
        }
    }
    return false;
}

/* One row up to its last item, without ")" and line end. Flags with keywords have no bounded
 * length: they go last. */
static void write_row(struct imap_session *s, struct imap_row_writer *rows,
                      const struct fetch_block *block, size_t row, uint32_t place)
{
    const bool is_recent = walk_to(&s->view->recent, &rows->recent, fetch_block_uid(block, row));
    const bool has_keywords = (rows->items & IMAP_ITEM_FLAGS) != 0 && block->keyword_bytes > 0 &&
                              has_keyword(fetch_block_keywords(block, row));
    const uint32_t items = rows->items & ~(has_keywords ? (uint32_t)IMAP_ITEM_FLAGS : 0);
    char *const start = (char *)vy_buf_reserve(&s->out, ROW_BYTES_MAX);
    if (start == NULL) {
        return;
    }
    char *at = imap_put_u64(PUT(start, "* "), place);
    at = PUT(at, " FETCH ");
    char *const open = at;
    at = put_items(rows, at, items, block, row, is_recent);
    at += at == open ? 1 : 0;
    *open = '('; /* in place of the first item's space */
    if (has_keywords) {
        at = at == open + 1 ? PUT(at, "FLAGS ") : PUT(at, " FLAGS ");
    }
    vy_buf_added(&s->out, (size_t)(at - start));
    if (has_keywords) {
        imap_write_flags(&s->out, s->view, fetch_block_flags(block, row),
                         fetch_block_keywords(block, row), is_recent);
    }
}

void imap_write_rows(struct imap_session *s, struct imap_row_writer *rows,
                     const struct fetch_block *block)
{
    for (size_t row = 0; row < block->count; row++) {
        const uint32_t place = imap_row_place(rows, s->view, fetch_block_uid(block, row));
        if (place != 0) {
            write_row(s, rows, block, row, place);
            vy_buf_append(&s->out, VY_LIT(")\r\n"));
        }
    }
}

bool imap_write_row_begin(struct imap_session *s, struct imap_row_writer *rows,
                          const struct fetch_block *block, bool *has_items)
{
    const uint32_t place = imap_row_place(rows, s->view, fetch_block_uid(block, 0));
    if (place == 0) {
        return false;
    }
    write_row(s, rows, block, 0, place);
    const struct vy_bytes written = vy_buf_bytes(&s->out);
    *has_items = written.len > 0 && written.data[written.len - 1] != '(';
    return true;
}

struct vy_err imap_write_blocks(struct imap_session *s, struct imap_row_writer *rows,
                                struct vy_bytes blocks)
{
    struct fetch_reader reader;
    struct fetch_event event = {.kind = FETCH_EVENT_BLOCK};
    struct vy_err err = vy_ok();
    fetch_reader_init(&reader);
    while (!vy_failed(err) && event.kind != FETCH_EVENT_NONE) {
        err = fetch_reader_next(&reader, &blocks, &event);
        if (!vy_failed(err) && event.kind == FETCH_EVENT_BLOCK) {
            imap_write_rows(s, rows, &event.block);
        }
    }
    if (!vy_failed(err) && !fetch_reader_is_at_end(&reader)) {
        err = vy_error(VY_CODE_CORRUPT, "flags: stream is cut");
    }
    fetch_reader_deinit(&reader);
    return err;
}
