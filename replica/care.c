/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The condition of the disk, looked at a few times a second on every member: failures in the
 * background end the process (P14); a disk that fills up gives its reserve back, and a leader whose
 * disk is full or stalls hands over to a member that is better off (P11, P13).
 */
#include "replica/replica_private.h"

#define CARE_MS 250U
/* Below it the reserve goes: room for a few seconds of what may still be written. */
#define LOW_BYTES (16ULL * 1024 * 1024)
/* Below it, with the reserve gone, entries of others are not taken: this member falls behind
 * instead of ending, and catches up when there is space. */
#define SHORT_BYTES (4ULL * 1024 * 1024)
#define STALL_TIMEOUTS 2U         /* election timeouts that a write may take */
#define HAND_OVER_AGAIN_MS 10000U /* between attempts */

uint64_t care_owed_bytes(const struct replica *replica)
{
    const struct replica_care *care = &replica->care;
    const bool is_owed =
        care->reserve.path != NULL && !care->reserve.is_held && !care->has_no_reserve;
    return is_owed ? replica->config.free_floor_bytes : 0;
}

void care_mind_reserve(struct replica *replica)
{
    struct replica_care *care = &replica->care;
    const uint64_t free_bytes = replica->counts.free_bytes;
    const uint64_t floor_bytes = replica->config.free_floor_bytes;
    if (care->reserve.path == NULL) {
        return;
    }
    if (care->reserve.is_held && free_bytes < LOW_BYTES) {
        (void)reserve_release(&care->reserve);
        vy_log(&replica->log, VY_LOG_WARN, "replica.reserve.released",
               VY_U64("sys.free_bytes", free_bytes));
    } else if (!care->reserve.is_held && !care->has_no_reserve && free_bytes >= 2 * floor_bytes) {
        care->has_no_reserve = !reserve_hold(&care->reserve, floor_bytes);
    }
}

static void mind_space(struct replica *replica)
{
    queue_check_space(replica);
    care_mind_reserve(replica);
    replica->care.is_short =
        replica->counts.free_bytes < SHORT_BYTES && !replica->care.reserve.is_held;
}

/* True: a write has been under way for too long, with no other done meanwhile. */
static bool is_stalled(struct replica *replica)
{
    struct replica_care *care = &replica->care;
    const uint64_t now_ms = replica_now_ms(replica);
    if (!writer_is_behind(replica->writer, replica->ticket_done) ||
        care->ticket != replica->ticket_done) {
        care->ticket = replica->ticket_done;
        care->idle_ms = now_ms;
    }
    return now_ms - care->idle_ms > (uint64_t)STALL_TIMEOUTS * replica->config.election_timeout_ms;
}

static void on_handed_over(void *arg, struct vy_err err)
{
    struct replica *replica = arg;
    if (vy_failed(err) && err.code != VY_CODE_NOT_LEADER) {
        vy_log(&replica->log, VY_LOG_WARN, "replica.care.stays", VY_LOG_ERR(err));
    }
}

static void hand_over(struct replica *replica, const char *why)
{
    struct replica_care *care = &replica->care;
    const uint64_t now_ms = replica_now_ms(replica);
    if (!replica_is_leader(replica) || replica->transfer_to != 0 || now_ms < care->hand_over_ms ||
        !lead_has_better_peer(replica)) {
        return;
    }
    care->hand_over_ms = now_ms + HAND_OVER_AGAIN_MS;
    vy_log(&replica->log, VY_LOG_WARN, "replica.care.hands_over", VY_CSTR("sys.reason", why));
    vy_ignore(replica_transfer(replica, on_handed_over, replica), "asked just now whether it may");
}

static void on_timer(void *arg)
{
    struct replica *replica = arg;
    if (!replica_is_running(replica)) {
        return;
    }
    const struct vy_err err = store_check(replica->store);
    if (vy_failed(err)) {
        replica_fail(replica, err, 0);
        return;
    }
    mind_space(replica);
    if (is_stalled(replica)) {
        hand_over(replica, "a write to the disk does not end");
    } else if (replica->is_full) {
        hand_over(replica, "the disk is full");
    }
    rebuild_tick(replica);
    vy_timer_start(replica->care.timer, CARE_MS);
}

struct vy_err care_init(struct replica *replica)
{
    replica->care.timer = vy_timer_new(replica->config.loop, on_timer, replica);
    if (replica->care.timer == NULL) {
        return vy_error(VY_CODE_NOMEM, "timer");
    }
    const bool is_on_disk = replica->config.open_store == NULL;
    return is_on_disk ? reserve_init(&replica->care.reserve, replica->dir) : vy_ok();
}

void care_start(struct replica *replica)
{
    replica->care.ticket = replica->ticket_done;
    replica->care.idle_ms = replica_now_ms(replica);
    mind_space(replica);
    vy_timer_start(replica->care.timer, CARE_MS);
}

void care_stop(struct replica *replica)
{
    vy_timer_stop(replica->care.timer);
}

void care_deinit(struct replica *replica)
{
    vy_timer_free(replica->care.timer);
    reserve_deinit(&replica->care.reserve);
}
