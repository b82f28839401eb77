/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/replica.h"

#include "replica/snapshot.h"
#include <stdlib.h>

#define ELECTION_TIMEOUT_MS 1000U
#define QUEUE_BYTES_MAX (16ULL * 1024 * 1024)
#define INFLIGHT_BYTES_MAX (4ULL * 1024 * 1024)
#define TAIL_BYTES_MAX (8ULL * 1024 * 1024)
#define LOG_KEEP_ENTRIES 4096U
#define LOG_KEEP_BYTES (8ULL * 1024 * 1024)
#define LOG_MAX_ENTRIES 1000000U
#define LOG_MAX_BYTES (256ULL * 1024 * 1024)
#define SNAPSHOT_BYTES_PER_S (32ULL * 1024 * 1024)
#define TIMER_PAST_MS 5U /* raft's time may lie in the past; then it must not spin */

uint64_t replica_now_ms(const struct replica *replica)
{
    return vy_clock_mono_ms(replica->config.clock);
}

bool replica_is_running(const struct replica *replica)
{
    return replica->life == REPLICA_LIFE_RUNNING && !atomic_load(&replica->is_dead);
}

/* ---- failing ---- */

/* P14: a member with a bad disk or a state machine at a loss is a dead one, never a talking one.
 * One line says what failed, where, and what to do; the exit code is that of a failure. */
void replica_fail(struct replica *replica, struct vy_err err, uint64_t index)
{
    if (atomic_exchange(&replica->is_dead, true)) {
        return;
    }
    char reason[STORE_REASON_BYTES];
    store_reason_copy(&replica->reason, err, reason);
    vy_log(&replica->log, VY_LOG_ERROR, "replica.member.failed", VY_CSTR("sys.path", replica->dir),
           VY_LOG_ERR(err), VY_CSTR("err.text", reason), VY_CSTR("err.next", store_next_step(err)),
           VY_U64("raft.index", index));
    if (replica->config.on_fail_stop == NULL) {
        _Exit(EXIT_FAILURE);
    }
    replica->config.on_fail_stop(replica->config.on_fail_stop_arg, err);
}

static void on_writer_fail(void *arg, struct vy_err err, uint64_t index)
{
    replica_fail(arg, err, index);
}

/* ---- what the core asks for ---- */

static struct vy_err on_persist(void *arg, uint64_t term, uint64_t voted_for)
{
    struct replica *replica = arg;
    replica->ticket_hard = writer_put_hard(replica->writer, term, voted_for);
    return replica->ticket_hard == 0 ? vy_error(VY_CODE_NOMEM, "term and vote") : vy_ok();
}

static uint64_t on_append(void *arg, uint64_t index, struct entry *const *entries, size_t count)
{
    struct replica *replica = arg;
    for (uint64_t i = index; i < log_tail_next(&replica->tail); i++) {
        struct entry *cut = log_tail_get(&replica->tail, i);
        if (cut != NULL && cut->flight != NULL) {
            queue_drop_flight(replica, cut->flight);
            cut->flight = NULL;
        }
    }
    if (vy_failed(log_tail_append(&replica->tail, index, entries, count))) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        lead_note_time(replica, entries[i]);
        cut_note_entry(replica, entries[i]);
        log_spans_append(&replica->spans, index + i, log_row_bytes(entries[i]));
    }
    return writer_append(replica->writer, index, entries, count, core_is_alone(replica->core));
}

static void on_send(void *arg, uint64_t to, const struct core_message *message)
{
    peer_send(arg, to, message);
}

static void on_behind(void *arg, uint64_t member)
{
    send_want(arg, member);
}

static const struct core_ops core_ops = {
    .persist = on_persist, .append = on_append, .send = on_send, .behind = on_behind};

/* ---- after events ---- */

