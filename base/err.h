/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The error value: sixteen bytes, returned, never dropped. The closed list of codes with their log,
 * SMTP, IMAP and gRPC meanings is err_table.h. Knows nothing of who reports it.
 */
#include <stdbool.h>
#include <stdint.h>

#define VY_CHECKED __attribute__((warn_unused_result))

enum vy_code {
#define X(name, text, retry, smtp, imap, grpc) VY_CODE_##name,
#include "base/err_table.h"
#undef X
    VY_CODE_COUNT
};

struct vy_err {
    enum vy_code code; /* VY_CODE_OK: no error */
    int sys;           /* errno where it happened, or 0 */
    const char *what;  /* string literal: the step that failed; NULL for ok */
};

static inline struct vy_err vy_ok(void)
{
    return (struct vy_err){.code = VY_CODE_OK};
}
static inline bool vy_failed(struct vy_err err)
{
    return err.code != VY_CODE_OK;
}
static inline struct vy_err vy_error(enum vy_code code, const char *what)
{
    return (struct vy_err){.code = code, .what = what};
}
static inline struct vy_err vy_error_sys(enum vy_code code, int sys, const char *what)
{
    return (struct vy_err){.code = code, .sys = sys, .what = what};
}
/* Drops a result on purpose; the reason stands at the call. */
static inline void vy_ignore(struct vy_err err, const char *why)
{
    (void)err;
    (void)why;
}

/* Returns from the calling function with the error of `call`, if it failed. */
#define VY_TRY(call)                                                                               \
    do {                                                                                           \
        const struct vy_err vy_try_err = (call);                                                   \
        if (vy_failed(vy_try_err)) {                                                               \
            return vy_try_err;                                                                     \
        }                                                                                          \
    } while (0)

const char *vy_code_name(enum vy_code code); /* "NOT_FOUND" */
const char *vy_code_text(enum vy_code code); /* for logs and people */
bool vy_code_is_retryable(enum vy_code code);
const char *vy_code_smtp_reply(enum vy_code code); /* "550 5.1.1" */
const char *vy_code_imap_code(enum vy_code code);  /* "NONEXISTENT", or "" */
int vy_code_grpc_status(enum vy_code code);        /* 0..16 */
