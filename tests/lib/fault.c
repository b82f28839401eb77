/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fault.h"

#include "base/assert.h"
#include <errno.h>

/* Names that the linker gives to the real functions and asks for in their place. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static _Thread_local uint64_t countdown; /* allocations up to and with the failing one; 0: off */
static _Thread_local bool has_fired;

bool fault_begin(uint64_t n)
{
    VY_ASSERT(n > 0);
    countdown = n;
    has_fired = false;
    return true;
}

bool fault_end(void)
{
    countdown = 0;
    return has_fired;
}

static bool is_to_fail(void)
{
    if (countdown == 0) {
        return false;
    }
    countdown--;
    if (countdown > 0) {
        return false;
    }
    has_fired = true;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return is_to_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_to_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return is_to_fail() ? NULL : __real_realloc(memory, size);
}

void *fault_safe_realloc(void *memory, size_t size)
{
    void *grown = __real_realloc(memory, size);
    VY_ASSERT(grown != NULL);
    return grown;
}
