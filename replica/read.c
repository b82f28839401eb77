/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linearizable reads: the leader notes its commit index, asks the others whether its term is still
 * theirs, and once a majority says so waits until that index is applied. One round at a time serves
 * all reads that came before it; alone there is nobody to ask. A cut-off or paused ex-leader gets
 * no majority and answers nothing (P6, P10).
 */
#include "base/plant.h"
#include "replica/replica_private.h"
#include <stdlib.h>

#define READS_MAX 65536U

struct read {
    struct vy_list link;
    uint64_t index; /* wait until it is applied */
    uint64_t deadline_ms;
    replica_read_fn callback;
    void *arg;
};

static void finish(struct replica *replica, struct read *read, struct vy_err err)
{
    replica->reads.count--;
    read->callback(read->arg, err);
    free(read);
}

struct vy_err replica_read_index(struct replica *replica, uint64_t deadline_ms,
                                 replica_read_fn callback, void *arg)
{
    if (replica->life == REPLICA_LIFE_INSTALLING) {
        return vy_error(VY_CODE_NOT_LEADER, "the database is being replaced");
    }
    if (!replica_is_running(replica)) {
        return vy_error(VY_CODE_CLOSED, "replica has ended");
    }
    if (!replica_is_leader(replica)) {
        return vy_error(VY_CODE_NOT_LEADER, "read");
    }
    if (replica->reads.count >= READS_MAX) {
        return vy_error(VY_CODE_BUSY, "reads that wait");
    }
    struct read *read = malloc(sizeof(*read));
    if (read == NULL) {
        return vy_error(VY_CODE_NOMEM, "read");
    }
    *read = (struct read){.deadline_ms = deadline_ms, .callback = callback, .arg = arg};
    if (deadline_ms == 0) {
        read->deadline_ms = replica_now_ms(replica) + replica->config.election_timeout_ms;
    }
    replica->reads.count++;
    vy_list_push_back(&replica->reads.waiting, &read->link);
    queue_arm(replica, read->deadline_ms);
    replica_want_settle(replica);
    return vy_ok();
}

/* ---- rounds ---- */

static void move_reads(struct vy_list *from, struct vy_list *to, uint64_t index)
{
    for (struct vy_list *item; (item = vy_list_pop_front(from)) != NULL;) {
        VY_CONTAINER_OF(item, struct read, link)->index = index;
        vy_list_push_back(to, item);
    }
}

static void ask(struct replica *replica)
{
    const struct core_message message = {
        .kind = CORE_READ, .term = core_term(replica->core), .round = replica->reads.round};
    replica->reads.round_sent_ms = replica_now_ms(replica);
    for (size_t i = 0; i < replica->peer_count; i++) {
        if (replica->peers[i].votes && (replica->reads.confirmed & (1ULL << i)) == 0) {
            peer_send(replica, replica->peers[i].id, &message);
        }
    }
    vy_timer_start(replica->reads.timer, replica->config.heartbeat_ms);
}

/* Frames may be lost: whoever has not answered is asked again. */
static void on_timer(void *arg)
{
    struct replica *replica = arg;
    if (replica_is_running(replica) && !vy_list_is_empty(&replica->reads.asked) &&
        replica_is_leader(replica)) {
        ask(replica);
    }
}

static void begin_round(struct replica *replica)
{
    const uint64_t index = core_commit_index(replica->core);
    if (core_is_alone(replica->core) || VY_PLANT(STALE_READS)) {
        move_reads(&replica->reads.waiting, &replica->reads.ready, index);
        return;
    }
    replica->reads.round++;
    replica->reads.round_index = index;
    replica->reads.confirmed = 0;
    replica->counts.read_rounds++;
    move_reads(&replica->reads.waiting, &replica->reads.asked, index);
    ask(replica);
}

static void answer_applied(struct replica *replica)
{
    struct vy_list done;
    vy_list_init(&done);
    for (struct vy_list *item = replica->reads.ready.next; item != &replica->reads.ready;) {
        struct read *read = VY_CONTAINER_OF(item, struct read, link);
        item = item->next;
        if (read->index <= replica->applied.index) {
            vy_list_remove(&read->link);
            vy_list_push_back(&done, &read->link);
        }
    }
    for (struct vy_list *item; (item = vy_list_pop_front(&done)) != NULL;) {
        finish(replica, VY_CONTAINER_OF(item, struct read, link), vy_ok());
    }
}

/* Their places mean other members now. */
void read_on_members(struct replica *replica)
{
    replica->reads.round++;
    replica->reads.confirmed = 0;
    if (!vy_list_is_empty(&replica->reads.asked) && replica_is_leader(replica)) {
        ask(replica);
    }
}