static void on_settle(void *arg)
{
    struct replica *replica = arg;
    replica->is_settle_posted = false;
    if (!replica_is_running(replica)) {
        return;
    }
    cut_settle(replica);
    if (!replica_is_running(replica)) {
        return;
    }
    members_settle(replica);
    if (!replica_is_running(replica)) {
        return;
    }
    lead_settle(replica);
    read_progress(replica);
    queue_flush(replica);
}

void replica_want_settle(struct replica *replica)
{
    if (!replica->is_settle_posted && replica_is_running(replica)) {
        replica->is_settle_posted = true;
        vy_loop_post(replica->config.loop, on_settle, replica);
    }
}

static void arm_timer(struct replica *replica)
{
    const uint64_t now_ms = replica_now_ms(replica);
    const uint64_t due_ms = core_timeout_ms(replica->core);
    vy_timer_start(replica->timer, due_ms > now_ms ? due_ms - now_ms : TIMER_PAST_MS);
}

void replica_stepped(struct replica *replica, struct vy_err err)
{
    if (vy_failed(err)) {
        replica_fail(replica, err, 0);
        return;
    }
    writer_apply_to(replica->writer, core_applicable(replica->core));
    writer_kick(replica->writer);
    arm_timer(replica);
    replica_want_settle(replica);
}

static void on_timer(void *arg)
{
    struct replica *replica = arg;
    if (replica_is_running(replica)) {
        replica_stepped(replica, core_tick(replica->core, replica_now_ms(replica)));
    }
}

/* ---- news of the writer ---- */

static void on_finish(void *arg_replica)
{
    struct replica *replica = arg_replica;
    const vy_loop_fn done = replica->stop_fn;
    void *arg = replica->stop_arg;
    replica->is_finish_wanted = !snapshots_are_quiet(replica);
    if (replica->is_finish_wanted) {
        return; /* replica_finish_if_quiet */
    }
    queue_fail_flights(replica, vy_error(VY_CODE_UNKNOWN, "replica has ended"));
    replica->life = REPLICA_LIFE_STOPPED;
    done(arg);
}

void replica_finish_if_quiet(struct replica *replica)
{
    if (replica->is_finish_wanted && snapshots_are_quiet(replica)) {
        replica->is_finish_wanted = false;
        vy_loop_post(replica->config.loop, on_finish, replica);
    }
}

static void on_left(void *arg)
{
    swap_on_written(arg);
}

static void take_outcomes(struct replica *replica, struct vy_list *outcomes)
{
    for (struct vy_list *item; (item = vy_list_pop_front(outcomes)) != NULL;) {
        struct writer_outcome *outcome = VY_CONTAINER_OF(item, struct writer_outcome, link);
        queue_answer(replica, outcome);
        writer_outcome_free(outcome);
    }
}

static void take_mark(struct replica *replica, const struct writer_mark *mark)
{
    if (mark->index == 0) {
        return;
    }
    if (replica->scrub != NULL && replica_is_running(replica)) {
        scrub_on_mark(replica->scrub, mark);
        return;
    }
    store_snapshot_free(mark->snapshot);
    entry_unref(mark->entry);
}

static void on_writer_done(void *arg)
{
    struct replica *replica = arg;
    struct writer_news news;
    writer_take(replica->writer, &news);
    const bool is_applied = news.applied.index > replica->applied.index;
    const bool is_written = news.ticket > replica->ticket_done;
    replica->applied = news.applied;
    replica->written = news.stats;
    replica->ticket_done = news.ticket;
    if (replica_is_running(replica) && is_written) {
        peer_release(replica);
        replica_stepped(replica, core_written(replica->core, replica_now_ms(replica), news.ticket));
    }
    if (is_applied) {
        if (replica->config.fsm->ops->on_applied != NULL) {
            replica->config.fsm->ops->on_applied(replica->config.fsm, news.applied.index);
        }
        log_tail_trim(&replica->tail, news.applied.index, replica->config.tail_bytes_max);
        replica_want_settle(replica);
    }
    take_outcomes(replica, &news.outcomes);
    take_mark(replica, &news.mark);
    if (news.is_finished && replica->life == REPLICA_LIFE_STOPPING) {
        vy_loop_post(replica->config.loop, on_finish, replica); /* behind all other posts */
    } else if (news.is_finished && replica->life == REPLICA_LIFE_INSTALLING) {
        vy_loop_post(replica->config.loop, on_left, replica);
    }
}

