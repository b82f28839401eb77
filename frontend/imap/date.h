/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The dates of IMAP: "date-time" of INTERNALDATE and APPEND, "date" of SEARCH. Proleptic Gregorian,
 * no time zone database, no locale. Dates before 1970 count as 1970 began: messages have none
 * earlier.
 */
#include "base/buf.h"

#define IMAP_DATE_TIME_BYTES 26U /* "17-Jul-1996 02:44:25 -0700" */
#define IMAP_DAY_MS 86400000ULL

/* "17-Jul-1996 02:44:25 -0700", its day also with a space in front. False: not one (31-Feb is
 * none). */
bool imap_date_time_parse(struct vy_bytes text, uint64_t *out_ms, int32_t *out_zone_minutes);
/* "1-Feb-1994": the first ms of that day in UTC. */
bool imap_date_parse(struct vy_bytes text, uint64_t *out_ms);
/* Writes IMAP_DATE_TIME_BYTES characters, without quotes, at the local time of the zone. */
void imap_date_time_format(uint64_t ms, int32_t zone_minutes, char out[IMAP_DATE_TIME_BYTES]);
