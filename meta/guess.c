/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/guess.h"

#include "base/assert.h"
#include "base/map.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define WAYS 8U           /* slots that one key may be in */
#define LEVEL_UNIT 1000U  /* of one guess: levels are in thousandths */
#define MAPPED_BITS 96U   /* of an IPv4 address in the form of IPv6 */
#define NET_IPV4_BITS 24U /* behind them */
#define NET_IPV6_BITS 64U

struct guess_slot {
    uint64_t key;    /* 0: free */
    int64_t at_ms;   /* when level was right */
    int64_t lane_ms; /* of a pair: its last try behind the budget */
    uint32_t level;  /* in thousandths of a guess */
    uint32_t secrets[GUESS_SECRETS];
    uint8_t kind;
    uint8_t next_secret;
    bool has_lane;
};

struct guess_table {
    struct guess_limits limits;
    uint64_t seed;
    size_t set_count; /* a power of two */
    struct guess_slot slots[];
};

/* ---- networks ---- */

static bool is_mapped(const uint8_t address[16])
{
    static const uint8_t head[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(address, head, sizeof(head)) == 0;
}

/* Zeros behind the first `bits`. */
static void cut_address(uint8_t address[16], unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        if (i * 8 >= bits) {
            address[i] = 0;
        }
    }
}

static bool parse_address(struct vy_bytes text, uint8_t out[16])
{
    struct vy_net net;
    if (text.len == 0 || text.len >= VY_NET_IP_TEXT_BYTES || vy_failed(vy_net_parse(text, &net)) ||
        net.prefix_bits != 128) {
        return false;
    }
    memcpy(out, net.address, sizeof(net.address));
    return true;
}

struct guess_net guess_net_of(struct vy_bytes ip_text)
{
    struct guess_net net = {{0}};
    if (parse_address(ip_text, net.bytes)) {
        cut_address(net.bytes, is_mapped(net.bytes) ? MAPPED_BITS + NET_IPV4_BITS : NET_IPV6_BITS);
    }
    return net;
}

void guess_net_text(const struct guess_net *net, char out[GUESS_NET_TEXT_BYTES])
{
    static const struct guess_net nothing = {{0}};
    char address[VY_NET_IP_TEXT_BYTES] = "";
    const bool is_v4 = is_mapped(net->bytes);
    if (memcmp(net, &nothing, sizeof(nothing)) == 0) {
        (void)snprintf(out, GUESS_NET_TEXT_BYTES, "unknown");
        return;
    }
    (void)inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? net->bytes + 12 : net->bytes, address,
                    sizeof(address));
    (void)snprintf(out, GUESS_NET_TEXT_BYTES, "%s/%u", address,
                   is_v4 ? NET_IPV4_BITS : NET_IPV6_BITS);
}

/* ---- keys ---- */

#define KEY_BYTES_MAX (1U + 16U + 1024U)

static uint64_t key_of(const struct guess_table *table, enum guess_kind kind, const uint8_t *net,
                       struct vy_bytes name)
{
    uint8_t text[KEY_BYTES_MAX] = {(uint8_t)kind};
    const struct vy_bytes cut = vy_bytes_slice(name, 0, KEY_BYTES_MAX - 17);
    size_t len = 1;
    if (net != NULL) {
        memcpy(text + len, net, 16);
        len += 16;
    }
    if (cut.len > 0) {
        memcpy(text + len, cut.data, cut.len);
        len += cut.len;
    }
    const uint64_t hash = vy_siphash(table->seed, vy_bytes(text, len));
    return hash == 0 ? 1 : hash;
}

struct guess_who guess_who_of(const struct guess_table *table, struct vy_bytes ip_text,
                              struct vy_bytes name)
{
    static const struct vy_bytes nobody = {.len = 0};
    struct guess_who who = {{0}};
    uint8_t narrow[16];
    uint8_t wide[16];
    const struct guess_net net = guess_net_of(ip_text);
    if (parse_address(ip_text, narrow)) {
        const bool is_v4 = is_mapped(narrow);
        memcpy(wide, narrow, sizeof(wide));
        cut_address(narrow, is_v4 ? 128 : 64);
        cut_address(wide, is_v4 ? MAPPED_BITS + 24 : 48);
        who.keys[GUESS_NARROW] = key_of(table, GUESS_NARROW, narrow, nobody);
        who.keys[GUESS_WIDE] = key_of(table, GUESS_WIDE, wide, nobody);
    }
    who.keys[GUESS_NAME] = key_of(table, GUESS_NAME, NULL, name);
    who.keys[GUESS_PAIR] = key_of(table, GUESS_PAIR, net.bytes, name);
    return who;
}

