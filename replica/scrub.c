/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/scrub.h"

#include "base/codec.h"
#include "base/workers.h"
#include "replica/replica_private.h"
#include "replica/scrub_scan.h"
#include <stdlib.h>

#define TICK_MS 500U
#define DONE_MS 50U           /* behind a segment: the others are about as fast */
#define ANSWERS_MS_MAX 30000U /* a member that is silent for longer is left out of this segment */

enum scrub_answer_kind {
    SCRUB_ANSWER_NONE, /* not yet */
    SCRUB_ANSWER_SUM,
    SCRUB_ANSWER_DAMAGED, /* the segment cannot be read there */
    SCRUB_ANSWER_UNKNOWN  /* it came to the group, or started, behind the mark */
};
struct scrub_answer {
    uint64_t member;
    enum scrub_answer_kind kind;
    uint64_t sum;
};

struct scrub {
    struct replica *replica;    /* borrowed */
    struct vy_workers *workers; /* owned */
    struct vy_timer *timer;     /* owned */
    struct scrub_scan scan;     /* of the newest mark */
    bool is_reading;            /* a slice is with the worker */
    vy_loop_fn stop_fn;         /* NULL: goes on */
    void *stop_arg;

    /* As leader. */
    bool is_proposed; /* a mark is on its way */
    bool is_compared; /* the newest segment */
    uint64_t asked_since_ms;
    struct scrub_answer answers[REPLICA_MEMBERS_MAX]; /* the first is its own */
    size_t answer_count;
};

/* ---- marks ---- */

void scrub_encode(const struct scrub_mark *mark, struct vy_buf *out)
{
    vy_buf_append_byte(out, SCRUB_VERSION);
    vy_buf_append_byte(out, (uint8_t)mark->family);
    vy_buf_append_be64(out, mark->time_ms);
    vy_buf_append(out, mark->key);
}

bool scrub_decode(struct vy_bytes body, struct scrub_mark *out)
{
    if (body.len < SCRUB_MARK_BYTES_MIN || body.data[0] != SCRUB_VERSION ||
        body.len > SCRUB_MARK_BYTES_MIN + STORE_KEY_BYTES_MAX + 1) {
        return false;
    }
    *out = (struct scrub_mark){.family = body.data[1],
                               .time_ms = vy_get_be64(body.data + 2),
                               .key = vy_bytes_from(body, SCRUB_MARK_BYTES_MIN)};
    return out->family == SCRUB_END || out->family >= REPLICA_FAMILY_IDEM;
}

static void propose(struct scrub *scrub, const struct scrub_mark *mark)
{
    struct replica *replica = scrub->replica;
    struct entry *entry = NULL;
    struct vy_buf body;
    vy_buf_init(&body, SCRUB_MARK_BYTES_MIN + STORE_KEY_BYTES_MAX + 1);
    scrub_encode(mark, &body);
    struct vy_err err = vy_buf_error(&body);
    if (!vy_failed(err)) {
        err = entry_new_raw(core_term(replica->core), ENTRY_BARRIER, vy_buf_bytes(&body), &entry);
    }
    if (!vy_failed(err)) {
        const struct vy_err submitted =
            core_submit(replica->core, replica_now_ms(replica), &entry, 1);
        scrub->is_proposed = !vy_failed(submitted);
        if (submitted.code != VY_CODE_NOT_LEADER) {
            replica_stepped(replica, submitted);
        }
    }
    entry_unref(entry);
    vy_buf_deinit(&body);
}

static size_t family_end(const struct scrub *scrub)
{
    return REPLICA_FAMILY_FIRST + scrub->replica->config.fsm->family_count;
}

/* Behind the segment that was read last. */
static void propose_next(struct scrub *scrub)
{
    const struct scrub_scan *scan = &scrub->scan;
    struct scrub_mark mark = {.family = scan->family,
                              .time_ms = vy_clock_wall_ms(scrub->replica->config.clock),
                              .key = vy_bytes(scan->key, scan->key_bytes)};
    if (scan->is_family_end) {
        mark.family++;
        mark.key = vy_bytes(NULL, 0);
    }
    if (mark.family >= family_end(scrub)) {
        mark.family = SCRUB_END;
    }
    propose(scrub, &mark);
}

