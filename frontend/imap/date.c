/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/imap/date.h"
#include "base/assert.h"

static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static bool is_leap(uint32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint32_t month_days(uint32_t year, uint32_t month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days since 1970-01-01; Howard Hinnant's days_from_civil, years counted from March. */
static int64_t days_from_civil(uint32_t year, uint32_t month, uint32_t day)
{
    const int64_t y = (int64_t)year - (month <= 2 ? 1 : 0);
    const int64_t era = y / 400;
    const int64_t year_of_era = y - era * 400;
    const int64_t shifted = month > 2 ? (int64_t)month - 3 : (int64_t)month + 9;
    const int64_t day_of_year = (153 * shifted + 2) / 5 + (int64_t)day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void civil_from_days(int64_t days, uint32_t *year, uint32_t *month, uint32_t *day)
{
    const int64_t z = days + 719468;
    const int64_t era = z / 146097;
    const int64_t day_of_era = z - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = (uint32_t)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (uint32_t)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (uint32_t)(year_of_era + era * 400 + (*month <= 2 ? 1 : 0));
}

static bool parse_digits(struct vy_bytes *text, size_t count, uint32_t *out)
{
    const bool is_fine = text->len >= count && vy_parse_u32(vy_bytes_slice(*text, 0, count), out);
    *text = vy_bytes_from(*text, count);
    return is_fine;
}

static bool parse_char(struct vy_bytes *text, uint8_t c)
{
    const bool is_fine = text->len > 0 && text->data[0] == c;
    *text = vy_bytes_from(*text, 1);
    return is_fine;
}

static bool parse_month(struct vy_bytes *text, uint32_t *out)
{
    const struct vy_bytes name = vy_bytes_slice(*text, 0, 3);
    *text = vy_bytes_from(*text, 3);
    for (uint32_t i = 0; i < 12; i++) {
        if (vy_bytes_equal_nocase(name, vy_bytes(month_names[i], 3))) {
            *out = i + 1;
            return true;
        }
    }
    return false;
}

/* "1-Feb-1994" or "01-Feb-1994" or " 1-Feb-1994" from the front of *text, as days since 1970. */
static bool parse_day(struct vy_bytes *text, int64_t *out_days)
{
    uint32_t day = 0;
    uint32_t month = 0;
    uint32_t year = 0;
    if (text->len > 0 && text->data[0] == ' ') {
        *text = vy_bytes_from(*text, 1);
    }
    const size_t dash = vy_bytes_find_byte(*text, '-', 0);
    if ((dash != 1 && dash != 2) || !parse_digits(text, dash, &day) || !parse_char(text, '-') ||
        !parse_month(text, &month) || !parse_char(text, '-') || !parse_digits(text, 4, &year)) {
        return false;
    }
    if (day == 0 || day > month_days(year, month)) {
        return false;
    }
    *out_days = days_from_civil(year, month, day);
    return true;
}

static bool parse_zone(struct vy_bytes *text, int32_t *out)
{
    uint32_t hours = 0;
    uint32_t minutes = 0;
    const bool is_west = text->len > 0 && text->data[0] == '-';
    if (!is_west && (text->len == 0 || text->data[0] != '+')) {
        return false;
    }
    *text = vy_bytes_from(*text, 1);
    if (!parse_digits(text, 2, &hours) || !parse_digits(text, 2, &minutes) || hours > 23 ||
        minutes > 59) {
        return false;
    }
    *out = (int32_t)(hours * 60 + minutes) * (is_west ? -1 : 1);
    return true;
}

bool imap_date_time_parse(struct vy_bytes text, uint64_t *out_ms, int32_t *out_zone_minutes)
{
    int64_t days = 0;
    uint32_t hour = 0;
    uint32_t minute = 0;
    uint32_t second = 0;
    int32_t zone = 0;
    if (!parse_day(&text, &days) || !parse_char(&text, ' ') || !parse_digits(&text, 2, &hour) ||
        !parse_char(&text, ':') || !parse_digits(&text, 2, &minute) || !parse_char(&text, ':') ||
        !parse_digits(&text, 2, &second) || !parse_char(&text, ' ') || !parse_zone(&text, &zone) ||
        text.len != 0 || hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    const int64_t seconds =
        days * 86400 + (int64_t)(hour * 3600 + minute * 60 + second) - (int64_t)zone * 60;
    *out_ms = seconds < 0 ? 0 : (uint64_t)seconds * 1000;
    *out_zone_minutes = zone;
    return true;
}

bool imap_date_parse(struct vy_bytes text, uint64_t *out_ms)
{
    int64_t days = 0;
    if (!parse_day(&text, &days) || text.len != 0) {
        return false;
    }
    *out_ms = days < 0 ? 0 : (uint64_t)days * IMAP_DAY_MS;
    return true;
}

static char *put_two(char *at, uint32_t value)
{
    at[0] = (char)('0' + value / 10 % 10);
    at[1] = (char)('0' + value % 10);
    return at + 2;
}

void imap_date_time_format(uint64_t ms, int32_t zone_minutes, char out[IMAP_DATE_TIME_BYTES])
{
    /* Year 9999 at most: a later one has no form here. */
    const int64_t latest = 253402300799LL - 86400;
    const int64_t utc = ms / 1000 > (uint64_t)latest ? latest : (int64_t)(ms / 1000);
    const int64_t shifted = utc + (int64_t)zone_minutes * 60;
    const int64_t local = shifted < 0 ? 0 : shifted;
    const uint32_t second_of_day = (uint32_t)(local % 86400);
    const uint32_t zone = (uint32_t)(zone_minutes < 0 ? -zone_minutes : zone_minutes);
    uint32_t year = 0;
    uint32_t month = 0;
    uint32_t day = 0;
    civil_from_days(local / 86400, &year, &month, &day);
    char *at = put_two(out, day);
    if (out[0] == '0') {
        out[0] = ' '; /* date-day-fixed */
    }
    *at++ = '-';
    memcpy(at, month_names[month - 1], 3);
    at[3] = '-';
    at = put_two(put_two(at + 4, year / 100), year % 100);
    *at++ = ' ';
    at = put_two(at, second_of_day / 3600);
    *at++ = ':';
    at = put_two(at, second_of_day / 60 % 60);
    *at++ = ':';
    at = put_two(at, second_of_day % 60);
    *at++ = ' ';
    *at++ = zone_minutes < 0 ? '-' : '+';
    at = put_two(put_two(at, zone / 60), zone % 60);
    VY_ASSERT(at == out + IMAP_DATE_TIME_BYTES);
}
