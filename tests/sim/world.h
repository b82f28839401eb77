/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A whole cluster in one thread: processes (meta, shards, frontends: the code that ships) over one
 * virtual clock, seeded chance, a network (network.h) and disks in memory that lose at a crash what
 * was not synced. One step is one event: a timer, a delivery, a write. The same seed gives the same
 * run, to the byte; sim_world.hash says so.
 *
 * Knows nothing of clients (client.h), faults (nemesis.h) and promises (check.h).
 */
#include "base/assert.h"
#include "base/log.h"
#include "replica/replica.h"
#include "replica/store_mem.h"
#include "tests/lib/fake_rng.h"
#include "tests/sim/loop.h"

#define SIM_META_COUNT 3U
#define SIM_GROUPS 2U /* of shards */
#define SIM_SHARD_COUNT 3U
#define SIM_FRONTEND_COUNT 2U
#define SIM_PROCESSES_MAX (SIM_META_COUNT + SIM_GROUPS * SIM_SHARD_COUNT + SIM_FRONTEND_COUNT)
#define SIM_ADDRESS_BYTES 32U
#define SIM_ELECTION_MS 400U

struct sim_world;
struct sim_process;

/* What a process runs. */
struct sim_role_ops {
    const char *name;
    struct vy_err (*start)(struct sim_process *process, void **out_role);
    struct replica *(*replica)(void *role); /* NULL: it has none */
    /* Ends what runs, so that free can follow; `done` from the loop. The process is mute already.
     */
    void (*stop)(void *role, vy_loop_fn done, void *arg);
    void (*free)(void *role);
};

enum sim_death {
    SIM_KILL,     /* kill -9: what was written stays, peers hear of it at once */
    SIM_POWER_CUT /* unsynced writes are lost from some point on, peers hear nothing */
};

struct sim_process {
    struct sim_world *world;
    unsigned number; /* in world->processes */
    const struct sim_role_ops *ops;
    unsigned group;                  /* 0: meta, or none */
    unsigned place;                  /* among its kind (and group) */
    uint64_t member_id;              /* 0: none */
    char address[SIM_ADDRESS_BYTES]; /* "inproc:shard-1-0" */
    const char *name;                /* in the address, behind the colon */
    char ticket[128];
    char dir[128]; /* of the database; the store is in memory, snapshots on their way are there */

    struct vy_clock clock; /* the world's, with a wall clock of its own */
    int64_t wall_offset_ms;
    struct fake_rng rng;
    struct sim_loop loop;
    struct vy_log log;
    struct vy_log_sink log_sink;
    struct store_mem_disk *disk; /* owned; outlives crashes */
    uint64_t disk_ms_max;
    uint32_t ping_ms; /* of its links: three without an answer, and it looks elsewhere */
    bool is_pump_due;
    bool is_touched; /* ran in this step */

    void *role;           /* NULL: down */
    unsigned boot;        /* counts starts */
    bool is_mute;         /* dying: nothing that it says gets out */
    bool has_died_silent; /* its machine does not answer */
    bool has_failed;      /* its disk: it ends with this step */
    bool is_stopped;
    uint64_t paused_until_ms; /* 0: runs */
    bool wakes_to_io;         /* then it looks at its sockets before its timers */
};

/* Something due at a time. fn runs once, whatever became of the process. */
struct sim_event {
    uint64_t due_ms;
    uint64_t serial;
    struct sim_process *process; /* waits while it is paused; NULL: the world's */
    void (*fn)(void *arg);
    void *arg;
};

struct sim_world {
    uint64_t seed;
    uint64_t log_max_entries; /* of a group's log: who is away longer needs a snapshot */
    uint64_t now_ms;
    uint64_t wall_ms;
    struct vy_clock clock;
    struct fake_rng rng; /* of the world: network, faults, clients */
    struct sim_process processes[SIM_PROCESSES_MAX];
    struct sim_event *events; /* owned heap */
    size_t event_count;
    size_t event_capacity;
    uint64_t next_serial;
    struct sim_network *network; /* owned */
    char dir[64];                /* for tickets */
    uint64_t hash;               /* of all that happened */
    uint64_t steps;
    bool is_ending;     /* events only free what they own */
    unsigned verbosity; /* 1: what happens, 2: log lines too */

    /* The n-th durable write from now on kills the process that does it, before it can tell
     * anybody; 0: never. is_crash_process: of that process only. */
    uint64_t crash_at_write;
    struct sim_process *crash_process;
    enum sim_death crash_death;
    uint64_t durable_writes; /* of all disks so far */

    /* Called after each step that touched the process, before the next one. May be NULL. */
    void (*on_step)(void *arg, struct sim_process *process);
    void *on_step_arg;
};

/* All processes are there and down. */
struct sim_world *sim_world_new(uint64_t seed, unsigned verbosity);
void sim_world_free(struct sim_world *world);

struct sim_process *sim_meta(struct sim_world *world, unsigned place);
struct sim_process *sim_shard(struct sim_world *world, unsigned group,
                              unsigned place); /* group 1.. */
struct sim_process *sim_frontend(struct sim_world *world, unsigned place);
struct sim_process *sim_find_process(struct sim_world *world, const char *name);
struct sim_process *sim_find_member(struct sim_world *world, uint64_t member_id);
struct replica *sim_replica(const struct sim_process *process); /* NULL: down, or has none */

void sim_start(struct sim_process *process);
void sim_crash(struct sim_process *process, enum sim_death death);
void sim_pause(struct sim_process *process, uint64_t ms);
static inline bool sim_is_up(const struct sim_process *process)
{
    return process->role != NULL;
}
static inline bool sim_is_paused(const struct sim_process *process)
{
    return process->paused_until_ms > process->world->now_ms;
}

/* One event. False: nothing is due before end_ms, where time stands then. */
bool sim_step(struct sim_world *world, uint64_t end_ms);
void sim_run_ms(struct sim_world *world, uint64_t ms);
/* process may be NULL. */
void sim_at(struct sim_world *world, uint64_t delay_ms, struct sim_process *process,
            void (*fn)(void *arg), void *arg);
/* Runs fn(arg) now as if it were an event of the process: its posts run behind it. */
void sim_touch(struct sim_process *process);

static inline uint64_t sim_random(struct sim_world *world, uint64_t below)
{
    return vy_rng_below(&world->rng.base, below);
}
static inline bool sim_chance(struct sim_world *world, unsigned permille)
{
    return sim_random(world, 1000) < permille;
}
void sim_note(struct sim_world *world, uint64_t what); /* into the hash */
/* A line of the trace: time in front. */
void sim_say(struct sim_world *world, const char *format, ...) VY_PRINTF(2, 3);
/* A promise was broken: prints it with the line that replays the run, and ends the program. */
_Noreturn void sim_fail(struct sim_world *world, const char *format, ...) VY_PRINTF(2, 3);
#define SIM_CHECK(world, condition, ...)                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            sim_fail((world), __VA_ARGS__);                                                        \
        }                                                                                          \
    } while (0)
void *sim_alloc(size_t size); /* zeroed; ends the program when there is none */
/* What the program prints behind "replay: "; a function, for options are main's. */
extern void (*sim_on_fail)(const struct sim_world *world);
