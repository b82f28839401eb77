/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/patrol.h"

#include "base/codec.h"
#include "base/workers.h"
#include "replica/patrol_scan.h"
#include "replica/replica_private.h"
#include <stdlib.h>

#define TICK_MS 500U
#define DONE_MS 50U           /* behind a segment: the others are about as fast */
#define ANSWERS_MS_MAX 30000U /* a member that is silent for longer is left out of this segment */

enum patrol_answer_kind {
    PATROL_ANSWER_NONE, /* not yet */
    PATROL_ANSWER_SUM,
    PATROL_ANSWER_DAMAGED, /* the segment cannot be read there */
    PATROL_ANSWER_UNKNOWN  /* it came to the group, or started, behind the mark */
};
struct patrol_answer {
    uint64_t member;
    enum patrol_answer_kind kind;
    uint64_t sum;
};

struct patrol {
    struct replica *replica;    /* borrowed */
    struct vy_workers *workers; /* owned */
    struct vy_timer *timer;     /* owned */
    struct patrol_scan scan;    /* of the newest mark */
    bool is_reading;            /* a slice is with the worker */
    vy_loop_fn stop_fn;         /* NULL: goes on */
    void *stop_arg;

    /* As leader. */
    bool is_proposed; /* a mark is on its way */
    bool is_compared; /* the newest segment */
    uint64_t asked_since_ms;
    struct patrol_answer answers[REPLICA_MEMBERS_MAX]; /* the first is its own */
    size_t answer_count;
};

/* ---- marks ---- */

void patrol_encode(const struct patrol_mark *mark, struct vy_buf *out)
{
    vy_buf_append_byte(out, PATROL_VERSION);
    vy_buf_append_byte(out, (uint8_t)mark->family);
    vy_buf_append_be64(out, mark->time_ms);
    vy_buf_append(out, mark->key);
}

bool patrol_decode(struct vy_bytes body, struct patrol_mark *out)
{
    if (body.len < PATROL_MARK_BYTES_MIN || body.data[0] != PATROL_VERSION ||
        body.len > PATROL_MARK_BYTES_MIN + STORE_KEY_BYTES_MAX + 1) {
        return false;
    }
    *out = (struct patrol_mark){.family = body.data[1],
                                .time_ms = vy_get_be64(body.data + 2),
                                .key = vy_bytes_from(body, PATROL_MARK_BYTES_MIN)};
    return out->family == PATROL_END || out->family >= REPLICA_FAMILY_IDEM;
}

static void propose(struct patrol *patrol, const struct patrol_mark *mark)
{
    struct replica *replica = patrol->replica;
    struct entry *entry = NULL;
    struct vy_buf body;
    vy_buf_init(&body, PATROL_MARK_BYTES_MIN + STORE_KEY_BYTES_MAX + 1);
    patrol_encode(mark, &body);
    struct vy_err err = vy_buf_error(&body);
    if (!vy_failed(err)) {
        err = entry_new_raw(core_term(replica->core), ENTRY_BARRIER, vy_buf_bytes(&body), &entry);
    }
    if (!vy_failed(err)) {
        const struct vy_err submitted =
            core_submit(replica->core, replica_now_ms(replica), &entry, 1);
        patrol->is_proposed = !vy_failed(submitted);
        if (submitted.code != VY_CODE_NOT_LEADER) {
            replica_stepped(replica, submitted);
        }
    }
    entry_unref(entry);
    vy_buf_deinit(&body);
}

static size_t family_end(const struct patrol *patrol)
{
    return REPLICA_FAMILY_FIRST + patrol->replica->config.fsm->family_count;
}

/* Behind the segment that was read last. */
static void propose_next(struct patrol *patrol)
{
    const struct patrol_scan *scan = &patrol->scan;
    struct patrol_mark mark = {.family = scan->family,
                               .time_ms = vy_clock_wall_ms(patrol->replica->config.clock),
                               .key = vy_bytes(scan->key, scan->key_bytes)};
    if (scan->is_family_end) {
        mark.family++;
        mark.key = vy_bytes(NULL, 0);
    }
    if (mark.family >= family_end(patrol)) {
        mark.family = PATROL_END;
    }
    propose(patrol, &mark);
}

