/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The command line of volaryctl: noun, verb, names, options anywhere ("--limit 5", "--limit=5"), a
 * "--" behind which nothing is an option. Everything is checked before anything is done (C11).
 */
#include "meta/ctl/command.h"

#define CTL_WORDS_MAX 1000U       /* names behind noun and verb */
#define CTL_WORD_BYTES_MAX 65536U /* of one of them */

enum ctl_ask { CTL_ASK_RUN, CTL_ASK_HELP, CTL_ASK_VERSION };

struct ctl_args {
    enum ctl_ask ask;
    struct vy_bytes noun;              /* empty: help of the program */
    struct vy_bytes verb;              /* empty: help of the noun */
    const struct ctl_command *command; /* NULL with help of program or noun */
    bool has[CTL_OPTION_COUNT];
    struct vy_bytes values[CTL_OPTION_COUNT];
    size_t word_count;
    struct vy_bytes words[CTL_WORDS_MAX];
};

/*
 * Parses.
 *
 * @out      strings borrow from argv
 * @problem  what is wrong and what to try, one line without "error: "
 * @errors   ARGUMENT
 */
VY_CHECKED struct vy_err ctl_args_parse(int argc, char *const *argv, struct ctl_args *out,
                                        struct vy_buf *problem);
bool ctl_args_is_json(const struct ctl_args *args);
/* Help for what was asked: program, noun or command. */
void ctl_args_write_help(const struct ctl_args *args, struct vy_buf *out);
