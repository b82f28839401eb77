/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/wildcard.h"

struct vy_err wildcard_check(struct vy_bytes pattern)
{
    size_t count = 0;
    uint8_t last = 0;

    if (pattern.len > WILDCARD_PATTERN_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "pattern is too long");
    }
    for (size_t i = 0; i < pattern.len; i++) {
        const uint8_t c = pattern.data[i];
        count += (c == '*' && last != '*') || c == '%' ? 1 : 0;
        last = c;
    }
    return count <= WILDCARD_COUNT_MAX ? vy_ok() : vy_error(VY_CODE_LIMIT, "too many wildcards");
}

#define WORDS ((WILDCARD_PATTERN_BYTES_MAX + 1U + 63U) / 64U)

/* Bit i of a set: the first i literals of the pattern are matched; place i may carry wildcards. */
struct places {
    uint64_t words[WORDS];
};
struct automaton {
    uint8_t literals[WILDCARD_PATTERN_BYTES_MAX];
    size_t count;
    size_t words; /* in use */
    struct places star;
    struct places percent;
    struct places matching[256]; /* by next byte of the name: places whose literal it is */
    bool is_known[256];          /* of matching */
};

static void set_bit(struct places *places, size_t index)
{
    places->words[index / 64] |= (uint64_t)1 << (index % 64);
}

static void compile(struct automaton *a, struct vy_bytes pattern)
{
    a->count = 0;
    a->star = (struct places){.words = {0}};
    a->percent = (struct places){.words = {0}};
    memset(a->is_known, 0, sizeof(a->is_known));
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.data[i] == '*') {
            set_bit(&a->star, a->count);
        } else if (pattern.data[i] == '%') {
            set_bit(&a->percent, a->count);
        } else {
            a->literals[a->count++] = pattern.data[i];
        }
    }
    a->words = a->count / 64 + 1;
}

static const struct places *places_matching(struct automaton *a, uint8_t byte)
{
    if (!a->is_known[byte]) {
        a->is_known[byte] = true;
        a->matching[byte] = (struct places){.words = {0}};
        for (size_t i = 0; i < a->count; i++) {
            if (a->literals[i] == byte) {
                set_bit(&a->matching[byte], i);
            }
        }
    }
    return &a->matching[byte];
}

/* Takes one byte of the name; false when no place is left. */
static bool step(struct automaton *a, struct places *at, uint8_t byte)
{
    const struct places *const matching = places_matching(a, byte);
    uint64_t carry = 0;
    uint64_t any = 0;

    for (size_t i = 0; i < a->words; i++) {
        const uint64_t loops = a->star.words[i] | (byte == '/' ? 0 : a->percent.words[i]);
        const uint64_t moved = at->words[i] & matching->words[i];
        at->words[i] = (at->words[i] & loops) | moved << 1 | carry;
        carry = moved >> 63;
        any |= at->words[i];
    }
    return any != 0;
}

static bool match(struct vy_bytes pattern, struct vy_bytes name)
{
    struct automaton a;
    struct places at = {.words = {1}};

    compile(&a, pattern);
    for (size_t i = 0; i < name.len; i++) {
        if (!step(&a, &at, name.data[i])) {
            return false;
        }
    }
    return (at.words[a.count / 64] >> (a.count % 64) & 1) != 0;
}

static bool is_inbox(struct vy_bytes name)
{
    return vy_bytes_starts_with_nocase(name, VY_LIT("INBOX")) &&
           (name.len == 5 || name.data[5] == '/');
}

bool wildcard_matches(struct vy_bytes pattern, struct vy_bytes name)
{
    if (pattern.len > WILDCARD_PATTERN_BYTES_MAX) {
        return false;
    }
    if (match(pattern, name)) {
        return true;
    }
    /* "inbox" in the pattern, as far as it goes before a wildcard, means INBOX. */
    uint8_t upper[WILDCARD_PATTERN_BYTES_MAX];
    size_t letters = 0;
    while (letters < 5 && letters < pattern.len &&
           vy_ascii_upper(pattern.data[letters]) == (uint8_t) "INBOX"[letters]) {
        upper[letters] = vy_ascii_upper(pattern.data[letters]);
        letters++;
    }
    if (letters == 0 || !is_inbox(name)) {
        return false;
    }
    memcpy(upper + letters, pattern.data + letters, pattern.len - letters);
    return match(vy_bytes(upper, pattern.len), name);
}
