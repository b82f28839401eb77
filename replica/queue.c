/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proposals: wait, are packed into entries, fly, are answered. Few packs are in the log at a time,
 * each with everything that queued, so that one sync or round serves many.
 */
#include "replica/replica_private.h"
#include <stdlib.h>

/* Packs on their way: one being written and one ready behind it; over links some more. */
#define FLIGHTS_MAX_ALONE 2U
#define FLIGHTS_MAX_GROUP 8U
#define SUBMIT_ENTRIES_MAX 64U /* of one submission */
#define DEADLINE_GRAIN_MS 10U  /* deadlines are looked at no more often */
#define SPACE_CHECK_MS 5U      /* and the disk's free space: asking costs microseconds */

struct proposal {
    struct vy_list link;
    struct entry_command command; /* points into memory behind this struct */
    uint64_t deadline_ms;         /* 0: none */
    size_t bytes;
    replica_propose_fn callback; /* NULL: answered */
    void *arg;
};
struct flight {
    struct vy_list link;
    struct vy_list proposals;
    uint64_t bytes;
};

/* ---- making and answering ---- */

static struct vy_err check_payload(const struct replica *replica,
                                   const struct replica_payload *payload)
{
    if (payload->family < REPLICA_FAMILY_FIRST ||
        payload->family >= REPLICA_FAMILY_FIRST + replica->config.fsm->family_count) {
        return vy_error(VY_CODE_ARGUMENT, "family of a payload");
    }
    if (payload->key.len == 0 || payload->key.len > 255) {
        return vy_error(VY_CODE_ARGUMENT, "key of a payload");
    }
    if (payload->value.len < REPLICA_PAYLOAD_BYTES_MIN ||
        payload->value.len > REPLICA_PAYLOAD_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "length of a payload");
    }
    return vy_ok();
}

static struct vy_err measure(const struct replica *replica, const struct replica_proposal *proposal,
                             size_t *out)
{
    size_t bytes = proposal->command.len;
    if (proposal->command.len == 0) {
        return vy_error(VY_CODE_ARGUMENT, "command is empty");
    }
    if (proposal->command.len > REPLICA_COMMAND_BYTES_MAX ||
        proposal->payload_count > REPLICA_PAYLOADS_MAX) {
        return vy_error(VY_CODE_LIMIT, "proposal is too large");
    }
    for (size_t i = 0; i < proposal->payload_count; i++) {
        VY_TRY(check_payload(replica, &proposal->payloads[i]));
        bytes += proposal->payloads[i].key.len + proposal->payloads[i].value.len;
    }
    if (bytes > REPLICA_PROPOSAL_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "proposal is too large");
    }
    *out = bytes;
    return vy_ok();
}

static struct vy_bytes copy_bytes(uint8_t **at, struct vy_bytes bytes)
{
    memcpy(*at, bytes.data, bytes.len);
    const struct vy_bytes copy = vy_bytes(*at, bytes.len);
    *at += bytes.len;
    return copy;
}

static struct proposal *proposal_new(const struct replica_proposal *from, size_t bytes)
{
    const size_t table = from->payload_count * sizeof(struct replica_payload);
    struct proposal *proposal = malloc(sizeof(*proposal) + table + bytes);
    if (proposal == NULL) {
        return NULL;
    }
    struct replica_payload *payloads = (struct replica_payload *)(void *)(proposal + 1);
    uint8_t *at = (uint8_t *)(proposal + 1) + table;
    *proposal = (struct proposal){
        .deadline_ms = from->deadline_ms,
        .bytes = sizeof(*proposal) + table + bytes,
        .command = {.command = copy_bytes(&at, from->command),
                    .payloads = payloads,
                    .payload_count = from->payload_count}
    };
    for (size_t i = 0; i < from->payload_count; i++) {
        payloads[i].family = from->payloads[i].family;
        payloads[i].key = copy_bytes(&at, from->payloads[i].key);
        payloads[i].value = copy_bytes(&at, from->payloads[i].value);
    }
    return proposal;
}

static void answer(struct replica *replica, struct proposal *proposal, struct vy_err err,
                   struct vy_bytes result)
{
    const replica_propose_fn callback = proposal->callback;
    if (callback == NULL) {
        return;
    }
    proposal->callback = NULL;
    replica->counts.queue_bytes -= proposal->bytes;
    callback(proposal->arg, err, result);
}

static struct proposal *proposal_of(struct vy_list *item)
{
    return VY_CONTAINER_OF(item, struct proposal, link);
}