/* The round goes on where the last mark stands, or begins when its time has come. */
static void propose_first(struct patrol *patrol)
{
    const struct patrol_scan *scan = &patrol->scan;
    const uint64_t now_ms = vy_clock_wall_ms(patrol->replica->config.clock);
    struct patrol_mark mark = {
        .family = scan->family, .time_ms = now_ms, .key = vy_bytes(scan->key, scan->key_bytes)};
    if (scan->family == PATROL_END || scan->family >= family_end(patrol)) {
        const uint64_t period_ms = patrol->replica->config.patrol_period_ms;
        if (now_ms >= scan->time_ms && now_ms - scan->time_ms < period_ms) {
            return;
        }
        mark.family = REPLICA_FAMILY_IDEM;
        mark.key = vy_bytes(NULL, 0);
    }
    propose(patrol, &mark);
}

/* ---- comparing, as leader ---- */

static enum patrol_answer_kind own_kind(const struct patrol *patrol)
{
    if (!patrol->scan.is_done) {
        return PATROL_ANSWER_NONE;
    }
    return vy_failed(patrol->scan.err) ? PATROL_ANSWER_DAMAGED : PATROL_ANSWER_SUM;
}

static void begin_asking(struct patrol *patrol)
{
    const struct replica *replica = patrol->replica;
    struct replica_member members[REPLICA_MEMBERS_MAX];
    const size_t count = core_members(replica->core, members, REPLICA_MEMBERS_MAX);
    patrol->asked_since_ms = replica_now_ms(replica);
    patrol->answers[0] = (struct patrol_answer){
        .member = replica->identity.member_id, .kind = own_kind(patrol), .sum = patrol->scan.sum};
    patrol->answer_count = 1;
    for (size_t i = 0; i < VY_MIN(count, REPLICA_MEMBERS_MAX); i++) {
        if (members[i].id != replica->identity.member_id &&
            patrol->answer_count < VY_COUNT_OF(patrol->answers)) {
            patrol->answers[patrol->answer_count++] =
                (struct patrol_answer){.member = members[i].id};
        }
    }
}

/* False: all have answered. */
static bool ask_silent(struct patrol *patrol)
{
    bool is_silent = false;
    const struct core_message message = {.kind = CORE_PATROL,
                                         .term = core_term(patrol->replica->core),
                                         .last_index = patrol->scan.index};
    for (size_t i = 1; i < patrol->answer_count; i++) {
        if (patrol->answers[i].kind == PATROL_ANSWER_NONE) {
            peer_send(patrol->replica, patrol->answers[i].member, &message);
            is_silent = true;
        }
    }
    return is_silent;
}

static size_t count_equal(const struct patrol *patrol, uint64_t sum)
{
    size_t count = 0;
    for (size_t i = 0; i < patrol->answer_count; i++) {
        count +=
            patrol->answers[i].kind == PATROL_ANSWER_SUM && patrol->answers[i].sum == sum ? 1 : 0;
    }
    return count;
}

/* The sum that more than half of the members have; false: none. */
static bool find_majority(const struct patrol *patrol, uint64_t *sum)
{
    for (size_t i = 0; i < patrol->answer_count; i++) {
        if (patrol->answers[i].kind == PATROL_ANSWER_SUM &&
            count_equal(patrol, patrol->answers[i].sum) > patrol->answer_count / 2) {
            *sum = patrol->answers[i].sum;
            return true;
        }
    }
    return false;
}

static void tell_difference(struct patrol *patrol, const struct patrol_answer *answer,
                            bool has_majority)
{
    struct replica *replica = patrol->replica;
    const struct patrol_scan *scan = &patrol->scan;
    replica->counts.patrol_problems++;
    vy_log(&replica->log, VY_LOG_ERROR, "replica.patrol.differs",
           VY_HEX("raft.peer", answer->member), VY_U64("raft.index", scan->index),
           VY_U64("patrol.family", scan->family));
    if (has_majority) {
        rebuild_order(replica, answer->member);
    }
}