/* ---- slots ---- */

struct vy_err guess_table_new(const struct guess_limits *limits, uint64_t seed, size_t slots,
                              struct guess_table **out)
{
    size_t set_count = 1;
    while (set_count * WAYS < slots) {
        set_count *= 2;
    }
    struct guess_table *table =
        calloc(1, sizeof(*table) + set_count * WAYS * sizeof(struct guess_slot));
    if (table == NULL) {
        return vy_error(VY_CODE_NOMEM, "budgets of guessing");
    }
    table->limits = *limits;
    table->seed = seed;
    table->set_count = set_count;
    *out = table;
    return vy_ok();
}

void guess_table_free(struct guess_table *table)
{
    free(table);
}

void guess_table_clear(struct guess_table *table)
{
    memset(table->slots, 0, table->set_count * WAYS * sizeof(struct guess_slot));
}

/* Brings the level to now. */
static void settle(const struct guess_table *table, struct guess_slot *slot, int64_t now_ms)
{
    const struct guess_limit *limit = &table->limits.kinds[slot->kind];
    const int64_t elapsed_ms = now_ms - slot->at_ms;
    if (elapsed_ms <= 0) {
        return;
    }
    const uint64_t gone = VY_MIN((uint64_t)elapsed_ms, limit->per_ms * 8ULL) * limit->count *
                          LEVEL_UNIT / VY_MAX(limit->per_ms, 1);
    slot->level = gone >= slot->level ? 0 : slot->level - (uint32_t)gone;
    slot->at_ms = now_ms;
}

static struct guess_slot *set_of(struct guess_table *table, uint64_t key)
{
    return &table->slots[(key & (table->set_count - 1)) * WAYS];
}

/* NULL: nothing is held against it. */
static struct guess_slot *find(struct guess_table *table, enum guess_kind kind, uint64_t key,
                               int64_t now_ms)
{
    if (key == 0 || table->limits.kinds[kind].count == 0) {
        return NULL;
    }
    struct guess_slot *set = set_of(table, key);
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].key == key) {
            settle(table, &set[i], now_ms);
            return &set[i];
        }
    }
    return NULL;
}

/* The slot of the key, else the least suspicious of its set, emptied. */
static struct guess_slot *take(struct guess_table *table, enum guess_kind kind, uint64_t key,
                               int64_t now_ms)
{
    struct guess_slot *slot = find(table, kind, key, now_ms);
    if (slot != NULL) {
        return slot;
    }
    struct guess_slot *set = set_of(table, key);
    slot = &set[0];
    for (unsigned i = 0; i < WAYS && slot->key != 0; i++) {
        if (set[i].key == 0) {
            slot = &set[i];
            break;
        }
        settle(table, &set[i], now_ms);
        slot = set[i].level < slot->level ? &set[i] : slot;
    }
    *slot = (struct guess_slot){.key = key, .at_ms = now_ms, .kind = (uint8_t)kind};
    return slot;
}

static uint32_t full_level(const struct guess_table *table, enum guess_kind kind)
{
    return table->limits.kinds[kind].count * LEVEL_UNIT;
}

static void add(const struct guess_table *table, struct guess_slot *slot, uint32_t count)
{
    const uint64_t max =
        full_level(table, (enum guess_kind)slot->kind) + (uint64_t)GUESS_STRIKES_MAX * LEVEL_UNIT;
    const uint64_t level = slot->level + (uint64_t)count * LEVEL_UNIT;
    slot->level = (uint32_t)VY_MIN(level, max);
}

static bool is_full(const struct guess_table *table, const struct guess_slot *slot)
{
    /* A whole guess must have come free: with less there is nothing to spend. */
    return slot != NULL &&
           slot->level + LEVEL_UNIT > full_level(table, (enum guess_kind)slot->kind);
}

/* ---- tries ---- */