/* The round goes on where the last mark stands, or begins when its time has come. */
static void propose_first(struct scrub *scrub)
{
    const struct scrub_scan *scan = &scrub->scan;
    const uint64_t now_ms = vy_clock_wall_ms(scrub->replica->config.clock);
    struct scrub_mark mark = {
        .family = scan->family, .time_ms = now_ms, .key = vy_bytes(scan->key, scan->key_bytes)};
    if (scan->family == SCRUB_END || scan->family >= family_end(scrub)) {
        const uint64_t period_ms = scrub->replica->config.scrub_period_ms;
        if (now_ms >= scan->time_ms && now_ms - scan->time_ms < period_ms) {
            return;
        }
        mark.family = REPLICA_FAMILY_IDEM;
        mark.key = vy_bytes(NULL, 0);
    }
    propose(scrub, &mark);
}

/* ---- comparing, as leader ---- */

static enum scrub_answer_kind own_kind(const struct scrub *scrub)
{
    if (!scrub->scan.is_done) {
        return SCRUB_ANSWER_NONE;
    }
    return vy_failed(scrub->scan.err) ? SCRUB_ANSWER_DAMAGED : SCRUB_ANSWER_SUM;
}

static void begin_asking(struct scrub *scrub)
{
    const struct replica *replica = scrub->replica;
    struct replica_member members[REPLICA_MEMBERS_MAX];
    const size_t count = core_members(replica->core, members, REPLICA_MEMBERS_MAX);
    scrub->asked_since_ms = replica_now_ms(replica);
    scrub->answers[0] = (struct scrub_answer){
        .member = replica->identity.member_id, .kind = own_kind(scrub), .sum = scrub->scan.sum};
    scrub->answer_count = 1;
    for (size_t i = 0; i < VY_MIN(count, REPLICA_MEMBERS_MAX); i++) {
        if (members[i].id != replica->identity.member_id &&
            scrub->answer_count < VY_COUNT_OF(scrub->answers)) {
            scrub->answers[scrub->answer_count++] = (struct scrub_answer){.member = members[i].id};
        }
    }
}

/* False: all have answered. */
static bool ask_silent(struct scrub *scrub)
{
    bool is_silent = false;
    const struct core_message message = {.kind = CORE_SCRUB,
                                         .term = core_term(scrub->replica->core),
                                         .last_index = scrub->scan.index};
    for (size_t i = 1; i < scrub->answer_count; i++) {
        if (scrub->answers[i].kind == SCRUB_ANSWER_NONE) {
            peer_send(scrub->replica, scrub->answers[i].member, &message);
            is_silent = true;
        }
    }
    return is_silent;
}

static size_t count_equal(const struct scrub *scrub, uint64_t sum)
{
    size_t count = 0;
    for (size_t i = 0; i < scrub->answer_count; i++) {
        count += scrub->answers[i].kind == SCRUB_ANSWER_SUM && scrub->answers[i].sum == sum ? 1 : 0;
    }
    return count;
}

/* The sum that more than half of the members have; false: none. */
static bool find_majority(const struct scrub *scrub, uint64_t *sum)
{
    for (size_t i = 0; i < scrub->answer_count; i++) {
        if (scrub->answers[i].kind == SCRUB_ANSWER_SUM &&
            count_equal(scrub, scrub->answers[i].sum) > scrub->answer_count / 2) {
            *sum = scrub->answers[i].sum;
            return true;
        }
    }
    return false;
}

static void tell_difference(struct scrub *scrub, const struct scrub_answer *answer,
                            bool has_majority)
{
    struct replica *replica = scrub->replica;
    const struct scrub_scan *scan = &scrub->scan;
    replica->counts.scrub_problems++;
    vy_log(&replica->log, VY_LOG_ERROR, "replica.scrub.differs",
           VY_HEX("raft.peer", answer->member), VY_U64("raft.index", scan->index),
           VY_U64("scrub.family", scan->family));
    if (has_majority) {
        rebuild_order(replica, answer->member);
    }
}

