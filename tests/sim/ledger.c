/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/ledger.h"

#include "base/bytes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const ledger_flags[LEDGER_FLAG_COUNT] = {"\\Seen", "\\Flagged", "\\Answered"};
const char *const ledger_boxes[LEDGER_BOX_COUNT] = {"INBOX", "Copies"};

struct ledger *ledger_new(struct sim_world *world)
{
    struct ledger *ledger = sim_alloc(sizeof(*ledger));
    ledger->world = world;
    ledger->next_token = 1;
    for (unsigned i = 0; i < LEDGER_ACCOUNTS; i++) {
        struct ledger_account *account = &ledger->accounts[i];
        account->number = i;
    }
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    free(ledger);
}

/* ---- reading answers ---- */

uint64_t ledger_number(const char *text, const char **end)
{
    uint64_t value = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        value = value * 10 + (uint64_t)(*text - '0');
    }
    if (end != NULL) {
        *end = text;
    }
    return value;
}

static uint64_t number_behind(const char *text, const char *end, const char *word)
{
    const char *at = text == NULL ? NULL : strstr(text, word);
    return at == NULL || (end != NULL && at >= end) ? 0 : ledger_number(at + strlen(word), NULL);
}

/* One "* n FETCH (...)" with our header in it. */
static void parse_row(const char *text, const char *end, struct ledger_row *row)
{
    const char *flags = strstr(text, "FLAGS (");
    const char *flags_end = flags == NULL || flags >= end ? NULL : strchr(flags, ')');
    *row = (struct ledger_row){.token = (uint32_t)number_behind(text, end, "X-Sim: "),
                               .uid = number_behind(text, end, "UID "),
                               .modseq = number_behind(text, end, "MODSEQ (")};
    for (unsigned i = 0; flags_end != NULL && i < LEDGER_FLAG_COUNT; i++) {
        const char *at = strstr(flags, ledger_flags[i]);
        row->flags[i] = at != NULL && at < flags_end;
    }
}

void ledger_parse(struct ledger *ledger, const char *select, const char *fetch,
                  struct ledger_listing *out)
{
    out->uidvalidity = number_behind(select, NULL, "[UIDVALIDITY ");
    out->uidnext = number_behind(select, NULL, "[UIDNEXT ");
    out->modseq = number_behind(select, NULL, "[HIGHESTMODSEQ ");
    out->count = 0;
    SIM_CHECK(ledger->world, out->uidvalidity > 0 && out->uidnext > 0 && out->modseq > 0,
              "an answer to SELECT without UIDVALIDITY, UIDNEXT or HIGHESTMODSEQ: %s", select);
    const char *at = strstr(fetch, " FETCH (");
    while (at != NULL) {
        const char *next = strstr(at + 1, " FETCH (");
        const char *end = next == NULL ? at + strlen(at) : next;
        struct ledger_row row;
        parse_row(at, end, &row);
        if (row.token != 0) { /* else news of flags, told on the way */
            SIM_CHECK(ledger->world, out->count < LEDGER_TOKENS_MAX, "more rows than messages");
            out->rows[out->count++] = row;
        }
        at = next;
    }
}

/* ---- holding a listing against the promises ---- */

static const char *where(const struct ledger_listing *listing)
{
    static char text[64];
    (void)snprintf(text, sizeof(text), "%s of user%u", ledger_boxes[listing->box],
                   listing->account);
    return text;
}

/* Promised before the listing began. */
static bool was(const struct ledger_listing *listing, uint64_t moment)
{
    return moment != 0 && moment <= listing->began_at;
}

static void check_order(struct ledger *ledger, const struct ledger_listing *listing)
{
    struct ledger_mailbox *box = &ledger->accounts[listing->account].boxes[listing->box];
    uint64_t last = 0;
    SIM_CHECK(ledger->world, box->uidvalidity == 0 || box->uidvalidity == listing->uidvalidity,
              "%s: UIDVALIDITY changed from %llu to %llu", where(listing),
              (unsigned long long)box->uidvalidity, (unsigned long long)listing->uidvalidity);
    box->uidvalidity = listing->uidvalidity;
    for (size_t i = 0; i < listing->count; i++) {
        const struct ledger_row *row = &listing->rows[i];
        SIM_CHECK(ledger->world, row->uid > last, "%s: UID %llu follows %llu", where(listing),
                  (unsigned long long)row->uid, (unsigned long long)last);
        last = row->uid;
    }
}