/* ---- life ---- */

static struct vy_err copy_string(char **out, const char *text)
{
    if (text == NULL) {
        return vy_ok();
    }
    *out = strdup(text);
    return *out == NULL ? vy_error(VY_CODE_NOMEM, "config of a replica") : vy_ok();
}

static struct vy_err take_config(struct replica *replica, const struct replica_config *config)
{
    static const struct vy_log silent = {.sink = NULL};
    VY_ASSERT(config->dir != NULL && config->name != NULL && config->fsm != NULL &&
              config->loop != NULL && config->clock != NULL && config->rng != NULL);
    replica->config = *config;
    replica->chance = vy_rng_u64(config->rng);
    VY_TRY(copy_string(&replica->dir, config->dir));
    VY_TRY(copy_string(&replica->name, config->name));
    VY_TRY(copy_string(&replica->ticket_path, config->ticket_path));
    VY_TRY(copy_string(&replica->own_address, config->address));
    struct replica_config *own = &replica->config;
    own->election_timeout_ms =
        own->election_timeout_ms == 0 ? ELECTION_TIMEOUT_MS : own->election_timeout_ms;
    own->heartbeat_ms =
        own->heartbeat_ms == 0 ? VY_MAX(own->election_timeout_ms / 10, 1U) : own->heartbeat_ms;
    own->queue_bytes_max = own->queue_bytes_max == 0 ? QUEUE_BYTES_MAX : own->queue_bytes_max;
    own->inflight_bytes_max =
        own->inflight_bytes_max == 0 ? INFLIGHT_BYTES_MAX : own->inflight_bytes_max;
    own->tail_bytes_max = own->tail_bytes_max == 0 ? TAIL_BYTES_MAX : own->tail_bytes_max;
    own->log_keep_entries = own->log_keep_entries == 0 ? LOG_KEEP_ENTRIES : own->log_keep_entries;
    own->log_keep_bytes = own->log_keep_bytes == 0 ? LOG_KEEP_BYTES : own->log_keep_bytes;
    own->scrub_bytes_per_s =
        own->scrub_bytes_per_s == 0 ? SCRUB_RATE_BYTES : own->scrub_bytes_per_s;
    own->log_max_entries = own->log_max_entries == 0 ? LOG_MAX_ENTRIES : own->log_max_entries;
    own->log_max_bytes = own->log_max_bytes == 0 ? LOG_MAX_BYTES : own->log_max_bytes;
    own->snapshot_bytes_per_s =
        own->snapshot_bytes_per_s == 0 ? SNAPSHOT_BYTES_PER_S : own->snapshot_bytes_per_s;
    own->log_keep_entries = VY_MAX(VY_MIN(own->log_keep_entries, own->log_max_entries / 2), 1U);
    own->log_keep_bytes = VY_MAX(VY_MIN(own->log_keep_bytes, own->log_max_bytes / 2), 1U);
    log_spans_init(&replica->spans, own->log_keep_entries, own->log_keep_bytes,
                   own->log_max_entries, own->log_max_bytes);
    replica->log = config->log == NULL ? silent : *config->log;
    replica->log_context[0] = VY_CSTR("raft.group", replica->name);
    replica->log.context = replica->log_context;
    replica->log.context_count = 1;
    return vy_ok();
}

static struct vy_err make_core(struct replica *replica)
{
    const struct core_config config = {.id = replica->identity.member_id,
                                       .address = replica->address,
                                       .seed = (uint32_t)replica->chance,
                                       .election_timeout_ms = replica->config.election_timeout_ms,
                                       .heartbeat_ms = replica->config.heartbeat_ms,
                                       .ops = &core_ops,
                                       .arg = replica};
    return core_new(&config, &replica->core);
}

