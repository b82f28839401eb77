/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/plant.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *what;
} plants[VY_PLANT_COUNT] = {
#define X(name, text, what) {text, what},
    VY_PLANTS(X)
#undef X
};

/* Set once, before the first run: production code asks from everywhere. */
static int chosen = -1;

bool vy_plant_is_on(enum vy_plant plant)
{
    return (int)plant == chosen;
}

bool plant_choose(const char *name)
{
    for (int i = 0; i < VY_PLANT_COUNT; i++) {
        if (strcmp(plants[i].name, name) == 0) {
            chosen = i;
            return true;
        }
    }
    return false;
}

void plant_print_all(void)
{
    for (int i = 0; i < VY_PLANT_COUNT; i++) {
        printf("%-12s %s\n", plants[i].name, plants[i].what);
    }
}
