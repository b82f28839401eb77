/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Assertions on our own bugs; on in every build. Never on input, disk content, peer messages or
 * allocation size.
 */
#include <stddef.h>

_Noreturn void vy_assert_fail(const char *condition, const char *file, int line, const char *func);

#define VY_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : vy_assert_fail(#condition, __FILE__, __LINE__, __func__))
#ifdef VOLARY_DEBUG_ASSERTS
#define VY_DEBUG_ASSERT(condition) VY_ASSERT(condition)
#else
#define VY_DEBUG_ASSERT(condition) ((void)sizeof(condition))
#endif
#define VY_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define VY_CONTAINER_OF(pointer, type, member)                                                     \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define VY_FALLTHROUGH __attribute__((fallthrough))
#define VY_UNUSED __attribute__((unused))
#define VY_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define VY_CLEANUP(function) __attribute__((cleanup(function)))
/* Moves a pointer out of a VY_CLEANUP variable. */
#define VY_TAKE(pointer)                                                                           \
    (__extension__({                                                                               \
        __typeof__(pointer) vy_taken = (pointer);                                                  \
        (pointer) = NULL;                                                                          \
        vy_taken;                                                                                  \
    }))