static void check_row(struct ledger *ledger, const struct ledger_listing *listing,
                      const struct ledger_row *row)
{
    struct ledger_account *account = &ledger->accounts[listing->account];
    struct sim_world *world = ledger->world;
    SIM_CHECK(world, row->token < ledger->next_token, "%s: token %u was never sent", where(listing),
              row->token);
    struct ledger_message *message = &account->messages[row->token];
    if (listing->box == LEDGER_COPIES) {
        return; /* counted by check_copies */
    }
    SIM_CHECK(world, message->may_exist, "%s: token %u was refused, and is there", where(listing),
              row->token);
    SIM_CHECK(world, !was(listing, message->removed_at), "%s: token %u is back", where(listing),
              row->token);
    SIM_CHECK(world, message->uid == 0 || message->uid == row->uid,
              "%s: token %u has UID %llu, and had %llu (or is there twice)", where(listing),
              row->token, (unsigned long long)row->uid, (unsigned long long)message->uid);
    message->uid = row->uid;
    SIM_CHECK(world, row->modseq >= message->modseq || !was(listing, message->modseq_at),
              "%s: MODSEQ of token %u fell from %llu to %llu", where(listing), row->token,
              (unsigned long long)message->modseq, (unsigned long long)row->modseq);
    if (row->modseq > message->modseq) {
        message->modseq = row->modseq;
        message->modseq_at = ledger_now(ledger);
    }
    for (unsigned i = 0; i < LEDGER_FLAG_COUNT; i++) {
        SIM_CHECK(world, row->flags[i] || !was(listing, message->flagged_at[i]),
                  "%s: token %u lost %s", where(listing), row->token, ledger_flags[i]);
        SIM_CHECK(world, !row->flags[i] || message->is_flag_tried[i],
                  "%s: token %u has %s from nowhere", where(listing), row->token, ledger_flags[i]);
    }
}

static unsigned count_token(const struct ledger_listing *listing, uint32_t token)
{
    unsigned count = 0;
    for (size_t i = 0; i < listing->count; i++) {
        count += listing->rows[i].token == token;
    }
    return count;
}

static void check_inbox_token(struct ledger *ledger, const struct ledger_listing *listing,
                              uint32_t token)
{
    struct ledger_message *message = &ledger->accounts[listing->account].messages[token];
    const unsigned count = count_token(listing, token);
    message->inbox_count = count;
    SIM_CHECK(ledger->world, count <= 1, "%s: token %u is there %u times", where(listing), token,
              count);
    SIM_CHECK(ledger->world,
              count == 1 || !was(listing, message->stored_at) || message->removal_tried_at != 0,
              "%s: token %u was acknowledged and is lost", where(listing), token);
}

static void check_copies(struct ledger *ledger, const struct ledger_listing *listing,
                         uint32_t token, const unsigned *acked_before)
{
    struct ledger_message *message = &ledger->accounts[listing->account].messages[token];
    const unsigned count = count_token(listing, token);
    message->copies_count = count;
    SIM_CHECK(ledger->world, count <= message->copies_tried,
              "%s: token %u was copied %u times and is there %u times", where(listing), token,
              message->copies_tried, count);
    SIM_CHECK(ledger->world, count >= acked_before[token],
              "%s: %u copies of token %u were acknowledged, %u are there", where(listing),
              acked_before[token], token, count);
}

void ledger_check(struct ledger *ledger, const struct ledger_listing *listing)
{
    struct ledger_mailbox *box = &ledger->accounts[listing->account].boxes[listing->box];
    check_order(ledger, listing);
    for (size_t i = 0; i < listing->count; i++) {
        check_row(ledger, listing, &listing->rows[i]);
    }
    for (uint32_t token = 1; token < ledger->next_token; token++) {
        if (listing->box == LEDGER_INBOX) {
            check_inbox_token(ledger, listing, token);
        } else {
            check_copies(ledger, listing, token, listing->copies_before);
        }
    }
    SIM_CHECK(ledger->world, listing->uidnext > listing->uid_max_before,
              "%s: UIDNEXT is %llu, UID %llu was given before", where(listing),
              (unsigned long long)listing->uidnext, (unsigned long long)listing->uid_max_before);
    SIM_CHECK(ledger->world, listing->modseq >= listing->modseq_before,
              "%s: HIGHESTMODSEQ fell from %llu to %llu", where(listing),
              (unsigned long long)listing->modseq_before, (unsigned long long)listing->modseq);
    box->modseq_max = VY_MAX(box->modseq_max, listing->modseq);
    box->uid_max = VY_MAX(box->uid_max, listing->uidnext - 1);
}

