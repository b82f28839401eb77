/* SPDX-License-Identifier: Apache-2.0 */
/* Which group is to be led by another host (spread.h). */
#include "meta/spread.h"

#include <string.h>

struct vy_bytes spread_host(struct vy_bytes address)
{
    size_t begin = 0;
    size_t end = address.len;
    for (size_t i = 0; i + 3 <= address.len && begin == 0; i++) {
        begin = memcmp(address.data + i, "://", 3) == 0 ? i + 3 : 0;
    }
    for (size_t i = address.len; i > begin && end == address.len; i--) {
        end = address.data[i - 1] == ':' ? i - 1 : end;
    }
    return vy_bytes_slice(address, begin, end - begin);
}

/* Two may say so for a moment: the newer term counts. */
static bool is_leader(const struct meta_probe *members, size_t count, const struct meta_probe *who)
{
    for (size_t i = 0; i < count && who->leads; i++) {
        if (members[i].group_id == who->group_id && members[i].leads &&
            members[i].term > who->term) {
            return false;
        }
    }
    return who->is_reached && who->leads;
}

static uint64_t led_by(const struct meta_probe *members, size_t count, struct vy_bytes host)
{
    uint64_t led = 0;
    for (size_t i = 0; i < count; i++) {
        led += is_leader(members, count, &members[i]) &&
               vy_bytes_equal(spread_host(members[i].address), host);
    }
    return led;
}

static bool is_whole(const struct meta_probe *members, size_t count, uint64_t group_id)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].group_id == group_id && !members[i].is_reached) {
            return false;
        }
    }
    return true;
}

static void consider_group(const struct meta_probe *members, size_t count,
                           const struct meta_probe *leader, struct spread_move *best)
{
    const uint64_t most = led_by(members, count, spread_host(leader->address));
    for (size_t i = 0; i < count; i++) {
        if (members[i].group_id != leader->group_id || &members[i] == leader) {
            continue;
        }
        const uint64_t led = led_by(members, count, spread_host(members[i].address));
        if (most > led && most - led > best->difference) {
            *best = (struct spread_move){.group_id = leader->group_id,
                                         .member_id = members[i].member_id,
                                         .difference = most - led};
        }
    }
}

bool spread_choose(const struct meta_probe *members, size_t count, struct spread_move *out)
{
    struct spread_move best = {.difference = 0};
    for (size_t i = 0; i < count; i++) {
        if (is_leader(members, count, &members[i]) &&
            is_whole(members, count, members[i].group_id)) {
            consider_group(members, count, &members[i], &best);
        }
    }
    if (best.difference < SPREAD_DIFFERENCE_MIN) {
        return false;
    }
    *out = best;
    return true;
}