static void compare(struct patrol *patrol)
{
    uint64_t sum = 0;
    const bool has_majority = find_majority(patrol, &sum);
    for (size_t i = 0; i < patrol->answer_count; i++) {
        const struct patrol_answer *answer = &patrol->answers[i];
        const bool differs =
            answer->kind == PATROL_ANSWER_SUM &&
            (has_majority ? answer->sum != sum : answer->sum != patrol->answers[0].sum);
        if (differs || answer->kind == PATROL_ANSWER_DAMAGED) {
            tell_difference(patrol, answer, has_majority);
        }
    }
}

static void finish_round(struct patrol *patrol)
{
    struct replica *replica = patrol->replica;
    replica->counts.patrol_rounds++;
    vy_log(&replica->log, VY_LOG_INFO, "replica.patrol.ended",
           VY_U64("raft.index", patrol->scan.index),
           VY_U64("patrol.rounds", replica->counts.patrol_rounds),
           VY_U64("patrol.problems", replica->counts.patrol_problems));
}

static void lead(struct patrol *patrol)
{
    const struct replica *replica = patrol->replica;
    if (patrol->is_proposed || !replica_is_leader(replica) || patrol->is_reading) {
        return;
    }
    if (!patrol->scan.is_done) {
        if (patrol->scan.snapshot == NULL) {
            propose_first(patrol); /* led by another, or in another life, until now */
        }
        return;
    }
    if (patrol->answer_count == 0) {
        begin_asking(patrol);
    }
    if (ask_silent(patrol) && replica_now_ms(replica) - patrol->asked_since_ms < ANSWERS_MS_MAX) {
        return;
    }
    if (!patrol->is_compared) {
        patrol->is_compared = true;
        compare(patrol);
    }
    propose_next(patrol);
}

/* ---- reading ---- */

static void on_slice_work(void *arg)
{
    struct patrol *patrol = arg;
    patrol_scan_slice(&patrol->scan);
}

/* So that the rate holds on average. */
static uint64_t pause_ms(const struct patrol *patrol)
{
    const uint64_t rate = patrol->replica->config.patrol_bytes_per_s;
    return VY_MIN(patrol->scan.slice_bytes * 1000 / rate, 1000U);
}

static void end_scan(struct patrol *patrol)
{
    struct replica *replica = patrol->replica;
    const struct patrol_scan *scan = &patrol->scan;
    patrol_scan_close(&patrol->scan);
    replica->counts.patrol_bytes += scan->bytes;
    if (vy_failed(scan->err)) {
        replica->counts.patrol_problems++;
        vy_log(&replica->log, VY_LOG_ERROR, "replica.patrol.damaged", VY_LOG_ERR(scan->err),
               VY_U64("raft.index", scan->index), VY_U64("patrol.family", scan->family));
        rebuild_note(replica);
    }
}

static void on_slice_done(void *arg)
{
    struct patrol *patrol = arg;
    patrol->is_reading = false;
    if (patrol->stop_fn != NULL) {
        const vy_loop_fn stop_fn = patrol->stop_fn;
        patrol->stop_fn = NULL;
        patrol_scan_close(&patrol->scan);
        stop_fn(patrol->stop_arg);
        return;
    }
    if (patrol->scan.is_done) {
        end_scan(patrol);
    }
    vy_timer_start(patrol->timer, patrol->scan.is_done ? DONE_MS : pause_ms(patrol));
}

static void read_slice(struct patrol *patrol)
{
    patrol->is_reading = !vy_failed(vy_workers_submit(patrol->workers, patrol->replica->config.loop,
                                                      on_slice_work, on_slice_done, patrol));
}

static void on_timer(void *arg)
{
    struct patrol *patrol = arg;
    if (!replica_is_running(patrol->replica)) {
        return;
    }
    if (patrol->scan.snapshot != NULL && !patrol->scan.is_done && !patrol->is_reading) {
        read_slice(patrol);
    }
    lead(patrol);
    rebuild_tick(patrol->replica);
    if (!patrol->is_reading) {
        vy_timer_start(patrol->timer, TICK_MS);
    }
}

static void forget_answers(struct patrol *patrol)
{
    patrol->is_proposed = false;
    patrol->is_compared = false;
    patrol->answer_count = 0;
}

