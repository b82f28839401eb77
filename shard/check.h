/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * `volary-shard check DIR`: the tables of a stopped shard compared with each other. Mailbox
 * counters with the index blocks, every message with its reference, email row and body chunks,
 * names with their mailboxes. What is sealed stays sealed: no key is needed, and none is read.
 */
#include "replica/check.h"

/* As check_tables of struct check_config. */
VY_CHECKED struct vy_err shard_check_tables(const struct store_reader *reader, struct check *check);
/* The command; returns the exit code. */
int shard_check_main(const char *data_dir);
