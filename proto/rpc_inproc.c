/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_inproc.h"

#include "base/list.h"
#include "proto/rpc_pipe.h"
#include <pthread.h>
#include <stdlib.h>

/* Bytes on their way to the other side behind which the next ones wait until it has taken some. Up
 * to here a sender goes on at once: a thread need not be woken for each small call. */
#define INPROC_AHEAD_BYTES (64U * 1024U)

/*
 * A pair of ends, one per side, each touched by its own loop alone; what they share is below the
 * lock. Everything that goes to the other side is a post to its loop, made under the lock and only
 * while that side is open: once an end is closed, nothing new reaches its loop, which may then be
 * freed.
 */
struct rpc_inproc {
    pthread_mutex_t lock;
    struct vy_list listeners;
};

struct inproc_end {
    struct rpc_pipe pipe;
    struct inproc_pair *pair;
    struct vy_loop *loop; /* borrowed */
    unsigned side;        /* index in pair->ends */
    bool is_open;         /* this side may hear events */
    bool is_open_told;
    bool is_closed_told;
    size_t ahead_bytes; /* under the lock: sent, and not taken by the other side */
    bool is_sent_owed;  /* under the lock: on_sent waits for the other side */
};
struct inproc_pair {
    pthread_mutex_t lock;
    unsigned ref_count; /* open ends and posts under way */
    bool is_gone[2];    /* that side is closed, or was never taken */
    struct inproc_end ends[2];
};

enum note_kind { NOTE_OPEN, NOTE_DATA, NOTE_TAKEN, NOTE_CLOSED };
/* One post: the pair is kept by it. */
struct note {
    struct inproc_pair *pair;
    unsigned side; /* whom it is for */
    enum note_kind kind;
    struct rpc_block_list blocks; /* owned */
};

static void pair_unref(struct inproc_pair *pair)
{
    pthread_mutex_lock(&pair->lock);
    pair->ref_count--;
    const bool is_last = pair->ref_count == 0;
    pthread_mutex_unlock(&pair->lock);
    if (is_last) {
        pthread_mutex_destroy(&pair->lock);
        free(pair);
    }
}

static void end_on_note(void *arg);

/* Posts to one side, if it is open. False: it is not, or there is no memory; the blocks are
 * dropped. */
static bool pair_post(struct inproc_pair *pair, unsigned side, enum note_kind kind,
                      struct rpc_block_list *blocks)
{
    struct note *note = calloc(1, sizeof(*note));
    pthread_mutex_lock(&pair->lock);
    const bool is_open = note != NULL && !pair->is_gone[side];
    if (is_open) {
        *note = (struct note){.pair = pair, .side = side, .kind = kind};
        if (blocks != NULL) {
            rpc_block_list_join(&note->blocks, blocks);
        }
        pair->ref_count++;
        vy_loop_post(pair->ends[side].loop, end_on_note, note);
    }
    pthread_mutex_unlock(&pair->lock);
    if (!is_open) {
        free(note);
        if (blocks != NULL) {
            rpc_block_list_clear(blocks);
        }
    }
    return is_open;
}

/* The other side has taken bytes of this end. True: it waited for that. */
static bool end_taken(struct inproc_end *end, size_t bytes)
{
    pthread_mutex_lock(&end->pair->lock);
    end->ahead_bytes -= bytes;
    const bool is_owed = end->is_sent_owed;
    end->is_sent_owed = false;
    pthread_mutex_unlock(&end->pair->lock);
    return is_owed;
}

static void end_take_blocks(struct inproc_end *end, struct rpc_block_list *blocks)
{
    const size_t bytes = blocks->bytes;
    struct rpc_block *block = rpc_block_list_pop(blocks);
    while (block != NULL) {
        if (end->is_open) {
            end->pipe.events->on_data(end->pipe.arg, rpc_block_bytes(block));
        }
        rpc_block_free(block);
        block = rpc_block_list_pop(blocks);
    }
    if (end->is_open && end_taken(&end->pair->ends[1 - end->side], bytes)) {
        pair_post(end->pair, 1 - end->side, NOTE_TAKEN, NULL);
    }
}

static void end_tell_closed(struct inproc_end *end)
{
    if (end->is_open && !end->is_closed_told) {
        end->is_closed_told = true;
        end->pipe.events->on_closed(end->pipe.arg, vy_error(VY_CODE_CLOSED, "peer closed"));
    }
}

