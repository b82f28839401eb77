/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Carries out one command of the table: asks before something is destroyed, reads a password, asks
 * the servers and shows the answer. Knows no command by name.
 */
#include "base/rng.h"
#include "meta/ctl/args.h"
#include "meta/ctl/client.h"
#include <stdio.h>

/* Exit codes of operations.md 1.4 that no gRPC status stands for. */
enum {
    CTL_EXIT_OK = 0,
    CTL_EXIT_FAILURE = 1,
    CTL_EXIT_USAGE = 2,
    CTL_EXIT_REFUSED = 8,
    CTL_EXIT_CHECK = 9
};

struct ctl_run {
    const struct ctl_args *args; /* all borrowed */
    struct vy_clock *clock;
    struct vy_rng *rng;
    FILE *out;
    FILE *err;
    int in; /* descriptor of standard input */
};
/* Returns the exit code; what went wrong was said on run->err. */
int ctl_run(const struct ctl_run *run);

/* "error: WHAT; WHY; try: COMMAND (CODE)" on one line, cleaned of what commands terminals. */
void ctl_say_error(FILE *err, struct vy_bytes what, struct vy_bytes why, const char *command,
                   const char *code);
