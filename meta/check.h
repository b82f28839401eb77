/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * `volary-meta check DIR`: the tables of a stopped meta member compared with each other. The audit
 * chain is verified from its first record; accounts lead to their addresses and back; who may have
 * a wrapped key has one, and who must not has none (P8).
 */
#include "replica/check.h"

/* As check_tables of struct check_config. */
VY_CHECKED struct vy_err meta_check_tables(const struct store_reader *reader, struct check *check);
/* The command; returns the exit code. */
int meta_check_main(const char *data_dir);