/* Alone all of a sudden: nobody will answer. */
static void confirm_alone(struct replica *replica)
{
    if (core_is_alone(replica->core) && replica_is_leader(replica)) {
        move_reads(&replica->reads.asked, &replica->reads.ready, replica->reads.round_index);
    }
}

void read_progress(struct replica *replica)
{
    confirm_alone(replica);
    if (!vy_list_is_empty(&replica->reads.waiting) && vy_list_is_empty(&replica->reads.asked) &&
        replica_is_leader(replica)) {
        begin_round(replica);
    }
    answer_applied(replica);
}

static void on_result(struct replica *replica, uint64_t from, const struct core_message *message)
{
    size_t agreed = 1;
    if (message->round != replica->reads.round || message->term != core_term(replica->core) ||
        vy_list_is_empty(&replica->reads.asked) || !replica_is_leader(replica)) {
        return;
    }
    for (size_t i = 0; i < replica->peer_count; i++) {
        if (replica->peers[i].id == from) {
            replica->reads.confirmed |= 1ULL << i;
        }
        const bool is_confirmed = ((replica->reads.confirmed >> i) & 1U) != 0;
        agreed += is_confirmed && replica->peers[i].votes;
    }
    if (agreed > core_voters(replica->core) / 2) {
        move_reads(&replica->reads.asked, &replica->reads.ready, replica->reads.round_index);
        vy_timer_stop(replica->reads.timer);
        replica_want_settle(replica);
    }
}

void read_on_message(struct replica *replica, uint64_t from, const struct core_message *message)
{
    if (message->kind == CORE_READ_RESULT) {
        on_result(replica, from, message);
        return;
    }
    if (message->term == core_term(replica->core)) {
        const struct core_message answer = {
            .kind = CORE_READ_RESULT, .term = message->term, .round = message->round};
        peer_send(replica, from, &answer);
    }
}

/* ---- ends ---- */

static uint64_t expire_list(struct replica *replica, struct vy_list *list, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;
    struct vy_list expired;
    vy_list_init(&expired);
    for (struct vy_list *item = list->next; item != list;) {
        struct read *read = VY_CONTAINER_OF(item, struct read, link);
        item = item->next;
        if (read->deadline_ms <= now_ms) {
            vy_list_remove(&read->link);
            vy_list_push_back(&expired, &read->link);
        } else {
            next_ms = VY_MIN(next_ms, read->deadline_ms);
        }
    }
    for (struct vy_list *item; (item = vy_list_pop_front(&expired)) != NULL;) {
        finish(replica, VY_CONTAINER_OF(item, struct read, link),
               vy_error(VY_CODE_UNAVAILABLE, "no majority answered a read"));
    }
    return next_ms;
}

uint64_t read_expire(struct replica *replica, uint64_t now_ms)
{
    uint64_t next_ms = expire_list(replica, &replica->reads.waiting, now_ms);
    next_ms = VY_MIN(next_ms, expire_list(replica, &replica->reads.asked, now_ms));
    return VY_MIN(next_ms, expire_list(replica, &replica->reads.ready, now_ms));
}

void read_fail_all(struct replica *replica, struct vy_err err)
{
    struct vy_list all;
    vy_list_init(&all);
    move_reads(&replica->reads.waiting, &all, 0);
    move_reads(&replica->reads.asked, &all, 0);
    move_reads(&replica->reads.ready, &all, 0);
    for (struct vy_list *item; (item = vy_list_pop_front(&all)) != NULL;) {
        finish(replica, VY_CONTAINER_OF(item, struct read, link), err);
    }
}

struct vy_err read_init(struct replica *replica)
{
    vy_list_init(&replica->reads.waiting);
    vy_list_init(&replica->reads.asked);
    vy_list_init(&replica->reads.ready);
    replica->reads.timer = vy_timer_new(replica->config.loop, on_timer, replica);
    return replica->reads.timer == NULL ? vy_error(VY_CODE_NOMEM, "timer") : vy_ok();
}

void read_deinit(struct replica *replica)
{
    struct vy_list *lists[] = {&replica->reads.waiting, &replica->reads.asked,
                               &replica->reads.ready};
    vy_timer_free(replica->reads.timer);
    for (size_t i = 0; i < VY_COUNT_OF(lists); i++) {
        for (struct vy_list *item; (item = vy_list_pop_front(lists[i])) != NULL;) {
            free(VY_CONTAINER_OF(item, struct read, link));
        }
    }
}
