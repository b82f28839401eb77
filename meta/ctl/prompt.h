/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is asked of the person at the terminal: the name of what is to be destroyed, a password.
 * Passwords come from standard input alone, never from arguments.
 */
#include "base/secret.h"
#include "meta/ctl/run.h"

#define CTL_PASSWORD_BYTES_MAX 1024U

/* True: go on. False: the exit code is CTL_EXIT_REFUSED, and why was said. */
bool ctl_prompt_confirm(const struct ctl_run *run);
/* One line, its end cut off. @errors ARGUMENT empty, closed or too long: said in problem */
VY_CHECKED struct vy_err ctl_prompt_password(const struct ctl_run *run, struct vy_secret **out,
                                             struct vy_buf *problem);
/* One line, or what comes before the end: a code of a second factor. Empty: none came. */
VY_CHECKED struct vy_err ctl_prompt_code(const struct ctl_run *run, struct vy_secret **out);