static void compare(struct scrub *scrub)
{
    uint64_t sum = 0;
    const bool has_majority = find_majority(scrub, &sum);
    for (size_t i = 0; i < scrub->answer_count; i++) {
        const struct scrub_answer *answer = &scrub->answers[i];
        const bool differs =
            answer->kind == SCRUB_ANSWER_SUM &&
            (has_majority ? answer->sum != sum : answer->sum != scrub->answers[0].sum);
        if (differs || answer->kind == SCRUB_ANSWER_DAMAGED) {
            tell_difference(scrub, answer, has_majority);
        }
    }
}

static void finish_round(struct scrub *scrub)
{
    struct replica *replica = scrub->replica;
    replica->counts.scrub_rounds++;
    vy_log(&replica->log, VY_LOG_INFO, "replica.scrub.ended",
           VY_U64("raft.index", scrub->scan.index),
           VY_U64("scrub.rounds", replica->counts.scrub_rounds),
           VY_U64("scrub.problems", replica->counts.scrub_problems));
}

static void lead(struct scrub *scrub)
{
    const struct replica *replica = scrub->replica;
    if (scrub->is_proposed || !replica_is_leader(replica) || scrub->is_reading) {
        return;
    }
    if (!scrub->scan.is_done) {
        if (scrub->scan.snapshot == NULL) {
            propose_first(scrub); /* led by another, or in another life, until now */
        }
        return;
    }
    if (scrub->answer_count == 0) {
        begin_asking(scrub);
    }
    if (ask_silent(scrub) && replica_now_ms(replica) - scrub->asked_since_ms < ANSWERS_MS_MAX) {
        return;
    }
    if (!scrub->is_compared) {
        scrub->is_compared = true;
        compare(scrub);
    }
    propose_next(scrub);
}

/* ---- reading ---- */

static void on_slice_work(void *arg)
{
    struct scrub *scrub = arg;
    scrub_scan_slice(&scrub->scan);
}

/* So that the rate holds on average. */
static uint64_t pause_ms(const struct scrub *scrub)
{
    const uint64_t rate = scrub->replica->config.scrub_bytes_per_s;
    return VY_MIN(scrub->scan.slice_bytes * 1000 / rate, 1000U);
}

static void end_scan(struct scrub *scrub)
{
    struct replica *replica = scrub->replica;
    const struct scrub_scan *scan = &scrub->scan;
    scrub_scan_close(&scrub->scan);
    replica->counts.scrub_bytes += scan->bytes;
    if (vy_failed(scan->err)) {
        replica->counts.scrub_problems++;
        vy_log(&replica->log, VY_LOG_ERROR, "replica.scrub.damaged", VY_LOG_ERR(scan->err),
               VY_U64("raft.index", scan->index), VY_U64("scrub.family", scan->family));
        rebuild_note(replica);
    }
}

static void on_slice_done(void *arg)
{
    struct scrub *scrub = arg;
    scrub->is_reading = false;
    if (scrub->stop_fn != NULL) {
        const vy_loop_fn stop_fn = scrub->stop_fn;
        scrub->stop_fn = NULL;
        scrub_scan_close(&scrub->scan);
        stop_fn(scrub->stop_arg);
        return;
    }
    if (scrub->scan.is_done) {
        end_scan(scrub);
    }
    vy_timer_start(scrub->timer, scrub->scan.is_done ? DONE_MS : pause_ms(scrub));
}

static void read_slice(struct scrub *scrub)
{
    scrub->is_reading = !vy_failed(vy_workers_submit(scrub->workers, scrub->replica->config.loop,
                                                     on_slice_work, on_slice_done, scrub));
}

static void on_timer(void *arg)
{
    struct scrub *scrub = arg;
    if (!replica_is_running(scrub->replica)) {
        return;
    }
    if (scrub->scan.snapshot != NULL && !scrub->scan.is_done && !scrub->is_reading) {
        read_slice(scrub);
    }
    lead(scrub);
    if (!scrub->is_reading) {
        vy_timer_start(scrub->timer, TICK_MS);
    }
}

static void forget_answers(struct scrub *scrub)
{
    scrub->is_proposed = false;
    scrub->is_compared = false;
    scrub->answer_count = 0;
}

/* False: of a newer version, that has tables which this one does not have. */
static bool is_known(const struct scrub *scrub, const struct scrub_mark *mark)
{
    return mark->family == SCRUB_END || mark->family < family_end(scrub);
}

/* A mark that comes in the midst of another segment wins, for the leader went on; but while a slice
 * is with the worker it is left out. */