bool guess_is_over(struct guess_table *table, const struct guess_who *who, int64_t now_ms)
{
    for (unsigned kind = 0; kind < GUESS_KIND_COUNT; kind++) {
        if (is_full(table, find(table, (enum guess_kind)kind, who->keys[kind], now_ms))) {
            return true;
        }
    }
    return false;
}

static uint32_t delay_of(const struct guess_table *table, const struct guess_slot *slot)
{
    static const uint32_t delays_ms[] = {2000, 4000, 8000, GUESS_DELAY_MS_MAX};
    const uint32_t full = full_level(table, (enum guess_kind)slot->kind);
    const uint32_t strikes = slot->level > full ? (slot->level - full - 1) / LEVEL_UNIT : 0;
    return delays_ms[VY_MIN(strikes, VY_COUNT_OF(delays_ms) - 1)];
}

/* Refused by this budget. Returns how late that is told. */
static uint32_t strike(const struct guess_table *table, struct guess_slot *slot)
{
    add(table, slot, 1);
    return delay_of(table, slot);
}

static bool is_lane_free(struct guess_slot *pair, enum guess_step step, int64_t now_ms)
{
    if (pair->has_lane && now_ms - pair->lane_ms < GUESS_LANE_MS) {
        return false;
    }
    if (step == GUESS_STEP_COMPARE) {
        pair->has_lane = true;
        pair->lane_ms = now_ms;
    }
    return true;
}

static bool is_known_heard(struct guess_table *table, const struct guess_who *who,
                           enum guess_step step, int64_t now_ms, uint32_t *out_delay_ms)
{
    struct guess_slot *pair = find(table, GUESS_PAIR, who->keys[GUESS_PAIR], now_ms);
    if (!is_full(table, pair) || is_lane_free(pair, step, now_ms)) {
        return true;
    }
    *out_delay_ms = strike(table, pair);
    return false;
}

bool guess_is_heard(struct guess_table *table, const struct guess_who *who, bool is_known,
                    enum guess_step step, int64_t now_ms, uint32_t *out_delay_ms)
{
    uint32_t delay_ms = 0;
    if (is_known) {
        return is_known_heard(table, who, step, now_ms, out_delay_ms);
    }
    for (unsigned kind = 0; kind < GUESS_KIND_COUNT; kind++) {
        struct guess_slot *slot = find(table, (enum guess_kind)kind, who->keys[kind], now_ms);
        const uint32_t late_ms = is_full(table, slot) ? strike(table, slot) : 0;
        delay_ms = VY_MAX(delay_ms, late_ms);
    }
    *out_delay_ms = delay_ms;
    return delay_ms == 0;
}

static bool is_repeated(struct guess_slot *pair, uint32_t secret)
{
    for (unsigned i = 0; secret != 0 && i < GUESS_SECRETS; i++) {
        if (pair->secrets[i] == secret) {
            return true;
        }
    }
    pair->secrets[pair->next_secret] = secret;
    pair->next_secret = (uint8_t)((pair->next_secret + 1U) % GUESS_SECRETS);
    return false;
}

void guess_charge(struct guess_table *table, const struct guess_who *who, bool is_known,
                  uint32_t secret, uint32_t count, int64_t now_ms)
{
    if (table->limits.kinds[GUESS_PAIR].count > 0 && who->keys[GUESS_PAIR] != 0) {
        struct guess_slot *pair = take(table, GUESS_PAIR, who->keys[GUESS_PAIR], now_ms);
        if (is_repeated(pair, secret)) {
            return;
        }
        add(table, pair, count);
    }
    for (unsigned kind = 0; kind < GUESS_PAIR && !is_known; kind++) {
        if (table->limits.kinds[kind].count > 0 && who->keys[kind] != 0) {
            add(table, take(table, (enum guess_kind)kind, who->keys[kind], now_ms), count);
        }
    }
}

void guess_forgive(struct guess_table *table, const struct guess_who *who)
{
    const uint64_t key = who->keys[GUESS_PAIR];
    struct guess_slot *set = key == 0 ? NULL : set_of(table, key);
    for (unsigned i = 0; set != NULL && i < WAYS; i++) {
        if (set[i].key == key) {
            set[i] = (struct guess_slot){.key = 0};
        }
    }
}
