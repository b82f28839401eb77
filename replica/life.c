/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/life.h"

#include "replica/replica_private.h"

#define ASK_EVERY_MS 50U
#define PEER_KEY_BYTES 13U

uint64_t lives_begin(struct lives *lives, uint64_t last, uint64_t chance)
{
    const uint64_t mask = (1ULL << LIFE_CHANCE_BITS) - 1;
    const uint64_t life = (life_count(last) + 1) << LIFE_CHANCE_BITS | (chance & mask);
    if (lives->count == LIVES_MAX) {
        memmove(lives->items, lives->items + 1, (LIVES_MAX - 1) * sizeof(lives->items[0]));
        lives->count--;
    }
    lives->items[lives->count++] = life;
    return life;
}

bool lives_find(const struct lives *lives, uint64_t count, uint64_t *out)
{
    for (size_t i = 0; i < lives->count; i++) {
        if (life_count(lives->items[i]) == count) {
            *out = lives->items[i];
            return true;
        }
    }
    const bool is_older = lives->count > 0 && count < life_count(lives->items[0]);
    *out = is_older ? UINT64_MAX : 0;
    return false;
}

/* ---- what is known of peers, on disk ---- */

static struct vy_bytes peer_key(uint64_t id, uint8_t out[PEER_KEY_BYTES])
{
    memcpy(out, "life/", 5);
    vy_put_be64(out + 5, id);
    return vy_bytes(out, PEER_KEY_BYTES);
}

uint64_t life_load_peer(struct replica *replica, uint64_t id)
{
    uint8_t key[PEER_KEY_BYTES];
    struct store_value value = {.is_found = false};
    const struct vy_err err =
        store_get(store_newest(replica->store), REPLICA_FAMILY_SYS, peer_key(id, key), &value);
    if (vy_failed(err)) {
        replica_fail(replica, err, 0);
        return 0;
    }
    const uint64_t life =
        value.is_found && value.bytes.len == 8 ? vy_get_be64(value.bytes.data) : 0;
    store_value_release(&value);
    return life;
}

/* Before anything of that life is believed. Rare: once a start of a peer. */
static bool remember(struct replica *replica, struct replica_peer *peer, uint64_t life)
{
    uint8_t key[PEER_KEY_BYTES];
    uint8_t row[8];
    struct store_batch *batch = NULL;
    struct vy_err err = store_batch_new(replica->store, &batch);
    if (!vy_failed(err)) {
        vy_put_be64(row, life);
        store_batch_put(batch, REPLICA_FAMILY_SYS, peer_key(peer->id, key), vy_bytes(row, 8));
        err = store_write(replica->store, batch, true);
    }
    store_batch_free(batch);
    if (vy_failed(err)) {
        replica_fail(replica, err, 0);
        return false;
    }
    peer->life = life;
    return true;
}

/* ---- the question and its answer ---- */

static void ask(struct replica *replica, struct replica_peer *peer)
{
    const struct core_message message = {.kind = CORE_LIFE_ASK,
                                         .term = core_term(replica->core),
                                         .last_index = life_count(peer->life)};
    const uint64_t now_ms = replica_now_ms(replica);
    if (peer->life_asked_ms == 0 || now_ms - peer->life_asked_ms >= ASK_EVERY_MS) {
        peer->life_asked_ms = now_ms;
        peer_send(replica, peer->id, &message);
    }
}

static void tell(struct replica *replica, uint64_t to, uint64_t count)
{
    struct core_message message = {
        .kind = CORE_LIFE, .term = core_term(replica->core), .last_index = count};
    (void)lives_find(&replica->lives, count, &message.round);
    peer_send(replica, to, &message);
}

static void refuse_copy(struct replica *replica, struct replica_peer *peer)
{
    if (!peer->is_copy) {
        peer->is_copy = true;
        vy_log(&replica->log, VY_LOG_ERROR, "replica.life.refused", VY_HEX("raft.peer", peer->id));
    }
}

static void take_answer(struct replica *replica, struct replica_peer *peer, uint64_t life,
                        const struct core_message *message)
{
    if (life_count(life) <= life_count(peer->life) ||
        message->last_index != life_count(peer->life)) {
        return; /* of an earlier question */
    }
    /* One that was filled anew has forgotten its older lives, and has lived beyond the known one.
     */
    if (message->round == peer->life || message->round == UINT64_MAX) {
        peer->is_copy = false;
        (void)remember(replica, peer, life);
    } else {
        refuse_copy(replica, peer);
    }
}

bool life_admit(struct replica *replica, struct replica_peer *peer, uint64_t life,
                const struct core_message *message)
{
    if (message->kind == CORE_LIFE_ASK) {
        tell(replica, peer->id, message->last_index);
        return false;
    }
    if (life == peer->life) {
        return message->kind != CORE_LIFE;
    }
    if (peer->life == 0) {
        return remember(replica, peer, life) && message->kind != CORE_LIFE;
    }
    if (message->kind == CORE_LIFE) {
        take_answer(replica, peer, life, message);
        return false;
    }
    if (life_count(life) > life_count(peer->life)) {
        ask(replica, peer);
    } else if (life_count(life) == life_count(peer->life)) {
        refuse_copy(replica, peer); /* the same start twice: two disks */
    }
    return false;
}