void ledger_check_moves(struct ledger *ledger, unsigned number)
{
    for (uint32_t token = 1; token < ledger->next_token; token++) {
        const struct ledger_message *message = &ledger->accounts[number].messages[token];
        const bool is_moved =
            message->stored_at != 0 && message->inbox_count == 0 && !message->is_expunge_tried;
        SIM_CHECK(ledger->world, !is_moved || message->copies_count > 0,
                  "token %u of user%u was moved to nowhere", token, number);
    }
}

/* Longer than a group holds a copy before it asks, and takes to be answered. */
#define FENCE_MATTERS_MS 30000U

void ledger_note_fence(struct ledger *ledger, unsigned number)
{
    struct ledger_account *account = &ledger->accounts[number];
    SIM_CHECK(ledger->world, account->fence_count < LEDGER_FENCES_MAX, "more fences than room");
    account->fenced_ms[account->fence_count++] = ledger->world->now_ms;
}

/* Fenced while a group may have held its copy. */
static bool was_fenced(const struct ledger_account *account, const struct ledger_delivery *delivery)
{
    for (size_t i = 0; i < account->fence_count; i++) {
        if (account->fenced_ms[i] + FENCE_MATTERS_MS >= delivery->began_ms &&
            account->fenced_ms[i] <= delivery->ended_ms + FENCE_MATTERS_MS) {
            return true;
        }
    }
    return false;
}

static void check_delivery(struct ledger *ledger, uint32_t token)
{
    const struct ledger_delivery *delivery = &ledger->deliveries[token];
    unsigned with = LEDGER_ACCOUNTS;
    unsigned without = LEDGER_ACCOUNTS;
    for (unsigned i = 0; i < LEDGER_ACCOUNTS; i++) {
        const struct ledger_message *message = &ledger->accounts[i].messages[token];
        if (((delivery->recipients >> i) & 1U) == 0 || was_fenced(&ledger->accounts[i], delivery)) {
            continue;
        }
        if (message->inbox_count > 0 || message->removal_tried_at != 0) {
            with = i;
        } else {
            without = i;
        }
    }
    SIM_CHECK(ledger->world, with == LEDGER_ACCOUNTS || without == LEDGER_ACCOUNTS,
              "token %u was sent to user%u and user%u, and only user%u has it", token, with,
              without, with);
}

void ledger_check_whole(struct ledger *ledger)
{
    for (uint32_t token = 1; token < ledger->next_token; token++) {
        check_delivery(ledger, token);
    }
}

void ledger_begin(struct ledger *ledger, unsigned account, enum ledger_box box,
                  struct ledger_listing *out)
{
    const struct ledger_account *from = &ledger->accounts[account];
    out->account = account;
    out->box = box;
    out->began_at = ledger_now(ledger);
    out->uid_max_before = from->boxes[box].uid_max;
    out->modseq_before = from->boxes[box].modseq_max;
    for (uint32_t token = 0; token < ledger->next_token; token++) {
        out->copies_before[token] = from->messages[token].copies_acked;
    }
    for (uint32_t token = ledger->next_token; token < LEDGER_TOKENS_MAX; token++) {
        out->copies_before[token] = 0;
    }
}

void ledger_check_uid(struct ledger *ledger, unsigned account, enum ledger_box which,
                      uint64_t uidvalidity, uint64_t uid, uint64_t uid_max_before)
{
    struct ledger_mailbox *box = &ledger->accounts[account].boxes[which];
    SIM_CHECK(ledger->world, uidvalidity > 0 && uid > 0, "user%u: no UID was told", account);
    SIM_CHECK(ledger->world, box->uidvalidity == 0 || box->uidvalidity == uidvalidity,
              "%s of user%u: UIDVALIDITY changed from %llu to %llu", ledger_boxes[which], account,
              (unsigned long long)box->uidvalidity, (unsigned long long)uidvalidity);
    SIM_CHECK(ledger->world, uid > uid_max_before,
              "%s of user%u: UID %llu is given when %llu was given before", ledger_boxes[which],
              account, (unsigned long long)uid, (unsigned long long)uid_max_before);
    box->uidvalidity = uidvalidity;
    box->uid_max = VY_MAX(box->uid_max, uid);
}
