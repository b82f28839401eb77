/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The budgets of guess.h in the way of a sign-in: asked before anything is compared, charged in the
 * same turn of the loop as the comparison, so that parallel tries overtake nothing.
 *
 * They are memory of the leader. A new leader fills them from the audit chain: what was refused in
 * the last hour, at most REBUILD_ROWS_MAX records. It leads meanwhile; so a change of leader gives
 * a guesser at most what he tries until that is read, and the refusals that were folded in the last
 * second of the old one (LOGIN_FOLD_MS).
 */
#include "meta/audit.h"
#include "meta/login_service.h"
#include "meta/names.h"
#include <stdlib.h>

#define REBUILD_ROWS_MAX 20000U
#define REBUILD_PAGE_ROWS 250U
#define REBUILD_ARENA_BYTES_MAX (8U * 1024 * 1024)
#define REBUILD_MS (60ULL * 60 * 1000) /* the longest that a budget remembers */

static int64_t now_of(const struct meta *meta)
{
    return (int64_t)vy_clock_mono_ms(meta->config.clock);
}

static bool has_budget(struct meta_call *call)
{
    return call->meta->guesses != NULL && !login_of(call)->is_exempt;
}

/* ---- who ---- */

void login_net_hash(const struct meta *meta, uint64_t account_id, struct vy_bytes ip_text,
                    uint8_t out[META_NET_BYTES])
{
    uint8_t text[8 + sizeof(struct guess_net)];
    uint8_t mac[32];
    const struct guess_net net = guess_net_of(ip_text);
    vy_put_be64(text, account_id);
    memcpy(text + 8, net.bytes, sizeof(net.bytes));
    cluster_key_mac(meta->config.key, "login-net", vy_bytes(text, sizeof(text)), mac);
    memcpy(out, mac, META_NET_BYTES);
}

/* Has the account signed in from this network before, as far as records go back? */
static struct vy_err is_known_pair(struct meta_call *call, bool *out)
{
    const struct login *login = login_of(call);
    const struct meta_view view = meta_call_view(call);
    const uint64_t now_ms = meta_now_ms(call->meta);
    uint8_t net[META_NET_BYTES];
    struct login_net_row row;
    bool is_found = false;
    *out = false;
    if (!login->is_known) {
        return vy_ok();
    }
    login_net_hash(call->meta, login->account.id, login->request->context->remote_ip, net);
    VY_TRY(login_net_get(&view, login->account.id, vy_bytes(net, sizeof(net)), &row, &is_found));
    *out = is_found && row.last_ok_ms != 0 && now_ms < row.last_ok_ms + META_LOGIN_NET_KEEP_MS;
    return vy_ok();
}

static struct guess_who who_of(struct meta_call *call)
{
    const struct login *login = login_of(call);
    return guess_who_of(call->meta->guesses, login->request->context->remote_ip,
                        login_name_for_hash(login));
}

/* ---- before comparing ---- */

static enum guess_step step_of(const struct login_request *request)
{
    return request->argon2_tag.len > 0 || request->scram_client_final.len > 0 ? GUESS_STEP_COMPARE
                                                                              : GUESS_STEP_BEGIN;
}

struct vy_err login_check_budget(struct meta_call *call, bool *is_limited)
{
    struct login *login = login_of(call);
    bool is_known = false;
    *is_limited = false;
    if (!has_budget(call)) {
        return vy_ok();
    }
    const struct guess_who who = who_of(call);
    const int64_t now_ms = now_of(call->meta);
    if (!guess_is_over(call->meta->guesses, &who, now_ms)) {
        return vy_ok();
    }
    VY_TRY(is_known_pair(call, &is_known));
    *is_limited = !guess_is_heard(call->meta->guesses, &who, is_known, step_of(login->request),
                                  now_ms, &login->retry_after_ms);
    return vy_ok();
}

/* ---- after it ---- */

/* What was wrong, to know it again: a program that repeats an old password guesses nothing. */
static uint32_t secret_mark(const struct meta *meta, const struct login_request *request)
{
    const struct vy_bytes secret =
        request->password_hash.len > 0 ? request->password_hash : request->argon2_tag;
    return secret.len == 0 ? 0 : (uint32_t)vy_siphash(meta->guess_seed, secret);
}

void login_charge_budget(struct meta_call *call, enum login_verdict verdict)
{
    const struct login *login = login_of(call);
    bool is_known = false;
    if (!has_budget(call) || !login_is_guess(verdict)) {
        return;
    }
    const struct vy_err err = is_known_pair(call, &is_known);
    vy_ignore(err, "then it pays like a stranger");
    const bool was_right = login->matched_id != 0; /* but not for this (APP-6) */
    if (is_known && was_right) {
        return;
    }
    const struct guess_who who = who_of(call);
    guess_charge(call->meta->guesses, &who, is_known, secret_mark(call->meta, login->request), 1,
                 now_of(call->meta));
}

void login_forgive_budget(struct meta_call *call)
{
    if (has_budget(call)) {
        const struct guess_who who = who_of(call);
        guess_forgive(call->meta->guesses, &who);
    }
}

/* ---- a new leader ---- */

struct rebuild_event {
    struct guess_who who;
    uint64_t time_ms; /* wall clock */
    uint32_t count;
};

struct rebuild {
    struct meta *meta;
    struct store_snapshot *snapshot;
    struct rebuild_event *events; /* owned; newest first */
    size_t count;
    size_t rows;
    uint64_t since_ms;
    uint64_t term;
    bool is_over;
    struct seal_key key; /* of the last account */
    uint64_t key_account_id;
    bool has_key;
};