/* A dialler on another thread may be so quick that its first bytes come before our own note. */
static void end_tell_open(struct inproc_end *end)
{
    static const struct rpc_pipe_peer same_process = {.is_authenticated = true};
    if (end->is_open && !end->is_open_told) {
        end->is_open_told = true;
        end->pipe.events->on_open(end->pipe.arg, &same_process);
    }
}

static void end_on_note(void *arg)
{
    struct note *note = arg;
    struct inproc_end *end = &note->pair->ends[note->side];
    switch (note->kind) {
    case NOTE_OPEN:
        end_tell_open(end);
        break;
    case NOTE_DATA:
        end_tell_open(end);
        end_take_blocks(end, &note->blocks);
        break;
    case NOTE_TAKEN:
        if (end->is_open) {
            end->pipe.events->on_sent(end->pipe.arg);
        }
        break;
    case NOTE_CLOSED:
        end_tell_closed(end);
        break;
    }
    pair_unref(note->pair);
    free(note);
}

static struct inproc_end *end_of(struct rpc_pipe *pipe)
{
    return VY_CONTAINER_OF(pipe, struct inproc_end, pipe);
}

static void end_send(struct rpc_pipe *pipe, struct rpc_block_list *blocks)
{
    struct inproc_end *end = end_of(pipe);
    pthread_mutex_lock(&end->pair->lock);
    end->ahead_bytes += blocks->bytes;
    const bool goes_on = end->ahead_bytes <= INPROC_AHEAD_BYTES;
    end->is_sent_owed = !goes_on;
    pthread_mutex_unlock(&end->pair->lock);
    const bool is_posted = pair_post(end->pair, 1 - end->side, NOTE_DATA, blocks);
    if (is_posted && goes_on) {
        pair_post(end->pair, end->side, NOTE_TAKEN, NULL);
    }
    /* When the other side is gone, its NOTE_CLOSED is on the way: nothing more to say. */
}

static void end_close(struct rpc_pipe *pipe)
{
    struct inproc_end *end = end_of(pipe);
    struct inproc_pair *pair = end->pair;
    end->is_open = false;
    pthread_mutex_lock(&pair->lock);
    pair->is_gone[end->side] = true;
    pthread_mutex_unlock(&pair->lock);
    pair_post(pair, 1 - end->side, NOTE_CLOSED, NULL);
    pair_unref(pair);
}

/* ---- connecting ---- */

struct inproc_listener {
    struct rpc_listener listener;
    struct rpc_inproc *hub;
    struct vy_loop *loop;
    struct vy_list node; /* hub->listeners */
    char name[RPC_ADDRESS_BYTES_MAX];
    pthread_mutex_t lock;
    unsigned ref_count; /* the holder and posts under way */
    bool is_closed;
};
struct arrival {
    struct inproc_listener *listener;
    struct inproc_pair *pair;
};

static void listener_unref(struct inproc_listener *listener)
{
    pthread_mutex_lock(&listener->lock);
    listener->ref_count--;
    const bool is_last = listener->ref_count == 0;
    pthread_mutex_unlock(&listener->lock);
    if (is_last) {
        pthread_mutex_destroy(&listener->lock);
        free(listener);
    }
}

/* On the acceptor's loop. */
static void listener_on_arrival(void *arg)
{
    struct arrival *arrival = arg;
    struct inproc_listener *listener = arrival->listener;
    struct rpc_pipe *pipe = &arrival->pair->ends[1].pipe;
    if (listener->is_closed) {
        rpc_pipe_close(pipe);
    } else {
        listener->listener.on_accept(listener->listener.arg, pipe);
    }
    free(arrival);
    listener_unref(listener);
}

static struct inproc_listener *find_listener(struct rpc_inproc *hub, const char *name)
{
    VY_LIST_FOREACH(item, &hub->listeners)
    {
        struct inproc_listener *listener = VY_CONTAINER_OF(item, struct inproc_listener, node);
        if (strcmp(listener->name, name) == 0) {
            return listener;
        }
    }
    return NULL;
}

/* Under the hub's lock, so that the listener's loop is still there. False: no memory. */
static bool announce(struct inproc_listener *listener, struct inproc_pair *pair)
{
    struct arrival *arrival = calloc(1, sizeof(*arrival));
    if (arrival == NULL) {
        return false;
    }
    *arrival = (struct arrival){.listener = listener, .pair = pair};
    pair->ends[1].loop = listener->loop;
    pair->is_gone[1] = false;
    pair->ref_count++;
    pthread_mutex_lock(&listener->lock);
    listener->ref_count++;
    pthread_mutex_unlock(&listener->lock);
    vy_loop_post(listener->loop, listener_on_arrival, arrival);
    return true;
}

