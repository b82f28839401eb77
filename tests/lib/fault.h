/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Makes the n-th allocation of this thread fail, so that a test can walk through every failing
 * half of the code under test:
 *
 *     for (uint64_t n = 1; fault_begin(n); n++) {
 *         const struct vy_err err = thing_under_test();
 *         if (!fault_end()) break;    // n was larger than the number of allocations
 *         assert_true(vy_failed(err));
 *     }
 *
 * Works by the linker (--wrap of malloc, calloc, realloc, in every program that links testlib);
 * allocations inside shared libraries are not seen.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lets the n-th allocation from now fail, n >= 1, once. Always true, for use as a loop condition.
 */
bool fault_begin(uint64_t n);
/* Stops counting. True: the fault happened. */
bool fault_end(void);
/* For fakes: memory that no fault touches; aborts when there is none. Freed by free(). */
void *fault_safe_realloc(void *memory, size_t size);