/* False: erased, altered: nothing to count. */
static bool open_body(struct rebuild *rebuild, const struct meta_view *view,
                      const struct audit_row *row, struct login_body *out)
{
    bool is_found = false;
    if (!rebuild->has_key || rebuild->key_account_id != row->account_id) {
        const struct vy_err err = seal_key_find(rebuild->meta->config.key, view, row->account_id,
                                                &rebuild->key, &is_found);
        rebuild->has_key = !vy_failed(err) && (is_found || row->account_id == META_NO_ACCOUNT);
        rebuild->key_account_id = row->account_id;
    }
    return rebuild->has_key && !vy_failed(seal_open_message(&rebuild->key, view->arena, row->sealed,
                                                            &login_body_desc, out));
}

static void add_event(struct rebuild *rebuild, const struct meta_view *view,
                      const struct audit_row *row)
{
    struct login_body body;
    if (row->action != AUDIT_ACTION_LOGIN || !login_is_guess(row->verdict) ||
        !open_body(rebuild, view, row, &body) || body.is_trusted) {
        return;
    }
    struct vy_bytes name = body.account;
    if (name.len == 0 && vy_failed(names_canonical_address(view->arena, body.typed_name, &name))) {
        name = body.typed_name;
    }
    rebuild->events[rebuild->count++] =
        (struct rebuild_event){.who = guess_who_of(rebuild->meta->guesses, body.remote_ip, name),
                               .time_ms = row->time_ms,
                               .count = (uint32_t)VY_MIN(row->count, 1000U)};
}

/* One page back from `before`. */
static struct vy_err read_page(struct rebuild *rebuild, const struct meta_view *view,
                               uint64_t *before)
{
    const struct meta_key from = meta_key_u64(0);
    const struct meta_key to = meta_key_u64(*before);
    const struct table_page page = {.family = META_FAMILY_AUDIT,
                                    .from = meta_key_bytes(&from),
                                    .to = meta_key_bytes(&to),
                                    .is_reverse = true,
                                    .rows_max = REBUILD_PAGE_ROWS,
                                    .desc = &audit_row_desc};
    struct table_rows rows;
    VY_TRY(table_read_page(view, &page, &rows));
    const struct audit_row *records = rows.rows;
    for (size_t i = 0; i < rows.count && !rebuild->is_over; i++) {
        rebuild->is_over =
            records[i].time_ms < rebuild->since_ms || rebuild->rows == REBUILD_ROWS_MAX;
        if (!rebuild->is_over) {
            rebuild->rows++;
            add_event(rebuild, view, &records[i]);
            *before = records[i].sequence;
        }
    }
    rebuild->is_over |= !rows.is_more;
    return vy_ok();
}

static void rebuild_on_worker(void *arg)
{
    struct rebuild *rebuild = arg;
    uint64_t before = UINT64_MAX;
    struct vy_arena arena;
    vy_arena_init(&arena, REBUILD_ARENA_BYTES_MAX);
    const struct meta_view view = {.reader = store_snapshot_reader(rebuild->snapshot),
                                   .arena = &arena};
    while (!rebuild->is_over) {
        vy_arena_reset(&arena);
        if (vy_failed(read_page(rebuild, &view, &before))) {
            break; /* what was read counts */
        }
    }
    vy_wipe(&rebuild->key, sizeof(rebuild->key));
    vy_arena_deinit(&arena);
}

static void rebuild_free(struct rebuild *rebuild)
{
    store_snapshot_free(rebuild->snapshot);
    free(rebuild->events);
    free(rebuild);
}

static void rebuild_on_done(void *arg)
{
    struct rebuild *rebuild = arg;
    struct meta *meta = rebuild->meta;
    const int64_t now_ms = now_of(meta);
    const uint64_t wall_ms = meta_now_ms(meta);
    for (size_t i = rebuild->count; i > 0 && meta->term == rebuild->term; i--) {
        const struct rebuild_event *event = &rebuild->events[i - 1];
        const uint64_t age_ms = wall_ms > event->time_ms ? wall_ms - event->time_ms : 0;
        guess_charge(meta->guesses, &event->who, /* is_known = */ false, /* secret = */ 0,
                     event->count, now_ms - (int64_t)age_ms);
    }
    vy_log(meta->config.log, VY_LOG_INFO, "meta.guess.rebuilt",
           VY_U64("meta.records", rebuild->rows), VY_U64("meta.refusals", rebuild->count));
    rebuild_free(rebuild);
    meta->stats.calls_open--;
    meta_on_call_closed(meta);
}

void login_rebuild_budgets(struct meta *meta)
{
    const uint64_t wall_ms = meta_now_ms(meta);
    if (meta->guesses == NULL) {
        return;
    }
    guess_table_clear(meta->guesses);
    struct rebuild *rebuild = calloc(1, sizeof(*rebuild));
    struct vy_err err = vy_error(VY_CODE_NOMEM, "budgets of guessing");
    if (rebuild != NULL) {
        rebuild->meta = meta;
        rebuild->term = meta->term;
        rebuild->since_ms = wall_ms > REBUILD_MS ? wall_ms - REBUILD_MS : 0;
        rebuild->events = calloc(REBUILD_ROWS_MAX, sizeof(*rebuild->events));
        if (rebuild->events != NULL) {
            err = meta->group->ops->snapshot(meta->group, &rebuild->snapshot, NULL);
        }
        if (!vy_failed(err)) {
            err = vy_workers_submit(meta->config.workers, meta->config.loop, rebuild_on_worker,
                                    rebuild_on_done, rebuild);
        }
    }
    if (vy_failed(err)) {
        vy_log(meta->config.log, VY_LOG_WARN, "meta.guess.forgotten", VY_LOG_ERR(err));
        if (rebuild != NULL) {
            rebuild_free(rebuild);
        }
        return;
    }
    meta->stats.calls_open++;
}
