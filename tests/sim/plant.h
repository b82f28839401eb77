/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The planted bug of this program's runs (base/plant.h). */
#include "base/plant.h"

/* By its name on the command line; false: there is no such bug. */
bool plant_choose(const char *name);
void plant_print_all(void); /* a line for each: name and what is wrong */
