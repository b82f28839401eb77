/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/date.h"

#include "base/assert.h"

#define YEAR_MIN 1900U
#define YEAR_MAX 9999U
#define ZONE_MINUTES_MAX 1439

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char weekdays[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};

/* As written, in its own zone. */
struct civil {
    uint32_t year;
    uint32_t month; /* 1..12 */
    uint32_t day;
    uint32_t hour;
    uint32_t minute;
    uint32_t second;
};

/* ---- calendar ---- */

static bool is_leap(uint32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint32_t month_days(uint32_t year, uint32_t month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days since 1970-01-01 in the Gregorian calendar; years counted from March. */
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

/* days >= -719468 (year 0) */
static struct civil civil_from_days(int64_t days)
{
    const int64_t z = days + 719468;
    const int64_t era = z / 146097;
    const int64_t day_of_era = z - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted = (5 * day_of_year + 2) / 153;
    const uint32_t month = (uint32_t)(shifted < 10 ? shifted + 3 : shifted - 9);
    return (struct civil){
        .year = (uint32_t)(year_of_era + era * 400 + (month <= 2 ? 1 : 0)),
        .month = month,
        .day = (uint32_t)(day_of_year - (153 * shifted + 2) / 5 + 1),
    };
}

static int64_t floor_days(int64_t ms)
{
    return (ms - (ms < 0 ? DATE_DAY_MS - 1 : 0)) / DATE_DAY_MS;
}

static bool civil_is_possible(const struct civil *c)
{
    return c->year >= YEAR_MIN && c->year <= YEAR_MAX && c->month >= 1 && c->month <= 12 &&
           c->day >= 1 && c->day <= month_days(c->year, c->month) && c->hour <= 23 &&
           c->minute <= 59 && c->second <= 60;
}

static bool to_date_time(const struct civil *c, int32_t zone_minutes, struct date_time *out)
{
    if (!civil_is_possible(c) || zone_minutes < -ZONE_MINUTES_MAX ||
        zone_minutes > ZONE_MINUTES_MAX) {
        return false;
    }
    const int64_t seconds = days_from_civil(c->year, c->month, c->day) * 86400 +
                            (int64_t)(c->hour * 3600 + c->minute * 60 + c->second) -
                            (int64_t)zone_minutes * 60;
    *out = (struct date_time){.unix_ms = seconds * 1000, .zone_minutes = zone_minutes};
    return true;
}

/* The date in its zone, held inside the years that have a written form. */
static struct civil to_civil(struct date_time date)
{
    const int64_t lowest = days_from_civil(YEAR_MIN, 1, 1) * DATE_DAY_MS;
    const int64_t highest = (days_from_civil(YEAR_MAX, 12, 31) + 1) * DATE_DAY_MS - 1;
    const int64_t clamped = VY_MAX(VY_MIN(date.unix_ms, highest), lowest);
    const int64_t shifted = clamped + (int64_t)date.zone_minutes * 60000;
    const int64_t local = VY_MAX(VY_MIN(shifted, highest), lowest);
    const int64_t days = floor_days(local);
    const uint32_t second = (uint32_t)((local - days * DATE_DAY_MS) / 1000);
    struct civil c = civil_from_days(days);
    c.hour = second / 3600;
    c.minute = second / 60 % 60;
    c.second = second % 60;
    return c;
}

int64_t date_local_day_ms(struct date_time date)
{
    return floor_days(date.unix_ms + (int64_t)date.zone_minutes * 60000) * DATE_DAY_MS;
}

/* ---- words ---- */

static bool find_month(struct vy_bytes name, uint32_t *out)
{
    for (uint32_t i = 0; i < 12; i++) {
        if (vy_bytes_equal_nocase(name, vy_bytes(months[i], 3))) {
            *out = i + 1;
            return true;
        }
    }
    return false;
}

/* ---- RFC 5322 ---- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Index behind the comment that begins at `at`; the end of the text when it does not end (M8). */
static size_t skip_comment(struct vy_bytes text, size_t at)
{
    size_t depth = 0;
    for (; at < text.len; at++) {
        const uint8_t c = text.data[at];
        if (c == '\\') {
            at++;
        } else if (c == '(') {
            depth++;
        } else if (c == ')' && --depth == 0) {
            return at + 1;
        }
    }
    return text.len;
}

/* The next run of letters and digits, or one other character; empty at the end. */
static struct vy_bytes next_word(struct vy_bytes *rest)
{
    size_t at = 0;
    while (at < rest->len && (is_space(rest->data[at]) || rest->data[at] == '(')) {
        at = rest->data[at] == '(' ? skip_comment(*rest, at) : at + 1;
    }
    *rest = vy_bytes_from(*rest, at);
    size_t len = 0;
    while (len < rest->len && vy_ascii_is_alnum(rest->data[len])) {
        len++;
    }
    if (len == 0 && rest->len > 0) {
        len = 1;
    }
    const struct vy_bytes word = vy_bytes_slice(*rest, 0, len);
    *rest = vy_bytes_from(*rest, len);
    return word;
}

static bool word_is(struct vy_bytes word, uint8_t c)
{
    return word.len == 1 && word.data[0] == c;
}

static bool is_number_of(struct vy_bytes word, size_t digits_max, uint32_t *out)
{
    return word.len <= digits_max && vy_parse_u32(word, out);
}

/* Two and three digits: RFC 5322 section 4.3. */
static bool parse_year(struct vy_bytes word, uint32_t *out)
{
    uint32_t year = 0;
    if (!is_number_of(word, 4, &year)) {
        return false; /* M14 */
    }
    if (word.len == 2) {
        year += year < 50 ? 2000 : 1900;
    } else if (word.len == 3) {
        year += 1900;
    }
    *out = year;
    return word.len >= 2;
}

/* "12:34" or "12:34:56" from the front; *next is the word behind it. */
static bool parse_time(struct vy_bytes *rest, struct civil *out, struct vy_bytes *next)
{
    if (!is_number_of(next_word(rest), 2, &out->hour) || !word_is(next_word(rest), ':') ||
        !is_number_of(next_word(rest), 2, &out->minute)) {
        return false;
    }
    *next = next_word(rest);
    if (word_is(*next, ':')) {
        if (!is_number_of(next_word(rest), 2, &out->second)) {
            return false;
        }
        *next = next_word(rest);
    }
    return true;
}

/* North American names; every other letter is -0000 (RFC 5322 section 4.3). */
static int32_t named_zone(struct vy_bytes word)
{
    static const struct {
        const char *name;
        int32_t minutes;
    } zones[] = {
        {"EST", -300},
        {"EDT", -240},
        {"CST", -360},
        {"CDT", -300},
        {"MST", -420},
        {"MDT", -360},
        {"PST", -480},
        {"PDT", -420}
    };
    for (size_t i = 0; i < VY_COUNT_OF(zones); i++) {
        if (vy_bytes_equal_nocase(word, vy_cstr(zones[i].name))) {
            return zones[i].minutes;
        }
    }
    return 0;
}

/* @digits four of them */
static bool parse_zone_digits(struct vy_bytes digits, bool is_west, int32_t *out)
{
    uint32_t value = 0;
    if (digits.len != 4 || !vy_parse_u32(digits, &value) || value / 100 > 23 || value % 100 > 59) {
        return false;
    }
    const int32_t minutes = (int32_t)(value / 100 * 60 + value % 100);
    *out = is_west ? -minutes : minutes;
    return true;
}

bool date_parse_rfc5322(struct vy_bytes value, struct date_time *out)
{
    struct civil c = {.year = 0};
    int32_t zone = 0;
    struct vy_bytes word = next_word(&value);

    if (word.len >= 3 && vy_ascii_is_alpha(word.data[0])) { /* the day's name is not checked */
        word = next_word(&value);
        if (word_is(word, ',')) {
            word = next_word(&value);
        }
    }
    if (!is_number_of(word, 2, &c.day)) {
        return false;
    }
    word = next_word(&value);
    if (word_is(word, '-')) { /* "1-Feb-94" of old news software */
        word = next_word(&value);
    }
    if (!find_month(word, &c.month)) {
        return false;
    }
    word = next_word(&value);
    if (word_is(word, '-')) {
        word = next_word(&value);
    }
    if (!parse_year(word, &c.year) || !parse_time(&value, &c, &word)) {
        return false;
    }
    if (word_is(word, '+') || word_is(word, '-')) {
        if (!parse_zone_digits(next_word(&value), word.data[0] == '-', &zone)) {
            zone = 0; /* a date with a strange zone is still that day */
        }
    } else {
        zone = named_zone(word);
    }
    return to_date_time(&c, zone, out);
}

static void append_two(struct vy_buf *out, uint32_t value)
{
    vy_buf_append_byte(out, (uint8_t)('0' + value / 10 % 10));
    vy_buf_append_byte(out, (uint8_t)('0' + value % 10));
}

/* "21:52:25 -0800" */
static void append_time_and_zone(struct vy_buf *out, const struct civil *c, int32_t zone_minutes)
{
    const uint32_t zone = (uint32_t)(zone_minutes < 0 ? -zone_minutes : zone_minutes);
    append_two(out, c->hour);
    vy_buf_append_byte(out, ':');
    append_two(out, c->minute);
    vy_buf_append_byte(out, ':');
    append_two(out, c->second);
    vy_buf_append_cstr(out, zone_minutes < 0 ? " -" : " +");
    append_two(out, zone / 60);
    append_two(out, zone % 60);
}

static void append_year(struct vy_buf *out, uint32_t year)
{
    append_two(out, year / 100);
    append_two(out, year % 100);
}

void date_append_rfc5322(struct vy_buf *out, struct date_time date)
{
    const struct civil c = to_civil(date);
    const int64_t days = days_from_civil(c.year, c.month, c.day);
    vy_buf_append_cstr(out, weekdays[((days % 7) + 7) % 7]);
    vy_buf_append_cstr(out, ", ");
    vy_buf_append_u64(out, c.day);
    vy_buf_append_byte(out, ' ');
    vy_buf_append_cstr(out, months[c.month - 1]);
    vy_buf_append_byte(out, ' ');
    append_year(out, c.year);
    vy_buf_append_byte(out, ' ');
    append_time_and_zone(out, &c, date.zone_minutes);
}

/* ---- IMAP ---- */

/* Exactly `count` digits. */
static bool take_digits(struct vy_bytes *text, size_t count, uint32_t *out)
{
    const bool is_fine = text->len >= count && vy_parse_u32(vy_bytes_slice(*text, 0, count), out);
    *text = vy_bytes_from(*text, count);
    return is_fine;
}

static bool take_char(struct vy_bytes *text, uint8_t c)
{
    const bool is_fine = text->len > 0 && text->data[0] == c;
    *text = vy_bytes_from(*text, 1);
    return is_fine;
}

/* "1-Feb-1994", "01-Feb-1994" or " 1-Feb-1994" */
static bool take_day(struct vy_bytes *text, struct civil *out)
{
    if (text->len > 0 && text->data[0] == ' ') {
        *text = vy_bytes_from(*text, 1);
    }
    const size_t digits = vy_bytes_find_byte(*text, '-', 0);
    if ((digits != 1 && digits != 2) || !take_digits(text, digits, &out->day) ||
        !take_char(text, '-') || !find_month(vy_bytes_slice(*text, 0, 3), &out->month)) {
        return false;
    }
    *text = vy_bytes_from(*text, 3);
    return take_char(text, '-') && take_digits(text, 4, &out->year);
}

bool date_parse_imap_date_time(struct vy_bytes text, struct date_time *out)
{
    struct civil c = {.year = 0};
    int32_t zone = 0;
    if (!take_day(&text, &c) || !take_char(&text, ' ') || !take_digits(&text, 2, &c.hour) ||
        !take_char(&text, ':') || !take_digits(&text, 2, &c.minute) || !take_char(&text, ':') ||
        !take_digits(&text, 2, &c.second) || !take_char(&text, ' ') || text.len != 5) {
        return false;
    }
    const uint8_t sign = text.data[0];
    if ((sign != '+' && sign != '-') ||
        !parse_zone_digits(vy_bytes_from(text, 1), sign == '-', &zone)) {
        return false;
    }
    return to_date_time(&c, zone, out);
}

static void append_day(struct vy_buf *out, const struct civil *c)
{
    vy_buf_append_cstr(out, months[c->month - 1]);
    vy_buf_append_byte(out, '-');
    append_year(out, c->year);
}

void date_append_imap_date_time(struct vy_buf *out, struct date_time date)
{
    const struct civil c = to_civil(date);
    vy_buf_append_byte(out, c.day < 10 ? ' ' : (uint8_t)('0' + c.day / 10)); /* date-day-fixed */
    vy_buf_append_byte(out, (uint8_t)('0' + c.day % 10));
    vy_buf_append_byte(out, '-');
    append_day(out, &c);
    vy_buf_append_byte(out, ' ');
    append_time_and_zone(out, &c, date.zone_minutes);
}

bool date_parse_imap_date(struct vy_bytes text, int64_t *out_unix_ms)
{
    struct civil c = {.year = 0};
    struct date_time date;
    if (!take_day(&text, &c) || text.len != 0 || !to_date_time(&c, 0, &date)) {
        return false;
    }
    *out_unix_ms = date.unix_ms;
    return true;
}