void scrub_on_mark(struct scrub *scrub, const struct writer_mark *taken)
{
    struct scrub_mark mark;
    forget_answers(scrub);
    if (scrub->is_reading || !scrub_decode(taken->entry->body, &mark) || !is_known(scrub, &mark)) {
        store_snapshot_free(taken->snapshot);
        entry_unref(taken->entry);
        return;
    }
    scrub_scan_close(&scrub->scan);
    scrub_scan_begin(&scrub->scan, &mark, taken);
    entry_unref(taken->entry);
    if (mark.family == SCRUB_END) {
        scrub_scan_close(&scrub->scan);
        finish_round(scrub);
    }
    vy_timer_start(scrub->timer, 0);
}

/* ---- messages ---- */

static void answer(struct scrub *scrub, uint64_t to, const struct core_message *message)
{
    const struct scrub_scan *scan = &scrub->scan;
    struct core_message result = {.kind = CORE_SCRUB_RESULT,
                                  .term = message->term,
                                  .last_index = message->last_index,
                                  .rejected = SCRUB_ANSWER_UNKNOWN};
    if (scan->index == message->last_index && scan->is_done) {
        result.rejected = own_kind(scrub);
        result.round = scan->sum;
    } else if (scan->snapshot != NULL || scrub->replica->applied.index < message->last_index) {
        return; /* still at it: the leader asks again */
    }
    peer_send(scrub->replica, to, &result);
}

static void take_answer(struct scrub *scrub, uint64_t from, const struct core_message *message)
{
    if (message->last_index != scrub->scan.index || message->rejected > SCRUB_ANSWER_UNKNOWN) {
        return;
    }
    for (size_t i = 1; i < scrub->answer_count; i++) {
        struct scrub_answer *answer = &scrub->answers[i];
        if (answer->member == from && answer->kind == SCRUB_ANSWER_NONE) {
            answer->kind = (enum scrub_answer_kind)message->rejected;
            answer->sum = message->round;
        }
    }
}

void scrub_on_message(struct scrub *scrub, uint64_t from, const struct core_message *message)
{
    if (message->term != core_term(scrub->replica->core)) {
        return;
    }
    if (message->kind == CORE_SCRUB) {
        answer(scrub, from, message);
    } else if (replica_is_leader(scrub->replica)) {
        take_answer(scrub, from, message);
    }
}

/* ---- life ---- */

void scrub_lead_changed(struct scrub *scrub)
{
    forget_answers(scrub);
}

void scrub_stop(struct scrub *scrub, vy_loop_fn done, void *arg)
{
    vy_timer_stop(scrub->timer);
    if (scrub->is_reading) {
        scrub->stop_fn = done;
        scrub->stop_arg = arg;
        return;
    }
    scrub_scan_close(&scrub->scan);
    done(arg);
}

struct vy_err scrub_new(struct replica *replica, struct scrub **out)
{
    struct scrub *scrub = calloc(1, sizeof(*scrub));
    if (scrub == NULL) {
        return vy_error(VY_CODE_NOMEM, "scrub");
    }
    scrub->replica = replica;
    scrub->timer = vy_timer_new(replica->config.loop, on_timer, scrub);
    struct vy_err err = scrub->timer == NULL ? vy_error(VY_CODE_NOMEM, "timer") : vy_ok();
    const bool has_threads = replica->config.writer_mode == REPLICA_WRITER_THREAD;
    if (!vy_failed(err)) {
        err = vy_workers_new(has_threads ? 1 : 0, 1, &scrub->workers);
    }
    if (!vy_failed(err)) {
        err = scrub_scan_load(&scrub->scan, store_newest(replica->store));
    }
    if (vy_failed(err)) {
        scrub_free(scrub);
        return err;
    }
    vy_timer_start(scrub->timer, TICK_MS);
    *out = scrub;
    return vy_ok();
}

void scrub_free(struct scrub *scrub)
{
    if (scrub == NULL) {
        return;
    }
    VY_ASSERT(!scrub->is_reading);
    scrub_scan_close(&scrub->scan);
    vy_workers_free(scrub->workers);
    if (scrub->timer != NULL) {
        vy_timer_free(scrub->timer);
    }
    free(scrub);
}
