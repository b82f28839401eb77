/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/log_replica.h"
#include "base/assert.h"
#include "replica/idem.h"
#include <pthread.h>
#include <stdlib.h>

/* Bodies are large, are read seldom and die together: they live in blob files, as every payload
 * does that comes beside its command. */
#define BODY_BLOB_BYTES_MIN REPLICA_PAYLOAD_BYTES_MIN
#define ACCOUNT_PREFIX_BYTES 10U /* slot and account: what scans stay within */
/* Events are hints: when the loop stands still for so many of them, it is told that some are lost.
 */
#define EVENTS_PENDING_MAX 262144U

_Static_assert(SHARD_COMMAND_BYTES_MAX <= REPLICA_COMMAND_BYTES_MAX,
               "the log takes every command that the service makes");

struct event_list {
    struct fsm_event *items; /* owned */
    size_t count;
    size_t capacity;
};

struct log_replica {
    struct replica_fsm fsm; /* the engine's view */
    struct shard_log base;  /* the service's view */
    struct log_replica_config config;
    struct store_family families[SHARD_FAMILY_COUNT];
    struct fsm *machine;     /* owned; the writer's */
    struct event_list fresh; /* the writer's: not durable yet */
    bool fresh_lost;
    bool fence_lost;

    pthread_mutex_t lock; /* of ready */
    struct event_list ready;
    bool ready_lost;

    struct replica *replica;   /* borrowed */
    struct expeller *expeller; /* owned; of a replica that is attached */
    struct vy_loop *loop;      /* borrowed */
    struct log_listener listener;
    void *listener_arg;
};

/* ---- events: writer -> durable -> loop ---- */

static bool push_event(struct event_list *list, const struct fsm_event *event)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        struct fsm_event *items = realloc(list->items, capacity * sizeof(*items));
        if (items == NULL) {
            return false;
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *event;
    return true;
}

/* A fence must arrive: sessions and keys depend on it. */
static bool may_push(const struct event_list *list, const struct fsm_event *event)
{
    return event->kind == FSM_EVENT_FENCE || list->count < EVENTS_PENDING_MAX;
}

static void on_machine_event(void *arg, const struct fsm_event *event)
{
    struct log_replica *log = arg;

    if (may_push(&log->fresh, event) && push_event(&log->fresh, event)) {
        return;
    }
    log->fresh_lost = true;
    log->fence_lost = log->fence_lost || event->kind == FSM_EVENT_FENCE;
}

static void fsm_on_written(struct replica_fsm *fsm, uint64_t index)
{
    struct log_replica *log = VY_CONTAINER_OF(fsm, struct log_replica, fsm);

    (void)index;
    if (log->fresh.count == 0 && !log->fresh_lost) {
        return;
    }
    pthread_mutex_lock(&log->lock);
    log->ready_lost = log->ready_lost || log->fresh_lost;
    for (size_t i = 0; i < log->fresh.count; i++) {
        if (!may_push(&log->ready, &log->fresh.items[i]) ||
            !push_event(&log->ready, &log->fresh.items[i])) {
            log->ready_lost = true;
        }
    }
    pthread_mutex_unlock(&log->lock);
    log->fresh.count = 0;
    log->fresh_lost = false;
}

static void fsm_on_applied(struct replica_fsm *fsm, uint64_t index)
{
    struct log_replica *log = VY_CONTAINER_OF(fsm, struct log_replica, fsm);
    struct event_list events;

    (void)index;
    pthread_mutex_lock(&log->lock);
    events = log->ready;
    const bool lost = log->ready_lost;
    log->ready = (struct event_list){.items = NULL};
    log->ready_lost = false;
    pthread_mutex_unlock(&log->lock);
    if (lost && log->listener.on_events_lost != NULL) {
        log->listener.on_events_lost(log->listener_arg);
    }
    for (size_t i = 0; i < events.count && log->listener.on_event != NULL; i++) {
        log->listener.on_event(log->listener_arg, &events.items[i]);
    }
    free(events.items);
}

/* ---- the state machine, as the engine sees it ---- */

static struct vy_err fsm_apply(struct replica_fsm *fsm, struct txn *txn,
                               const struct replica_entry_meta *meta, struct vy_bytes command,
                               struct vy_buf *result)
{
    struct log_replica *log = VY_CONTAINER_OF(fsm, struct log_replica, fsm);

    VY_TRY(fsm_apply_command(log->machine, txn, meta->time_ms, command, result));
    return log->fence_lost ? vy_error(VY_CODE_NOMEM, "keep fence for the loop") : vy_ok();
}