static struct vy_err make_writer(struct replica *replica)
{
    const struct writer_config config = {.store = replica->store,
                                         .fsm = replica->config.fsm,
                                         .clock = replica->config.clock,
                                         .loop = replica->config.loop,
                                         .mode = replica->config.writer_mode,
                                         .wake = replica->config.writer_wake,
                                         .wake_arg = replica->config.writer_wake_arg,
                                         .tail_bytes_max = replica->config.tail_bytes_max,
                                         .last_index = log_loaded_last(&replica->loaded),
                                         .applied = replica->applied,
                                         .stats = &replica->written,
                                         .on_done = on_writer_done,
                                         .on_fail = on_writer_fail,
                                         .arg = replica};
    return writer_new(&config, &replica->writer);
}

struct vy_err replica_start_scrub(struct replica *replica)
{
    return replica->config.scrub_period_ms == 0 || replica->scrub != NULL
               ? vy_ok()
               : scrub_new(replica, &replica->scrub);
}

static void on_scrub_left(void *arg)
{
    struct replica *replica = arg;
    scrub_free(replica->scrub);
    replica->scrub = NULL;
    replica->is_scrub_stopping = false;
    if (replica_is_running(replica) && replica->is_store_open) { /* the snapshot was given up */
        vy_ignore(replica_start_scrub(replica), "no memory: scrubs again after the next start");
    }
}

static void on_scrub_ended(void *arg)
{
    struct replica *replica = arg;
    vy_loop_post(replica->config.loop, on_scrub_left, replica); /* it is still at work */
}

bool replica_stop_scrub(struct replica *replica)
{
    if (replica->scrub != NULL && !replica->is_scrub_stopping) {
        replica->is_scrub_stopping = true;
        scrub_stop(replica->scrub, on_scrub_ended, replica);
    }
    return replica->scrub == NULL;
}

/* Over the store as it was opened. */
static struct vy_err make_engine(struct replica *replica)
{
    VY_TRY(make_core(replica));
    VY_TRY(make_writer(replica));
    log_tail_init(&replica->tail, log_loaded_last(&replica->loaded) + 1);
    replica->last_time_ms = replica->loaded.last_time_ms;
    replica->last_time_mono_ms = replica_now_ms(replica);
    replica_open_store(replica, true);
    return replica_start_scrub(replica);
}

static struct vy_err open_all(struct replica *replica, const struct replica_config *config)
{
    VY_TRY(take_config(replica, config));
    VY_TRY(queue_init(replica));
    VY_TRY(read_init(replica));
    VY_TRY(care_init(replica));
    replica->timer = vy_timer_new(replica->config.loop, on_timer, replica);
    if (replica->timer == NULL) {
        return vy_error(VY_CODE_NOMEM, "timer");
    }
    VY_TRY(replica_open_identity(replica));
    if (replica->config.free_floor_bytes == 0) {
        replica->config.free_floor_bytes = store_floor_bytes(replica->store);
    }
    VY_TRY(snapshots_init(replica));
    return make_engine(replica);
}

static void log_refused(struct replica *replica, struct vy_err err)
{
    char reason[STORE_REASON_BYTES];
    store_reason_copy(&replica->reason, err, reason);
    vy_log(&replica->log, VY_LOG_ERROR, "replica.open.refused",
           VY_CSTR("sys.path", replica->config.dir), VY_LOG_ERR(err), VY_CSTR("err.text", reason),
           VY_CSTR("err.next", store_next_step(err)));
}

struct vy_err replica_open(const struct replica_config *config, struct replica **out)
{
    struct replica *replica = calloc(1, sizeof(*replica));
    if (replica == NULL) {
        return vy_error(VY_CODE_NOMEM, "replica");
    }
    atomic_init(&replica->is_dead, false);
    store_reason_init(&replica->reason);
    pthread_mutex_init(&replica->store_lock, NULL);
    vy_list_init(&replica->outbox);
    vy_list_init(&replica->queue.waiting);
    vy_list_init(&replica->queue.flights);
    vy_list_init(&replica->reads.waiting);
    vy_list_init(&replica->reads.asked);
    vy_list_init(&replica->reads.ready);
    const struct vy_err err = open_all(replica, config);
    if (vy_failed(err)) {
        log_refused(replica, err);
        replica_free(replica);
        return err;
    }
    *out = replica;
    return vy_ok();
}