/* A mark that comes while another segment is still being read here wins: the leader went on. */
void patrol_on_mark(struct patrol *patrol, const struct writer_mark *taken)
{
    struct patrol_mark mark;
    forget_answers(patrol);
    if (patrol->is_reading || !patrol_decode(taken->entry->body, &mark)) {
        store_snapshot_free(taken->snapshot);
        entry_unref(taken->entry);
        return;
    }
    patrol_scan_close(&patrol->scan);
    patrol_scan_begin(&patrol->scan, &mark, taken);
    entry_unref(taken->entry);
    if (mark.family == PATROL_END) {
        patrol_scan_close(&patrol->scan);
        finish_round(patrol);
    }
    vy_timer_start(patrol->timer, 0);
}

/* ---- messages ---- */

static void answer(struct patrol *patrol, uint64_t to, const struct core_message *message)
{
    const struct patrol_scan *scan = &patrol->scan;
    struct core_message result = {.kind = CORE_PATROL_RESULT,
                                  .term = message->term,
                                  .last_index = message->last_index,
                                  .rejected = PATROL_ANSWER_UNKNOWN};
    if (scan->index == message->last_index && scan->is_done) {
        result.rejected = own_kind(patrol);
        result.round = scan->sum;
    } else if (scan->snapshot != NULL || patrol->replica->applied.index < message->last_index) {
        return; /* still at it: the leader asks again */
    }
    peer_send(patrol->replica, to, &result);
}

static void take_answer(struct patrol *patrol, uint64_t from, const struct core_message *message)
{
    if (message->last_index != patrol->scan.index || message->rejected > PATROL_ANSWER_UNKNOWN) {
        return;
    }
    for (size_t i = 1; i < patrol->answer_count; i++) {
        struct patrol_answer *answer = &patrol->answers[i];
        if (answer->member == from && answer->kind == PATROL_ANSWER_NONE) {
            answer->kind = (enum patrol_answer_kind)message->rejected;
            answer->sum = message->round;
        }
    }
}

void patrol_on_message(struct patrol *patrol, uint64_t from, const struct core_message *message)
{
    if (message->term != core_term(patrol->replica->core)) {
        return;
    }
    if (message->kind == CORE_PATROL) {
        answer(patrol, from, message);
    } else if (replica_is_leader(patrol->replica)) {
        take_answer(patrol, from, message);
    }
}

/* ---- life ---- */

void patrol_lead_changed(struct patrol *patrol)
{
    forget_answers(patrol);
}

void patrol_stop(struct patrol *patrol, vy_loop_fn done, void *arg)
{
    vy_timer_stop(patrol->timer);
    if (patrol->is_reading) {
        patrol->stop_fn = done;
        patrol->stop_arg = arg;
        return;
    }
    patrol_scan_close(&patrol->scan);
    done(arg);
}

struct vy_err patrol_new(struct replica *replica, struct patrol **out)
{
    struct patrol *patrol = calloc(1, sizeof(*patrol));
    if (patrol == NULL) {
        return vy_error(VY_CODE_NOMEM, "patrol");
    }
    patrol->replica = replica;
    patrol->timer = vy_timer_new(replica->config.loop, on_timer, patrol);
    struct vy_err err = patrol->timer == NULL ? vy_error(VY_CODE_NOMEM, "timer") : vy_ok();
    const bool has_threads = replica->config.writer_mode == REPLICA_WRITER_THREAD;
    if (!vy_failed(err)) {
        err = vy_workers_new(has_threads ? 1 : 0, 1, &patrol->workers);
    }
    if (!vy_failed(err)) {
        err = patrol_scan_load(&patrol->scan, store_newest(replica->store));
    }
    if (vy_failed(err)) {
        patrol_free(patrol);
        return err;
    }
    vy_timer_start(patrol->timer, TICK_MS);
    *out = patrol;
    return vy_ok();
}

void patrol_free(struct patrol *patrol)
{
    if (patrol == NULL) {
        return;
    }
    VY_ASSERT(!patrol->is_reading);
    patrol_scan_close(&patrol->scan);
    vy_workers_free(patrol->workers);
    if (patrol->timer != NULL) {
        vy_timer_free(patrol->timer);
    }
    free(patrol);
}