static void fsm_on_leader_change(struct replica_fsm *fsm, bool is_leader, uint64_t term)
{
    struct log_replica *log = VY_CONTAINER_OF(fsm, struct log_replica, fsm);

    vy_log(log->config.log, VY_LOG_INFO, is_leader ? "shard.leader.began" : "shard.leader.ended",
           VY_U64("raft.term", term));
    if (log->listener.on_leader != NULL) {
        log->listener.on_leader(log->listener_arg, is_leader);
    }
}

/* The writer rests: what is its own may be touched here. */
static void fsm_on_installed(struct replica_fsm *fsm, uint64_t index)
{
    struct log_replica *log = VY_CONTAINER_OF(fsm, struct log_replica, fsm);

    (void)index;
    fsm_reset(log->machine);
    log->fresh.count = 0;
    log->fresh_lost = false;
    if (log->listener.on_installed != NULL) {
        log->listener.on_installed(log->listener_arg);
    }
}

static const struct replica_fsm_ops fsm_ops = {
    .apply = fsm_apply,
    .on_written = fsm_on_written,
    .on_applied = fsm_on_applied,
    .on_leader_change = fsm_on_leader_change,
    .on_installed = fsm_on_installed,
};

/* ---- the log, as the service sees it ---- */

static struct log_replica *log_of(struct shard_log *base)
{
    return VY_CONTAINER_OF(base, struct log_replica, base);
}

/* A refusal within the call is answered from the loop, like everything else. */
struct late_failure {
    shard_log_done_fn done;
    shard_log_ready_fn ready;
    void *arg;
    struct vy_err err;
};

static void tell_late(void *arg)
{
    struct late_failure *failure = arg;

    if (failure->done != NULL) {
        failure->done(failure->arg, failure->err, vy_bytes(NULL, 0));
    } else {
        failure->ready(failure->arg, failure->err);
    }
    free(failure);
}

static void fail_late(struct log_replica *log, const struct late_failure *what)
{
    struct late_failure *failure = malloc(sizeof(*failure));

    VY_ASSERT(failure != NULL); /* 40 bytes: without them the process cannot go on */
    *failure = *what;
    vy_loop_post(log->loop, tell_late, failure);
}

static struct vy_err propose_now(struct log_replica *log, const struct shard_proposal *given,
                                 shard_log_done_fn done, void *arg)
{
    struct replica_payload payloads[REPLICA_PAYLOADS_MAX];

    if (given->payload_count > REPLICA_PAYLOADS_MAX) {
        return vy_error(VY_CODE_LIMIT, "too many body chunks in one command");
    }
    for (size_t i = 0; i < given->payload_count; i++) {
        payloads[i] = (struct replica_payload){.family = shard_store_family(SHARD_BODY),
                                               .key = given->payloads[i].key,
                                               .value = given->payloads[i].value};
    }
    const struct replica_proposal proposal = {.command = given->command,
                                              .payloads = payloads,
                                              .payload_count = given->payload_count,
                                              .reserve = given->reserve};
    return replica_propose(log->replica, &proposal, done, arg);
}

static void log_propose(struct shard_log *base, const struct shard_proposal *proposal,
                        shard_log_done_fn done, void *arg)
{
    struct log_replica *log = log_of(base);
    const struct vy_err err = propose_now(log, proposal, done, arg);

    if (vy_failed(err)) {
        fail_late(log, &(struct late_failure){.done = done, .arg = arg, .err = err});
    }
}

static void log_read_barrier(struct shard_log *base, shard_log_ready_fn ready, void *arg)
{
    struct log_replica *log = log_of(base);
    const struct vy_err err = replica_read_index(log->replica, 0, ready, arg);

    if (vy_failed(err)) {
        fail_late(log, &(struct late_failure){.ready = ready, .arg = arg, .err = err});
    }
}

static void log_status(struct shard_log *base, struct shard_log_status *out)
{
    struct replica_status status;

    replica_get_status(log_of(base)->replica, &status);
    *out = (struct shard_log_status){.is_leader = replica_is_leader(log_of(base)->replica),
                                     .term = status.term,
                                     .commit_index = status.commit_index,
                                     .applied_index = status.applied_index};
}

static bool log_is_leader(struct shard_log *base)
{
    return replica_is_leader(log_of(base)->replica);
}

static const char *log_leader_hint(struct shard_log *base)
{
    const struct log_replica *log = log_of(base);
    struct replica_member leader;

    if (!replica_leader_hint(log->replica, &leader) || log->config.name_member == NULL) {
        return NULL;
    }
    return log->config.name_member(log->config.name_member_arg, leader.id);
}

