/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a sequence set and as an encoded UID set; set algebra against its laws. */
#include "base/assert.h"
#include "mail/flags.h"
#include "mail/seqset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ranges(const struct uidset *set)
{
    uint64_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        VY_ASSERT(set->ranges[i].first >= 1 && set->ranges[i].first <= set->ranges[i].last);
        VY_ASSERT(i == 0 || set->ranges[i].first > set->ranges[i - 1].last + 1);
        VY_ASSERT(set->ranges[i].before == count);
        count += (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;
    }
    VY_ASSERT(uidset_count(set) == count);
}

static void check_laws(const struct uidset *a, const struct uidset *b)
{
    struct uidset both;
    struct uidset only_a;
    struct uidset joined;
    struct uidset again;
    uidset_init(&both);
    uidset_init(&only_a);
    uidset_init(&joined);
    uidset_init(&again);
    uidset_intersect(a, b, &both);
    uidset_subtract(a, b, &only_a);
    check_ranges(&both);
    check_ranges(&only_a);
    VY_ASSERT(uidset_count(&both) + uidset_count(&only_a) == uidset_count(a));
    uidset_union(&both, &only_a, &joined);
    check_ranges(&joined);
    VY_ASSERT(uidset_equal(&joined, a));
    for (size_t i = 0; i < b->count; i++) {
        uidset_remove_range(&joined, b->ranges[i].first, b->ranges[i].last);
    }
    check_ranges(&joined);
    VY_ASSERT(uidset_equal(&joined, &only_a));
    uidset_ranks(a, &both, &again);
    check_ranges(&again);
    uidset_select(a, &again, &joined);
    VY_ASSERT(uidset_equal(&joined, &both));
    uidset_deinit(&both);
    uidset_deinit(&only_a);
    uidset_deinit(&joined);
    uidset_deinit(&again);
}

static void parse_text(struct vy_bytes text, struct uidset *out)
{
    struct vy_arena arena;
    struct seqset set;
    struct vy_bytes keywords[4];
    size_t count = 0;
    uint32_t flags = 0;
    vy_arena_init(&arena, 1024U * 1024U);
    if (!vy_failed(seqset_parse(&arena, text, &set))) {
        VY_ASSERT(!vy_failed(seqset_resolve(&set, 100, out)));
        check_ranges(out);
    }
    vy_ignore(mail_flags_parse(text, &flags, keywords, 4, &count), "only to be survived");
    vy_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct uidset from_text;
    struct uidset decoded;
    struct vy_buf encoded;
    uidset_init(&from_text);
    uidset_init(&decoded);
    vy_buf_init(&encoded, 16U * 1024U * 1024U);
    const size_t cut = size == 0 ? 0 : data[0] % size;
    parse_text(vy_bytes_slice(vy_bytes(data, size), 1, cut), &from_text);
    const struct vy_bytes rest = vy_bytes_from(vy_bytes(data, size), cut);
    if (!vy_failed(uidset_decode(rest, &decoded))) {
        check_ranges(&decoded);
        uidset_encode(&encoded, &decoded);
        VY_ASSERT(vy_bytes_equal(vy_buf_bytes(&encoded), rest));
    }
    check_laws(&from_text, &decoded);
    check_laws(&decoded, &from_text);
    uidset_deinit(&from_text);
    uidset_deinit(&decoded);
    vy_buf_deinit(&encoded);
    return 0;
}