static void on_lost(void *arg, uint64_t member_id)
{
    struct replica *replica = arg;
    if (replica_is_running(replica) &&
        core_leader_lost(replica->core, replica_now_ms(replica), member_id)) {
        vy_log(&replica->log, VY_LOG_INFO, "replica.leader.lost", VY_HEX("raft.peer", member_id));
        arm_timer(replica);
    }
}

static void listen_for_losses(struct replica *replica)
{
    if (replica->config.transport != NULL) {
        replica->config.transport->lost_arg = replica;
        replica->config.transport->lost = on_lost;
    }
}

static struct vy_err start_engine(struct replica *replica)
{
    const struct log_base *base = &replica->loaded.base;
    const struct core_state state = {.term = replica->loaded.term,
                                     .voted_for = replica->loaded.voted_for,
                                     .rows = replica->loaded.rows,
                                     .row_count = replica->loaded.row_count,
                                     .base_index = base->index,
                                     .base_term = base->term,
                                     .base_members_index = base->members_index,
                                     .base_members = base->members == NULL ? vy_bytes(NULL, 0)
                                                                           : base->members->body};
    VY_TRY(writer_start(replica->writer));
    replica->life = REPLICA_LIFE_RUNNING;
    listen_for_losses(replica);
    care_start(replica);
    const struct vy_err err = core_start(replica->core, replica_now_ms(replica), &state);
    log_loaded_deinit(&replica->loaded);
    peer_sync(replica);
    members_settle(replica);
    replica_stepped(replica, err);
    return vy_ok();
}

struct vy_err replica_start(struct replica *replica)
{
    VY_ASSERT(replica->life == REPLICA_LIFE_OPEN);
    VY_TRY(start_engine(replica));
    snapshots_want_tick(replica);
    return vy_ok();
}

/* ---- a snapshot takes the place of the store ---- */

static void stop_timers(struct replica *replica)
{
    vy_timer_stop(replica->timer);
    care_stop(replica);
    vy_timer_stop(replica->queue.timer);
    vy_timer_stop(replica->reads.timer);
    snapshots_stop(replica);
}

void replica_leave(struct replica *replica)
{
    const struct vy_err err = vy_error(VY_CODE_UNAVAILABLE, "the database is being replaced");
    VY_ASSERT(replica->life == REPLICA_LIFE_RUNNING && !replica->is_leader);
    replica->life = REPLICA_LIFE_INSTALLING;
    stop_timers(replica);
    queue_fail_waiting(replica, err);
    queue_fail_flights(replica, vy_error(VY_CODE_UNKNOWN, err.what));
    read_fail_all(replica, err);
    writer_finish(replica->writer);
}

static void take_fresh(struct replica *replica, struct replica *fresh)
{
    core_free(replica->core);
    log_tail_deinit(&replica->tail);
    peer_drop_outbox(replica);
    free(replica->address);
    core_members_free(replica->known, replica->known_count);
    replica->core = NULL;
    replica->store = fresh->store;
    replica->address = fresh->address;
    replica->identity = fresh->identity;
    replica->lives = fresh->lives;
    replica->loaded = fresh->loaded;
    memcpy(replica->known, fresh->known, sizeof(replica->known));
    replica->known_count = fresh->known_count;
    replica->spans = fresh->spans;
    replica->applied = fresh->applied;
    replica->ticket_done = 0;
    replica->ticket_hard = 0;
    replica->cut_ticket = 0;
    replica->care.reserve.is_held = false; /* it went with the old directory */
    replica->members_version = UINT64_MAX; /* of another core: all are told again */
}

