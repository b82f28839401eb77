/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/seqset.h"

#include <stdlib.h>

static struct vy_err not_a_set(void)
{
    return vy_error(VY_CODE_SYNTAX, "not a sequence set");
}

/* A number above 0, or "*". */
static bool parse_number(struct vy_bytes text, uint32_t *out)
{
    if (vy_bytes_equal(text, VY_LIT("*"))) {
        *out = SEQSET_STAR;
        return true;
    }
    uint32_t number = 0;
    if (text.len > 10 || !vy_parse_u32(text, &number) || number == 0) {
        return false; /* I13: 0 is BAD */
    }
    *out = number;
    return true;
}

static bool parse_item(struct vy_bytes text, struct seqset_item *out)
{
    const bool is_range = vy_bytes_find_byte(text, ':', 0) != SIZE_MAX;
    if (!parse_number(vy_bytes_cut(&text, ':'), &out->first)) {
        return false;
    }
    out->last = out->first;
    return !is_range || parse_number(text, &out->last);
}

static size_t count_items(struct vy_bytes text)
{
    size_t count = 1;
    for (size_t at = vy_bytes_find_byte(text, ',', 0); at != SIZE_MAX;
         at = vy_bytes_find_byte(text, ',', at + 1)) {
        count++;
    }
    return count;
}

struct vy_err seqset_parse(struct vy_arena *arena, struct vy_bytes text, struct seqset *out)
{
    const size_t count = count_items(text);
    if (count > SEQSET_ITEMS_MAX) {
        return vy_error(VY_CODE_LIMIT, "sequence set is too long");
    }
    struct seqset_item *const items = VY_ARENA_ARRAY(arena, count, struct seqset_item);
    if (items == NULL) {
        return vy_error(VY_CODE_LIMIT, "sequence set");
    }
    for (size_t i = 0; i < count; i++) {
        if (!parse_item(vy_bytes_cut(&text, ','), &items[i])) {
            return not_a_set();
        }
    }
    *out = (struct seqset){.items = items, .count = count};
    return vy_ok();
}

static int compare_items(const void *a, const void *b)
{
    const struct seqset_item *const x = a;
    const struct seqset_item *const y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* "*" as the largest number there is, ends in order. */
static struct seqset_item in_order(struct seqset_item item, uint32_t largest)
{
    const uint32_t first = item.first == SEQSET_STAR ? largest : item.first;
    const uint32_t last = item.last == SEQSET_STAR ? largest : item.last;
    return (struct seqset_item){VY_MIN(first, last), VY_MAX(first, last)};
}

struct vy_err seqset_resolve(const struct seqset *set, uint32_t largest, struct uidset *out)
{
    uidset_clear(out);
    struct seqset_item *const items = calloc(set->count, sizeof(*items));
    if (items == NULL) {
        return vy_error(VY_CODE_NOMEM, "sequence set");
    }
    for (size_t i = 0; i < set->count; i++) {
        items[i] = in_order(set->items[i], largest);
    }
    qsort(items, set->count, sizeof(*items), compare_items);
    for (size_t i = 0; i < set->count; i++) {
        if (items[i].last > 0) {
            uidset_add_range(out, VY_MAX(items[i].first, 1U), items[i].last);
        }
    }
    free(items);
    return uidset_error(out);
}
