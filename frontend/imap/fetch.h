/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Index rows as FETCH responses, for FETCH itself, for STORE and for the flags told behind a FETCH
 * that set \Seen.
 */
#include "frontend/imap/imap.h"
#include "proto/fetch_stream.h"

enum imap_fetch_item {
    IMAP_ITEM_UID = 1,
    IMAP_ITEM_FLAGS = 2,
    IMAP_ITEM_MODSEQ = 4,
    IMAP_ITEM_SIZE = 8,
    IMAP_ITEM_INTERNALDATE = 16,
    IMAP_ITEM_EMAILID = 32,
    IMAP_ITEM_THREADID = 64,
    IMAP_ITEM_ENVELOPE = 128,
    IMAP_ITEM_BODY = 256,
    IMAP_ITEM_BODYSTRUCTURE = 512,
    IMAP_ITEM_PREVIEW = 1024
};
/* The FETCH_COLUMN_* that items need. */
uint32_t imap_items_columns(uint32_t items);

#define IMAP_FLAGS_TEXT_BYTES 64U
#define IMAP_DATE_TIME_BYTES 26U
/* Texts of flag lists without keywords, made when first met; and where the last UID stood. One per
 * command. */
struct imap_row_writer {
    uint32_t items;
    size_t range;  /* of view->uids: UIDs only rise */
    size_t recent; /* of view->recent */
    /* INTERNALDATE of the last row: the next one is often of the same day. */
    bool has_date;
    int64_t date_day; /* since 1970, in its zone */
    int32_t date_zone_minutes;
    char date[IMAP_DATE_TIME_BYTES];
    struct {
        uint8_t len;
        char text[IMAP_FLAGS_TEXT_BYTES - 1];
    } flags[128]; /* by flag bits, and 64 for \Recent */
};
/* Sequence number of a UID above the last one asked for; 0: not in the view. */
uint32_t imap_row_place(struct imap_row_writer *rows, const struct imap_view *view, uint32_t uid);
/* A whole response for each row that the view has. */
void imap_write_rows(struct imap_session *s, struct imap_row_writer *rows,
                     const struct fetch_block *block);
/* "* 5 FETCH (UID 7 FLAGS (...)": the items of one row without the end; false when the view does
 * not have it. */
bool imap_write_row_begin(struct imap_session *s, struct imap_row_writer *rows,
                          const struct fetch_block *block, bool *has_items);
/* All rows of an encoded stream of BLOCK records. @errors CORRUPT */
VY_CHECKED struct vy_err imap_write_blocks(struct imap_session *s, struct imap_row_writer *rows,
                                           struct vy_bytes blocks);