void queue_check_space(struct replica *replica)
{
    const uint64_t now_ms = replica_now_ms(replica);
    uint64_t free_bytes = 0;
    if (replica->queue.space_checked_ms != 0 &&
        now_ms - replica->queue.space_checked_ms < SPACE_CHECK_MS) {
        return;
    }
    replica->queue.space_checked_ms = now_ms;
    if (vy_failed(store_free_bytes(replica->store, &free_bytes))) {
        return; /* what the disk last said holds */
    }
    const bool was_full = replica->is_full;
    replica->counts.free_bytes = free_bytes;
    const uint64_t floor_bytes = replica->config.free_floor_bytes + care_owed_bytes(replica);
    replica->is_full = free_bytes < floor_bytes;
    if (replica->is_full && !was_full) {
        vy_log(&replica->log, VY_LOG_ERROR, "replica.disk.full",
               VY_U64("sys.free_bytes", free_bytes), VY_U64("sys.floor_bytes", floor_bytes));
        care_mind_reserve(replica); /* before the next write, not with the next look */
    } else if (was_full && !replica->is_full) {
        vy_log(&replica->log, VY_LOG_INFO, "replica.disk.space",
               VY_U64("sys.free_bytes", free_bytes));
    }
}

static struct vy_err admit(struct replica *replica, const struct replica_proposal *proposal,
                           size_t bytes)
{
    if (replica->life == REPLICA_LIFE_INSTALLING) {
        return vy_error(VY_CODE_NOT_LEADER, "the database is being replaced");
    }
    if (!replica_is_running(replica)) {
        return vy_error(VY_CODE_CLOSED, "replica has ended");
    }
    if (!replica_is_leader(replica)) {
        return vy_error(VY_CODE_NOT_LEADER, "proposal");
    }
    const uint64_t held = replica->counts.queue_bytes;
    if (held > 0 &&
        bytes > replica->config.queue_bytes_max - VY_MIN(held, replica->config.queue_bytes_max)) {
        replica->counts.proposals_refused++;
        return vy_error(VY_CODE_BUSY, "queue of proposals");
    }
    queue_check_space(replica);
    if (replica->is_full && !proposal->reserve) {
        replica->counts.proposals_refused++;
        return vy_error(VY_CODE_FULL, "free space of the disk");
    }
    return vy_ok();
}

struct vy_err replica_propose(struct replica *replica, const struct replica_proposal *proposal,
                              replica_propose_fn callback, void *arg)
{
    size_t bytes = 0;
    VY_TRY(measure(replica, proposal, &bytes));
    VY_TRY(admit(replica, proposal, bytes));
    struct proposal *queued = proposal_new(proposal, bytes);
    if (queued == NULL) {
        return vy_error(VY_CODE_NOMEM, "proposal");
    }
    queued->callback = callback;
    queued->arg = arg;
    vy_list_push_back(&replica->queue.waiting, &queued->link);
    replica->queue.waiting_bytes += queued->bytes;
    replica->counts.queue_bytes += queued->bytes;
    replica->counts.proposals++;
    if (queued->deadline_ms != 0) {
        queue_arm(replica, queued->deadline_ms);
    }
    queue_want_flush(replica);
    return vy_ok();
}

/* ---- packing ---- */

static size_t payload_bytes(const struct entry_command *command)
{
    size_t bytes = 0;
    for (size_t i = 0; i < command->payload_count; i++) {
        bytes += command->payloads[i].value.len;
    }
    return bytes;
}

/* How many of the waiting go into the next entry; commands gets them. */
static size_t choose_pack(const struct replica *replica, struct entry_command *commands)
{
    size_t count = 0;
    size_t command_bytes = 0;
    size_t value_bytes = 0;
    VY_LIST_FOREACH(item, &replica->queue.waiting)
    {
        const struct entry_command *command = &proposal_of(item)->command;
        command_bytes += entry_command_bytes(command);
        value_bytes += payload_bytes(command);
        if (count > 0 && (count == ENTRY_COMMANDS_MAX || command_bytes > ENTRY_PACK_BYTES ||
                          value_bytes > ENTRY_PACK_PAYLOAD_BYTES)) {
            break;
        }
        commands[count++] = *command;
    }
    return count;
}

