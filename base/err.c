/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include "base/assert.h"
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    const char *text;
    bool is_retryable;
    const char *smtp;
    const char *imap;
    int grpc;
} table[VY_CODE_COUNT] = {
#define X(code, text, retry, smtp, imap, grpc)                                                     \
    [VY_CODE_##code] = {#code, text, retry, smtp, imap, grpc},
#include "base/err_table.h"
#undef X
};

const char *vy_code_name(enum vy_code code)
{
    VY_ASSERT(code < VY_CODE_COUNT);
    return table[code].name;
}

const char *vy_code_text(enum vy_code code)
{
    VY_ASSERT(code < VY_CODE_COUNT);
    return table[code].text;
}

bool vy_code_is_retryable(enum vy_code code)
{
    VY_ASSERT(code < VY_CODE_COUNT);
    return table[code].is_retryable;
}

const char *vy_code_smtp_reply(enum vy_code code)
{
    VY_ASSERT(code < VY_CODE_COUNT);
    return table[code].smtp;
}

const char *vy_code_imap_code(enum vy_code code)
{
    VY_ASSERT(code < VY_CODE_COUNT);
    return table[code].imap;
}

int vy_code_grpc_status(enum vy_code code)
{
    VY_ASSERT(code < VY_CODE_COUNT);
    return table[code].grpc;
}

void vy_assert_fail(const char *condition, const char *file, int line, const char *func)
{
    (void)fprintf(stderr, "assertion failed: %s at %s:%d (%s)\n", condition, file, line, func);
    abort();
}
