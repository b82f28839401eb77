/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Dates of headers (RFC 5322 section 3.3, obsolete zones and two-digit years too) and of IMAP
 * (RFC 3501 date-time, date). Pure: knows no clock. A date that cannot be, or with a year outside
 * 1900..9999, is no date (M14).
 */
#include "base/buf.h"

struct date_time {
    int64_t unix_ms;      /* whole seconds */
    int32_t zone_minutes; /* east of UTC, -1439..1439 */
};
#define DATE_DAY_MS 86400000

/* Header value; folding, comments and a missing day name are fine. */
bool date_parse_rfc5322(struct vy_bytes value, struct date_time *out);
/* "Mon, 1 Feb 1994 21:52:25 -0800" */
void date_append_rfc5322(struct vy_buf *out, struct date_time date);
/* "17-Jul-1996 02:44:25 -0700", day of two digits or one with or without a space; no quotes. */
bool date_parse_imap_date_time(struct vy_bytes text, struct date_time *out);
/* Exactly 26 bytes, without quotes. */
void date_append_imap_date_time(struct vy_buf *out, struct date_time date);
/* "1-Feb-1994": first millisecond of that day as if in UTC. */
bool date_parse_imap_date(struct vy_bytes text, int64_t *out_unix_ms);
/* The day as written in its own zone, as the first millisecond of that day in UTC: what SENTBEFORE
 * and its kin compare. */
int64_t date_local_day_ms(struct date_time date);