static struct vy_err log_snapshot_open(struct shard_log *base, struct store_snapshot **out)
{
    return replica_snapshot(log_of(base)->replica, out, NULL);
}

static void log_expel(struct shard_log *base, uint64_t account_id, struct expel_report *out)
{
    expeller_ask(log_of(base)->expeller, account_id, out);
}

static const struct shard_log_ops log_ops = {
    .propose = log_propose,
    .read_barrier = log_read_barrier,
    .is_leader = log_is_leader,
    .status = log_status,
    .leader_hint = log_leader_hint,
    .snapshot_open = log_snapshot_open,
    .expel = log_expel,
};

/* ---- life ---- */

void shard_list_families(struct store_family out[SHARD_FAMILY_COUNT])
{
    static const char *const names[SHARD_FAMILY_COUNT] = {
#define X(name, family, erase) [SHARD_##name] = family,
        SHARD_FAMILIES(X)
#undef X
    };

    for (unsigned i = 0; i < SHARD_FAMILY_COUNT; i++) {
        const unsigned place = shard_store_family((enum shard_family)i) - REPLICA_FAMILY_FIRST;
        out[place] = (struct store_family){
            .name = names[i],
            .blob_min_bytes = i == SHARD_BODY ? BODY_BLOB_BYTES_MIN : 0,
            .prefix_bytes = ACCOUNT_PREFIX_BYTES,
        };
    }
}

struct vy_err log_replica_new(const struct log_replica_config *config, struct log_replica **out)
{
    struct log_replica *log = calloc(1, sizeof(*log));

    if (log == NULL || pthread_mutex_init(&log->lock, NULL) != 0) {
        free(log);
        return vy_error(VY_CODE_NOMEM, "allocate shard log");
    }
    log->config = *config;
    log->base.ops = &log_ops;
    shard_list_families(log->families);
    log->fsm = (struct replica_fsm){
        .ops = &fsm_ops, .families = log->families, .family_count = SHARD_FAMILY_COUNT};
    const struct fsm_config machine = {.cache_bytes = config->cache_bytes,
                                       .hash_seed = config->hash_seed,
                                       .on_event = on_machine_event,
                                       .arg = log};
    const struct vy_err err = fsm_new(&machine, &log->machine);
    if (vy_failed(err)) {
        log_replica_free(log);
        return err;
    }
    *out = log;
    return vy_ok();
}

void log_replica_free(struct log_replica *log)
{
    if (log == NULL) {
        return;
    }
    fsm_free(log->machine);
    free(log->fresh.items);
    free(log->ready.items);
    (void)pthread_mutex_destroy(&log->lock);
    free(log);
}

struct replica_fsm *log_replica_fsm(struct log_replica *log)
{
    return &log->fsm;
}

/* Answers to idempotency keys lie behind a letter; those of no account have no subject. */
static size_t write_prefix(unsigned family, uint64_t account_id,
                           uint8_t out[EXPEL_PREFIX_BYTES_MAX])
{
    const struct shard_key key = keys_account(account_id);

    if (family == REPLICA_FAMILY_IDEM) {
        out[0] = IDEM_ROW_KEY;
        vy_put_be64(out + 1, account_id);
        return 1 + sizeof(account_id);
    }
    memcpy(out, key.data, key.len);
    return key.len;
}

/* Bodies stay where they are: sealed, in blob files beside those of others. */
static uint64_t families_of_accounts(void)
{
    uint64_t families = 1ULL << REPLICA_FAMILY_IDEM;

    for (unsigned i = 0; i < SHARD_FAMILY_COUNT; i++) {
        families |= i == SHARD_BODY ? 0 : 1ULL << shard_store_family((enum shard_family)i);
    }
    return families;
}

struct vy_err log_replica_attach(struct log_replica *log, struct replica *replica,
                                 struct vy_loop *loop)
{
    const struct expeller_config config = {.replica = replica,
                                           .loop = loop,
                                           .log = log->config.log,
                                           .workers = log->config.expel_workers,
                                           .write_prefix = write_prefix,
                                           .families = families_of_accounts()};

    log->replica = replica;
    log->loop = loop;
    return expeller_new(&config, &log->expeller);
}

void log_replica_detach(struct log_replica *log)
{
    expeller_free(log->expeller);
    log->expeller = NULL;
}

void log_replica_set_listener(struct log_replica *log, const struct log_listener *listener,
                              void *arg)
{
    log->listener = listener == NULL ? (struct log_listener){.on_event = NULL} : *listener;
    log->listener_arg = arg;
}

struct shard_log *log_replica_log(struct log_replica *log)
{
    return &log->base;
}
