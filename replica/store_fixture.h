/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A store of either engine for tests; that on disk lives in a new directory, removed at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "replica/store_mem.h"
#include <cmocka.h>

enum store_fixture_engine { STORE_FIXTURE_MEM, STORE_FIXTURE_ROCKS };
enum { FAMILY_ROWS, FAMILY_BLOBS, FAMILY_PREFIX, STORE_FIXTURE_FAMILIES };

struct store_fixture {
    enum store_fixture_engine engine;
    struct store_mem_disk *disk; /* MEM */
    char parent[64];             /* ROCKS; holds dir and copies of it */
    char dir[96];
    struct store *store;
    size_t family_count;         /* of the next open */
    struct store_reason *reason; /* ROCKS; of failures; NULL: not kept */
};

void store_fixture_init(struct store_fixture *f, enum store_fixture_engine engine); /* not open */
struct vy_err store_fixture_try_open(struct store_fixture *f, bool must_exist);
void store_fixture_open(struct store_fixture *f);
void store_fixture_close(struct store_fixture *f);
void store_fixture_deinit(struct store_fixture *f); /* closes, removes */

void store_fixture_put(struct store_fixture *f, unsigned family, const char *key,
                       const char *value);
/* Asserts that the newest value is this one; NULL: none. */
void store_fixture_check(struct store_fixture *f, unsigned family, const char *key,
                         const char *value);
/* The rows of a range as "key=value key=value ", until the next call. */
const char *store_fixture_rows(const struct store_reader *reader, unsigned family, const char *from,
                               const char *to, bool is_reverse);