/* Each side hears that it is open from its own loop once it is started; the dialler's HELLO may
 * wait at the acceptor. */
static void end_start(struct rpc_pipe *pipe)
{
    struct inproc_end *end = end_of(pipe);
    end->is_open = true;
    pthread_mutex_lock(&end->pair->lock);
    const bool is_alone = end->pair->is_gone[1 - end->side];
    pthread_mutex_unlock(&end->pair->lock);
    pair_post(end->pair, end->side, is_alone ? NOTE_CLOSED : NOTE_OPEN, NULL);
}

static const struct rpc_pipe_ops inproc_ops = {
    .start = end_start, .send = end_send, .close = end_close};

static struct inproc_pair *pair_new(struct vy_loop *dialer_loop)
{
    struct inproc_pair *pair = calloc(1, sizeof(*pair));
    if (pair == NULL) {
        return NULL;
    }
    pthread_mutex_init(&pair->lock, NULL);
    pair->ref_count = 1; /* the dialler's end */
    pair->is_gone[1] = true;
    for (unsigned side = 0; side < 2; side++) {
        pair->ends[side] = (struct inproc_end){.pipe.ops = &inproc_ops, .pair = pair, .side = side};
    }
    pair->ends[0].loop = dialer_loop;
    return pair;
}

struct vy_err rpc_inproc_dial(const struct rpc_config *config, const struct rpc_address *address,
                              struct rpc_pipe **out)
{
    struct rpc_inproc *hub = config->inproc;
    if (hub == NULL) {
        return vy_error(VY_CODE_ARGUMENT, "no inproc hub");
    }
    struct inproc_pair *pair = pair_new(config->loop);
    if (pair == NULL) {
        return vy_error(VY_CODE_NOMEM, "inproc pair");
    }
    pthread_mutex_lock(&hub->lock);
    struct inproc_listener *listener = find_listener(hub, address->name);
    const bool is_announced = listener != NULL && announce(listener, pair);
    pthread_mutex_unlock(&hub->lock);
    if (!is_announced) {
        rpc_pipe_close(&pair->ends[0].pipe);
        return vy_error(VY_CODE_UNAVAILABLE, "nobody listens");
    }
    *out = &pair->ends[0].pipe;
    return vy_ok();
}

static void inproc_listener_close(struct rpc_listener *base)
{
    struct inproc_listener *listener = VY_CONTAINER_OF(base, struct inproc_listener, listener);
    pthread_mutex_lock(&listener->hub->lock);
    vy_list_remove(&listener->node);
    pthread_mutex_unlock(&listener->hub->lock);
    listener->is_closed = true;
    listener_unref(listener);
}

static const struct rpc_listener_ops inproc_listener_ops = {.close = inproc_listener_close};

struct vy_err rpc_inproc_listen(const struct rpc_config *config, const struct rpc_address *address,
                                struct rpc_listener **out)
{
    struct rpc_inproc *hub = config->inproc;
    if (hub == NULL) {
        return vy_error(VY_CODE_ARGUMENT, "no inproc hub");
    }
    struct inproc_listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL) {
        return vy_error(VY_CODE_NOMEM, "inproc listener");
    }
    pthread_mutex_init(&listener->lock, NULL);
    listener->listener.ops = &inproc_listener_ops;
    listener->hub = hub;
    listener->loop = config->loop;
    listener->ref_count = 1;
    memcpy(listener->name, address->name, sizeof(listener->name));
    pthread_mutex_lock(&hub->lock);
    const bool is_taken = find_listener(hub, address->name) != NULL;
    if (!is_taken) {
        vy_list_push_back(&hub->listeners, &listener->node);
    }
    pthread_mutex_unlock(&hub->lock);
    if (is_taken) {
        listener_unref(listener);
        return vy_error(VY_CODE_EXISTS, "inproc name");
    }
    *out = &listener->listener;
    return vy_ok();
}

/* ---- the hub ---- */

struct vy_err rpc_inproc_new(struct rpc_inproc **out)
{
    struct rpc_inproc *hub = calloc(1, sizeof(*hub));
    if (hub == NULL) {
        return vy_error(VY_CODE_NOMEM, "inproc hub");
    }
    pthread_mutex_init(&hub->lock, NULL);
    vy_list_init(&hub->listeners);
    *out = hub;
    return vy_ok();
}

void rpc_inproc_free(struct rpc_inproc *hub)
{
    if (hub == NULL) {
        return;
    }
    VY_ASSERT(vy_list_is_empty(&hub->listeners));
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}
