/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/imap/pattern.h"

#define WORDS ((IMAP_PATTERN_BYTES_MAX + 1U + 63U) / 64U)

/* Place n is reached when n literal bytes of the pattern have been met; a wildcard stays at its
 * place. */
struct places {
    uint64_t words[WORDS];
};

struct imap_pattern {
    struct places by_byte[256];  /* places whose next literal is this byte */
    struct places stay;          /* '*' */
    struct places stay_in_level; /* '%' */
    size_t literal_count;
};

static void set_place(struct places *places, size_t place)
{
    places->words[place / 64] |= 1ULL << (place % 64);
}

static bool has_place(const struct places *places, size_t place)
{
    return (places->words[place / 64] >> (place % 64) & 1) != 0;
}

struct vy_err imap_pattern_new(struct vy_arena *arena, struct vy_bytes text,
                               const struct imap_pattern **out)
{
    uint32_t wildcards = 0;
    struct imap_pattern *const pattern = VY_ARENA_NEW(arena, struct imap_pattern);
    if (pattern == NULL || text.len > IMAP_PATTERN_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "pattern is too long");
    }
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (c == '*' || c == '%') {
            set_place(c == '*' ? &pattern->stay : &pattern->stay_in_level, pattern->literal_count);
            wildcards++;
        } else {
            set_place(&pattern->by_byte[c], pattern->literal_count++);
        }
    }
    if (wildcards > IMAP_PATTERN_WILDCARDS_MAX) {
        return vy_error(VY_CODE_LIMIT, "too many wildcards");
    }
    *out = pattern;
    return vy_ok();
}

static void step(const struct imap_pattern *pattern, struct places *now,
                 const struct places *next_a, const struct places *next_b, bool is_separator)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < WORDS; i++) {
        const uint64_t here = now->words[i];
        const uint64_t met = here & (next_a->words[i] | next_b->words[i]);
        uint64_t stays = here & pattern->stay.words[i];
        stays |= is_separator ? 0 : here & pattern->stay_in_level.words[i];
        now->words[i] = met << 1 | carry | stays;
        carry = met >> 63;
    }
}

bool imap_pattern_matches(const struct imap_pattern *pattern, struct vy_bytes name)
{
    struct places now = {.words = {1}};
    const bool is_inbox =
        vy_bytes_starts_with(name, VY_LIT("INBOX")) && (name.len == 5 || name.data[5] == '/');
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t c = name.data[i];
        const uint8_t other = is_inbox && i < 5 ? vy_ascii_lower(c) : c;
        step(pattern, &now, &pattern->by_byte[c], &pattern->by_byte[other], c == '/');
    }
    return has_place(&now, pattern->literal_count);
}
