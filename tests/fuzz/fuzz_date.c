/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a date: what is read can be written and read again to the same (M14). */
#include "base/assert.h"
#include "mail/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(struct date_time date)
{
    struct vy_buf text;
    struct date_time again;
    vy_buf_init(&text, 256);
    date_append_rfc5322(&text, date);
    VY_ASSERT(date_parse_rfc5322(vy_buf_bytes(&text), &again));
    VY_ASSERT(again.unix_ms == date.unix_ms && again.zone_minutes == date.zone_minutes);
    vy_buf_reset(&text);
    date_append_imap_date_time(&text, date);
    VY_ASSERT(vy_buf_len(&text) == 26 && date_parse_imap_date_time(vy_buf_bytes(&text), &again));
    VY_ASSERT(again.unix_ms == date.unix_ms && again.zone_minutes == date.zone_minutes);
    vy_buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct vy_bytes text = vy_bytes(data, size);
    struct date_time date;
    int64_t day = 0;
    if (date_parse_rfc5322(text, &date)) {
        check_again(date);
    }
    if (date_parse_imap_date_time(text, &date)) {
        check_again(date);
    }
    if (date_parse_imap_date(text, &day)) {
        VY_ASSERT(day % DATE_DAY_MS == 0);
    }
    return 0;
}