static struct vy_err pack_one(struct replica *replica, struct entry_command *commands,
                              struct entry **out)
{
    const size_t count = choose_pack(replica, commands);
    struct flight *flight = calloc(1, sizeof(*flight));
    if (flight == NULL) {
        return vy_error(VY_CODE_NOMEM, "proposals");
    }
    vy_list_init(&flight->proposals);
    const struct vy_err err = entry_new_commands(core_term(replica->core), lead_entry_time(replica),
                                                 commands, count, out);
    if (vy_failed(err)) {
        free(flight);
        return err;
    }
    for (size_t i = 0; i < count; i++) {
        struct vy_list *item = vy_list_pop_front(&replica->queue.waiting);
        replica->queue.waiting_bytes -= proposal_of(item)->bytes;
        flight->bytes += proposal_of(item)->bytes;
        vy_list_push_back(&flight->proposals, item);
    }
    (*out)->flight = flight;
    (*out)->is_own = true;
    vy_list_push_back(&replica->queue.flights, &flight->link);
    replica->queue.flight_count++;
    replica->queue.inflight_bytes += flight->bytes;
    return vy_ok();
}

/* Drops proposals that ran out of time before they reached the log. */
static void expire_waiting(struct replica *replica, uint64_t now_ms)
{
    struct vy_list expired;
    vy_list_init(&expired);
    for (struct vy_list *item = replica->queue.waiting.next; item != &replica->queue.waiting;) {
        struct proposal *proposal = proposal_of(item);
        item = item->next;
        if (proposal->deadline_ms != 0 && proposal->deadline_ms <= now_ms) {
            vy_list_remove(&proposal->link);
            replica->queue.waiting_bytes -= proposal->bytes;
            vy_list_push_back(&expired, &proposal->link);
        }
    }
    for (struct vy_list *item; (item = vy_list_pop_front(&expired)) != NULL;) {
        answer(replica, proposal_of(item), vy_error(VY_CODE_UNAVAILABLE, "deadline of a proposal"),
               vy_bytes(NULL, 0));
        free(proposal_of(item));
    }
}

static bool may_submit(const struct replica *replica)
{
    const size_t flights_max = core_is_alone(replica->core) ? FLIGHTS_MAX_ALONE : FLIGHTS_MAX_GROUP;
    return !vy_list_is_empty(&replica->queue.waiting) && core_is_ready(replica->core) &&
           core_transferee(replica->core) == 0 && replica->queue.flight_count < flights_max &&
           (replica->queue.flight_count == 0 ||
            replica->queue.inflight_bytes < replica->config.inflight_bytes_max);
}

static void submit(struct replica *replica, struct entry **entries, size_t count)
{
    const struct vy_err err = core_submit(replica->core, replica_now_ms(replica), entries, count);
    for (size_t i = 0; i < count; i++) {
        if (err.code == VY_CODE_NOT_LEADER) {
            queue_drop_flight(replica, entries[i]->flight);
        }
        entry_unref(entries[i]);
    }
    replica_stepped(replica, err.code == VY_CODE_NOT_LEADER ? vy_ok() : err);
}

void queue_flush(struct replica *replica)
{
    struct entry_command *commands = NULL;
    struct entry *entries[SUBMIT_ENTRIES_MAX];
    size_t count = 0;
    if (!replica_is_running(replica) || !may_submit(replica)) {
        return;
    }
    expire_waiting(replica, replica_now_ms(replica));
    commands = malloc(ENTRY_COMMANDS_MAX * sizeof(*commands));
    while (commands != NULL && count < SUBMIT_ENTRIES_MAX &&
           !vy_list_is_empty(&replica->queue.waiting) &&
           (count == 0 || replica->queue.inflight_bytes < replica->config.inflight_bytes_max)) {
        if (vy_failed(pack_one(replica, commands, &entries[count]))) {
            break; /* no memory: they wait for the next turn */
        }
        count++;
    }
    free(commands);
    if (count > 0) {
        submit(replica, entries, count);
    }
}

static void on_flush(void *arg)
{
    struct replica *replica = arg;
    replica->queue.is_flush_posted = false;
    queue_flush(replica);
}

void queue_want_flush(struct replica *replica)
{
    if (!replica->queue.is_flush_posted && replica_is_running(replica)) {
        replica->queue.is_flush_posted = true;
        vy_loop_post(replica->config.loop, on_flush, replica);
    }
}

/* ---- answering ---- */

static void flight_remove(struct replica *replica, struct flight *flight)
{
    vy_list_remove(&flight->link);
    replica->queue.flight_count--;
    replica->queue.inflight_bytes -= flight->bytes;
}

static void flight_free(struct flight *flight)
{
    for (struct vy_list *item; (item = vy_list_pop_front(&flight->proposals)) != NULL;) {
        free(proposal_of(item));
    }
    free(flight);
}

