/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/store_reason.h"

#include "base/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ERRNO_MAX 133 /* Linux: EHWPOISON */

void store_reason_init(struct store_reason *reason)
{
    pthread_mutex_init(&reason->lock, NULL);
    reason->text[0] = '\0';
}

void store_reason_deinit(struct store_reason *reason)
{
    pthread_mutex_destroy(&reason->lock);
}

void store_reason_note(struct store_reason *reason, const char *text)
{
    static const char gap[] = " ... ";
    const size_t half = (STORE_REASON_BYTES - sizeof(gap)) / 2;
    const size_t len = strlen(text);
    if (reason == NULL) {
        return;
    }
    pthread_mutex_lock(&reason->lock);
    if (len < STORE_REASON_BYTES) {
        memcpy(reason->text, text, len + 1);
    } else {
        (void)snprintf(reason->text, sizeof(reason->text), "%.*s%s%s", (int)half, text, gap,
                       text + len - half);
    }
    pthread_mutex_unlock(&reason->lock);
}

void store_reason_copy(struct store_reason *reason, struct vy_err err, char out[STORE_REASON_BYTES])
{
    const char *text = err.sys == 0 ? NULL : strerrordesc_np(err.sys);
    pthread_mutex_lock(&reason->lock);
    memcpy(out, reason->text, STORE_REASON_BYTES);
    pthread_mutex_unlock(&reason->lock);
    if (out[0] == '\0' && text != NULL) {
        (void)snprintf(out, STORE_REASON_BYTES, "%s", text);
    }
}

int store_reason_errno(const char *text)
{
    for (int sys = 1; sys <= ERRNO_MAX; sys++) {
        const char *name = strerrordesc_np(sys);
        if (name != NULL && vy_bytes_ends_with(vy_cstr(text), vy_cstr(name))) {
            return sys;
        }
    }
    return 0;
}

static const char *step_of_errno(int sys)
{
    switch (sys) {
    case ENOSPC:
    case EDQUOT:
        return "free space on this disk, then start again";
    case EACCES:
    case EPERM:
        return "let the user that runs this process write to the directory";
    case EROFS:
        return "the file system is read-only: see the kernel log (dmesg), repair and remount it";
    case EIO:
    case ENODEV:
    case ENXIO:
        return "the disk fails: see the kernel log (dmesg), replace it; this member's data is on "
               "the "
               "others of its group";
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files (LimitNOFILE, ulimit -n)";
    case ENOMEM:
        return "give the process more memory, or lower data.memory";
    default:
        return NULL;
    }
}

const char *store_next_step(struct vy_err err)
{
    const char *step = step_of_errno(err.sys);
    if (step != NULL) {
        return step;
    }
    switch (err.code) {
    case VY_CODE_CORRUPT:
        return "keep a copy of the directory; this member's data is on the others of its group, or "
               "in a backup";
    case VY_CODE_BUSY:
        return "stop the other process, or give this one a directory of its own";
    case VY_CODE_UNSUPPORTED:
        return "start a version that knows this format";
    case VY_CODE_PRECONDITION:
        return "give this member its own directory, or a ticket for an empty one";
    case VY_CODE_NOMEM:
        return step_of_errno(ENOMEM);
    default:
        return "see the reason in this line, then start again";
    }
}
