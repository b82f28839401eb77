/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Budgets against guessing (P18, A2 to A4): how many wrong passwords an address, the network around
 * it, a name and the two together may spend. They live in the memory of meta's leader, which
 * decides every sign-in of every frontend; so they are shared by all, and exact.
 *
 * Each budget is a bucket that fills by one with a wrong password and empties evenly. While one is
 * full nothing is compared any more: the answer is "limited" and late, by 2, 4, 8, 15 s. Names
 * without an account have budgets like others, so that they tell nothing.
 *
 * A pair of name and network that has signed in before is on a path of its own: what others spend
 * does not touch it, and even behind its own budget one try in GUESS_LANE_MS is heard. The same
 * wrong password again is no new guess: a program with an old password locks nobody out.
 *
 * Of fixed size; where there is no room the least suspicious goes. Knows neither records nor links.
 */
#include "base/bytes.h"
#include "base/err.h"
#include "base/net.h"

enum guess_kind {
    GUESS_NARROW, /* an IPv4 address, or an IPv6 /64 */
    GUESS_WIDE,   /* an IPv4 /24, or an IPv6 /48 */
    GUESS_NAME,   /* over all networks */
    GUESS_PAIR,   /* a name in one GUESS_NET */
    GUESS_KIND_COUNT
};

struct guess_limit {
    uint32_t count;  /* wrong passwords at once; 0: no limit */
    uint32_t per_ms; /* in which an empty bucket comes of a full one */
};
struct guess_limits {
    struct guess_limit kinds[GUESS_KIND_COUNT];
};

#define GUESS_LANE_MS 15000U      /* one try of a known pair, whatever it has spent */
#define GUESS_STRIKES_MAX 4U      /* refused tries count too, up to here: the delay rises */
#define GUESS_DELAY_MS_MAX 15000U /* of one answer */
#define GUESS_SECRETS 4U          /* wrong passwords remembered by a pair */

/* The network that known devices are remembered by, and that records are gathered by (LOGIN-4): an
 * IPv4 /24 or an IPv6 /64. Zeros when the text is no address. */
struct guess_net {
    uint8_t bytes[16];
};
struct guess_net guess_net_of(struct vy_bytes ip_text);
/* "192.0.2.0/24", "2001:db8::/64"; "unknown" for zeros. */
#define GUESS_NET_TEXT_BYTES 64U
void guess_net_text(const struct guess_net *net, char out[GUESS_NET_TEXT_BYTES]);

/* Who tries; keys are hashes under the table's secret, 0 where there is nothing to count. */
struct guess_who {
    uint64_t keys[GUESS_KIND_COUNT];
};

struct guess_table;
/* @slots  rounded up to a power of two; about 64 bytes each. @errors NOMEM */
VY_CHECKED struct vy_err guess_table_new(const struct guess_limits *limits, uint64_t seed,
                                         size_t slots, struct guess_table **out);
void guess_table_free(struct guess_table *table); /* NULL is allowed */
void guess_table_clear(struct guess_table *table);

/* name: canonical, or as typed when it is no address; the same bytes for the same person. */
struct guess_who guess_who_of(const struct guess_table *table, struct vy_bytes ip_text,
                              struct vy_bytes name);
/* Is any budget of theirs used up? Then the caller finds out whether the pair is known, and asks
 * guess_is_heard. now_ms: of one clock that does not go back, any start. */
bool guess_is_over(struct guess_table *table, const struct guess_who *who, int64_t now_ms);

enum guess_step {
    GUESS_STEP_BEGIN,  /* of a sign-in in two calls, or of one: nothing is used up yet */
    GUESS_STEP_COMPARE /* the call that compares: takes the turn of GUESS_LANE_MS */
};
/* May this try go on? When not it is counted, and *out_delay_ms is how late its answer comes. */
bool guess_is_heard(struct guess_table *table, const struct guess_who *who, bool is_known,
                    enum guess_step step, int64_t now_ms, uint32_t *out_delay_ms);
/* A wrong password. secret: a hash of it, to know it again; 0: not to be known. `count` of them,
 * when they were folded. */
void guess_charge(struct guess_table *table, const struct guess_who *who, bool is_known,
                  uint32_t secret, uint32_t count, int64_t now_ms);
/* The right one: the pair begins anew. Networks and names do not: a guesser may own one account. */
void guess_forgive(struct guess_table *table, const struct guess_who *who);