void queue_answer(struct replica *replica, struct writer_outcome *outcome)
{
    struct flight *flight = outcome->flight;
    struct vy_bytes rest = vy_buf_bytes(&outcome->results);
    flight_remove(replica, flight);
    VY_LIST_FOREACH(item, &flight->proposals)
    {
        VY_ASSERT(rest.len >= sizeof(uint32_t));
        const size_t len = vy_get_be32(rest.data);
        answer(replica, proposal_of(item), vy_ok(), vy_bytes(rest.data + sizeof(uint32_t), len));
        rest = vy_bytes_from(rest, sizeof(uint32_t) + len);
    }
    flight_free(flight);
}

static void fail_flight(struct replica *replica, struct flight *flight, struct vy_err err)
{
    VY_LIST_FOREACH(item, &flight->proposals)
    {
        answer(replica, proposal_of(item), err, vy_bytes(NULL, 0));
    }
}

void queue_drop_flight(struct replica *replica, struct flight *flight)
{
    flight_remove(replica, flight);
    fail_flight(replica, flight, vy_error(VY_CODE_NOT_LEADER, "proposal"));
    flight_free(flight);
}

void queue_fail_flights(struct replica *replica, struct vy_err err)
{
    VY_LIST_FOREACH(item, &replica->queue.flights)
    {
        fail_flight(replica, VY_CONTAINER_OF(item, struct flight, link), err);
    }
}

void queue_fail_waiting(struct replica *replica, struct vy_err err)
{
    struct vy_list failed;
    vy_list_init(&failed);
    for (struct vy_list *item; (item = vy_list_pop_front(&replica->queue.waiting)) != NULL;) {
        vy_list_push_back(&failed, item);
    }
    replica->queue.waiting_bytes = 0;
    for (struct vy_list *item; (item = vy_list_pop_front(&failed)) != NULL;) {
        answer(replica, proposal_of(item), err, vy_bytes(NULL, 0));
        free(proposal_of(item));
    }
}

/* ---- deadlines ---- */

static uint64_t expire_flights(struct replica *replica, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;
    VY_LIST_FOREACH(item, &replica->queue.flights)
    {
        struct flight *flight = VY_CONTAINER_OF(item, struct flight, link);
        VY_LIST_FOREACH(inner, &flight->proposals)
        {
            struct proposal *proposal = proposal_of(inner);
            if (proposal->deadline_ms == 0 || proposal->callback == NULL) {
                continue;
            }
            if (proposal->deadline_ms <= now_ms) {
                answer(replica, proposal, vy_error(VY_CODE_UNKNOWN, "deadline of a proposal"),
                       vy_bytes(NULL, 0));
            } else {
                next_ms = VY_MIN(next_ms, proposal->deadline_ms);
            }
        }
    }
    return next_ms;
}

static void on_deadline(void *arg)
{
    struct replica *replica = arg;
    const uint64_t now_ms = replica_now_ms(replica);
    replica->queue.timer_ms = UINT64_MAX;
    expire_waiting(replica, now_ms);
    uint64_t next_ms = expire_flights(replica, now_ms);
    next_ms = VY_MIN(next_ms, read_expire(replica, now_ms));
    VY_LIST_FOREACH(item, &replica->queue.waiting)
    {
        const uint64_t deadline_ms = proposal_of(item)->deadline_ms;
        next_ms = deadline_ms != 0 ? VY_MIN(next_ms, deadline_ms) : next_ms;
    }
    if (next_ms != UINT64_MAX) {
        queue_arm(replica, VY_MAX(next_ms, now_ms + DEADLINE_GRAIN_MS));
    }
}

void queue_arm(struct replica *replica, uint64_t deadline_ms)
{
    if (deadline_ms < replica->queue.timer_ms) {
        const uint64_t now_ms = replica_now_ms(replica);
        replica->queue.timer_ms = deadline_ms;
        vy_timer_start(replica->queue.timer, deadline_ms > now_ms ? deadline_ms - now_ms : 0);
    }
}

struct vy_err queue_init(struct replica *replica)
{
    vy_list_init(&replica->queue.waiting);
    vy_list_init(&replica->queue.flights);
    replica->queue.timer_ms = UINT64_MAX;
    replica->queue.timer = vy_timer_new(replica->config.loop, on_deadline, replica);
    return replica->queue.timer == NULL ? vy_error(VY_CODE_NOMEM, "timer") : vy_ok();
}

void queue_deinit(struct replica *replica)
{
    vy_timer_free(replica->queue.timer);
    for (struct vy_list *item; (item = vy_list_pop_front(&replica->queue.waiting)) != NULL;) {
        free(proposal_of(item));
    }
    for (struct vy_list *item; (item = vy_list_pop_front(&replica->queue.flights)) != NULL;) {
        flight_free(VY_CONTAINER_OF(item, struct flight, link));
    }
}