void replica_return(struct replica *replica, struct replica *fresh, struct vy_err err)
{
    replica->life = REPLICA_LIFE_RUNNING;
    replica->rebuild = (struct replica_rebuild){.is_wanted = false};
    if (fresh != NULL) {
        take_fresh(replica, fresh);
        err = make_engine(replica);
    }
    if (!vy_failed(err) && replica->config.fsm->ops->on_installed != NULL) {
        replica->config.fsm->ops->on_installed(replica->config.fsm, replica->applied.index);
    }
    if (!vy_failed(err)) {
        err = start_engine(replica);
    }
    if (vy_failed(err)) {
        replica_fail(replica, err, 0);
    }
    if (replica->is_stop_wanted) {
        replica->is_stop_wanted = false;
        replica_stop(replica, replica->stop_fn, replica->stop_arg);
    }
}

/* ---- ending ---- */

static void on_scrub_stopped(void *arg)
{
    struct replica *replica = arg;
    if (replica->writer == NULL) {
        vy_loop_post(replica->config.loop, on_finish, replica); /* its store could not be opened */
        return;
    }
    writer_finish(replica->writer);
}

/* In a turn of its own, so that nothing is answered inside replica_stop. */
static void on_stop(void *arg)
{
    struct replica *replica = arg;
    const struct vy_err err = vy_error(VY_CODE_NOT_LEADER, "replica ends");
    queue_fail_waiting(replica, err);
    read_fail_all(replica, err);
    members_fail_change(replica, vy_error(VY_CODE_UNKNOWN, "replica ends"));
    if (replica->transfer_to != 0) {
        replica->transfer_to = 0;
        replica->transfer_fn(replica->transfer_arg, err);
    }
    if (replica->scrub == NULL) {
        on_scrub_stopped(replica);
        return;
    }
    scrub_stop(replica->scrub, on_scrub_stopped, replica);
}

void replica_stop(struct replica *replica, vy_loop_fn done, void *arg)
{
    VY_ASSERT(replica->life != REPLICA_LIFE_STOPPING && replica->life != REPLICA_LIFE_STOPPED);
    const bool was_running = replica->life == REPLICA_LIFE_RUNNING;
    replica->stop_fn = done;
    replica->stop_arg = arg;
    replica->is_stop_wanted = replica->life == REPLICA_LIFE_INSTALLING;
    if (replica->is_stop_wanted) {
        return;
    }
    replica->life = REPLICA_LIFE_STOPPING;
    if (replica->config.transport != NULL) {
        replica->config.transport->lost = NULL;
    }
    stop_timers(replica);
    if (!was_running) {
        vy_loop_post(replica->config.loop, on_finish, replica);
        return;
    }
    vy_loop_post(replica->config.loop, on_stop, replica);
}

void replica_free(struct replica *replica)
{
    if (replica == NULL) {
        return;
    }
    VY_ASSERT(replica->life == REPLICA_LIFE_OPEN || replica->life == REPLICA_LIFE_STOPPED);
    scrub_free(replica->scrub);
    snapshots_deinit(replica);
    writer_free(replica->writer);
    core_free(replica->core);
    log_tail_deinit(&replica->tail);
    log_loaded_deinit(&replica->loaded);
    peer_deinit(replica);
    read_deinit(replica);
    queue_deinit(replica);
    vy_timer_free(replica->timer);
    care_deinit(replica);
    store_close(replica->store);
    store_reason_deinit(&replica->reason);
    core_members_free(replica->known, replica->known_count);
    core_members_free(replica->guests, replica->guest_count);
    free(replica->own_address);
    free(replica->address);
    free(replica->ticket_path);
    free(replica->name);
    free(replica->dir);
    pthread_mutex_destroy(&replica->store_lock);
    free(replica);
}

bool replica_pump(struct replica *replica)
{
    VY_ASSERT(replica->config.writer_mode == REPLICA_WRITER_MANUAL);
    return replica->writer != NULL && writer_pump(replica->writer);
}
