/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs whole clusters by seed (docs/simulation.md). tests/sim/run is the way to call it; --help
 * there.
 */
#include "base/bytes.h"
#include "tests/sim/erase.h"
#include "tests/sim/plant.h"
#include "tests/sim/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    uint64_t from;
    uint64_t seeds;
    unsigned verbosity;
    bool is_twice;
    bool is_erase_sweep;
    bool is_sweep;
    const char *plant;
};
/* Two of three members for each of hold, decide and release. */
#define SWEEP_WRITES_MIN 6U

static struct options options = {.from = 1, .seeds = 1};

static void print_replay(const struct sim_world *world)
{
    if (options.is_erase_sweep) {
        printf("replay: build/dev/tests/volary_sim --erase-sweep --from %llu -v\n",
               (unsigned long long)world->seed);
        return;
    }
    printf("replay: tests/sim/run --seed %llu%s%s%s -v\n", (unsigned long long)world->seed,
           options.is_sweep ? " --sweep" : "", options.plant == NULL ? "" : " --plant ",
           options.plant == NULL ? "" : options.plant);
}

static uint64_t number(const char *text)
{
    uint64_t value = 0;
    if (text == NULL || !vy_parse_u64(vy_cstr(text), &value)) {
        fprintf(stderr, "volary_sim: not a number: %s\n", text == NULL ? "(nothing)" : text);
        exit(2);
    }
    return value;
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--from") == 0) {
            options.from = number(value);
            i++;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            options.seeds = number(value);
            i++;
        } else if (strcmp(argv[i], "--plants") == 0) {
            plant_print_all();
            exit(0);
        } else if (strcmp(argv[i], "--plant") == 0) {
            options.plant = value;
            if (value == NULL || !plant_choose(value)) {
                fprintf(stderr, "volary_sim: no such planted bug; there are:\n");
                plant_print_all();
                exit(2);
            }
            i++;
        } else if (strcmp(argv[i], "--twice") == 0) {
            options.is_twice = true;
        } else if (strcmp(argv[i], "--erase-sweep") == 0) {
            options.is_erase_sweep = true;
        } else if (strcmp(argv[i], "--sweep") == 0) {
            options.is_sweep = true;
        } else if (strcmp(argv[i], "-v") == 0) {
            options.verbosity++;
        } else {
            fprintf(stderr, "volary_sim: unknown option %s\n", argv[i]);
            exit(2);
        }
    }
}

/* How many writes the delivery takes. */
static uint64_t sweep_writes(uint64_t seed, struct run_crash crash, struct run_sums *sums)
{
    crash.write = 1;
    while (run_crash_at(seed, options.verbosity, &crash, sums)) {
        crash.write++;
    }
    return crash.write;
}

/* A delivery to both groups, with a death at each of its writes. */
static int sweep(void)
{
    struct run_sums sums = {.seeds = 0};
    for (uint64_t seed = options.from; seed < options.from + options.seeds; seed++) {
        for (unsigned i = 0; i < 2 * RUN_VICTIM_COUNT; i++) {
            const struct run_crash crash = {.victim = (enum run_victim)(i / 2),
                                            .gives_up = i % 2 == 1};
            const uint64_t writes = sweep_writes(seed, crash, &sums);
            if (writes < SWEEP_WRITES_MIN) {
                printf("seed %llu: a delivery to two groups ends after %llu writes\n",
                       (unsigned long long)seed, (unsigned long long)writes);
                return EXIT_FAILURE;
            }
        }
    }
    run_print_sums(&sums);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct run_sums sums = {.seeds = 0};
    parse(argc, argv);
    sim_on_fail = print_replay;
    if (options.is_sweep) {
        return sweep();
    }
    for (uint64_t seed = options.from; seed < options.from + options.seeds; seed++) {
        if (options.is_erase_sweep) {
            (void)erase_sweep(seed, options.verbosity);
            continue;
        }
        const uint64_t hash = run_seed(seed, options.verbosity, &sums);
        if (options.is_twice && run_seed(seed, 0, &sums) != hash) {
            printf("seed %llu: two runs differ\nreplay: tests/sim/run --seed %llu --twice\n",
                   (unsigned long long)seed, (unsigned long long)seed);
            return EXIT_FAILURE;
        }
    }
    if (options.is_erase_sweep) {
        return EXIT_SUCCESS;
    }
    run_print_sums(&sums);
    if (!run_was_busy(&sums)) {
        printf("the runs did too little to show anything\n");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
