/* SPDX-License-Identifier: Apache-2.0 */
/* Times on the command line. */
#include "meta/ctl/command.h"

#define SECOND_MS 1000ULL
#define DAY_MS (24ULL * 60 * 60 * SECOND_MS)

/* "2h": how long, with its unit. */
static bool parse_span(struct vy_bytes text, uint64_t *out_ms)
{
    static const struct {
        uint8_t unit;
        uint64_t ms;
    } units[] = {
        {'s', SECOND_MS          },
        {'m', 60 * SECOND_MS     },
        {'h', 60 * 60 * SECOND_MS},
        {'d', DAY_MS             }
    };
    uint64_t count = 0;
    if (text.len < 2 || !vy_parse_u64(vy_bytes_slice(text, 0, text.len - 1), &count)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (text.data[text.len - 1] == units[i].unit && count <= UINT64_MAX / units[i].ms) {
            *out_ms = count * units[i].ms;
            return true;
        }
    }
    return false;
}

/* Digits of a fixed place, from least to most. */
static bool parse_part(struct vy_bytes text, size_t at, size_t len, uint32_t least, uint32_t most,
                       uint32_t *out)
{
    return at + len <= text.len && vy_parse_u32(vy_bytes_slice(text, at, len), out) &&
           *out >= least && *out <= most;
}

/* Days from 1970-01-01 (Gregorian). */
static uint64_t days_of(uint32_t year, uint32_t month, uint32_t day)
{
    static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    const uint32_t leap_base = month > 2 ? year : year - 1; /* leap days that are over */
    const uint32_t leaps = leap_base / 4 - leap_base / 100 + leap_base / 400 - 477;
    return (uint64_t)(year - 1970) * 365 + leaps + before[month - 1] + day - 1;
}

static bool parse_clock(struct vy_bytes text, uint64_t *out_ms)
{
    uint32_t hour = 0;
    uint32_t minute = 0;
    uint32_t second = 0;
    if (text.len != 10 || text.data[0] != 'T' || text.data[3] != ':' || text.data[6] != ':' ||
        text.data[9] != 'Z' || !parse_part(text, 1, 2, 0, 23, &hour) ||
        !parse_part(text, 4, 2, 0, 59, &minute) || !parse_part(text, 7, 2, 0, 59, &second)) {
        return false;
    }
    *out_ms = ((uint64_t)hour * 3600 + minute * 60U + second) * SECOND_MS;
    return true;
}

static bool parse_date(struct vy_bytes text, uint64_t *out_ms)
{
    uint32_t year = 0;
    uint32_t month = 0;
    uint32_t day = 0;
    if (text.len != 10 || text.data[4] != '-' || text.data[7] != '-' ||
        !parse_part(text, 0, 4, 1970, 9999, &year) || !parse_part(text, 5, 2, 1, 12, &month) ||
        !parse_part(text, 8, 2, 1, 31, &day)) {
        return false;
    }
    *out_ms = days_of(year, month, day) * DAY_MS;
    return true;
}

bool ctl_parse_since(struct vy_bytes text, uint64_t now_ms, uint64_t *out_ms)
{
    uint64_t span_ms = 0;
    uint64_t date_ms = 0;
    uint64_t clock_ms = 0;
    if (parse_span(text, &span_ms)) {
        *out_ms = span_ms < now_ms ? now_ms - span_ms : 0;
        return true;
    }
    if (!parse_date(vy_bytes_slice(text, 0, 10), &date_ms) ||
        (text.len > 10 && !parse_clock(vy_bytes_from(text, 10), &clock_ms))) {
        return false;
    }
    *out_ms = date_ms + clock_ms;
    return true;
}
