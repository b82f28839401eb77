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
    const char *plant;
};
static struct options options = {.from = 1, .seeds = 1};

static void print_replay(const struct sim_world *world)
{
    if (options.is_erase_sweep) {
        printf("replay: build/dev/tests/volary_sim --erase-sweep --from %llu -v\n",
               (unsigned long long)world->seed);
        return;
    }
    printf("replay: tests/sim/run --seed %llu%s%s -v\n", (unsigned long long)world->seed,
           options.plant == NULL ? "" : " --plant ", options.plant == NULL ? "" : options.plant);
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
        } else if (strcmp(argv[i], "-v") == 0) {
            options.verbosity++;
        } else {
            fprintf(stderr, "volary_sim: unknown option %s\n", argv[i]);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    struct run_sums sums = {.seeds = 0};
    parse(argc, argv);
    sim_on_fail = print_replay;
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
