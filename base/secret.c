/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include "base/assert.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_FILE_BYTES_MAX 4096U

struct vy_secret {
    size_t mapped_bytes;
    size_t len;
    uint8_t data[];
};

void vy_wipe(void *memory, size_t len)
{
    if (len > 0) {
        explicit_bzero(memory, len);
    }
}

struct vy_err vy_secret_new(struct vy_bytes bytes, struct vy_secret **out)
{
    const size_t mapped = sizeof(struct vy_secret) + bytes.len;
    struct vy_secret *secret =
        mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (secret == MAP_FAILED) {
        return vy_error_sys(VY_CODE_NOMEM, errno, "memory for a secret");
    }
    /* Best effort: RLIMIT_MEMLOCK may be small; swap and cores are the machine's owner's business
     * then. */
    (void)mlock(secret, mapped);
    (void)madvise(secret, mapped, MADV_DONTDUMP);
    (void)madvise(secret, mapped, MADV_WIPEONFORK);
    secret->mapped_bytes = mapped;
    secret->len = bytes.len;
    if (bytes.len > 0) {
        memcpy(secret->data, bytes.data, bytes.len);
    }
    *out = secret;
    return vy_ok();
}

void vy_secret_free(struct vy_secret *secret)
{
    if (secret == NULL) {
        return;
    }
    const size_t mapped = secret->mapped_bytes;
    vy_wipe(secret, mapped);
    (void)munmap(secret, mapped);
}

struct vy_bytes vy_secret_bytes(const struct vy_secret *secret)
{
    return vy_bytes(secret->data, secret->len);
}

/* C2: the opened file is checked, not its name, so a link may lead to it (mounted secrets are
 * links). */
static struct vy_err check_file(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return vy_error_sys(VY_CODE_IO, errno, "secret file");
    }
    if (!S_ISREG(st.st_mode)) {
        return vy_error(VY_CODE_ARGUMENT, "secret file is not a file");
    }
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return vy_error(VY_CODE_DENIED, "secret file is open to others: chmod 0600 it");
    }
    return st.st_size <= (off_t)SECRET_FILE_BYTES_MAX
               ? vy_ok()
               : vy_error(VY_CODE_LIMIT, "secret file is too large");
}

static struct vy_err read_all(int fd, struct vy_secret **out)
{
    uint8_t bytes[SECRET_FILE_BYTES_MAX + 1];
    size_t len = 0;
    ssize_t got = 0;
    do {
        got = read(fd, bytes + len, sizeof(bytes) - len);
        len += got > 0 ? (size_t)got : 0;
    } while (got > 0 && len < sizeof(bytes));
    struct vy_err err = vy_ok();
    if (got < 0) {
        err = vy_error_sys(VY_CODE_IO, errno, "secret file");
    } else if (len > SECRET_FILE_BYTES_MAX) {
        err = vy_error(VY_CODE_LIMIT, "secret file is too large");
    } else {
        err = vy_secret_new(vy_bytes_trim_crlf(vy_bytes(bytes, len)), out);
    }
    vy_wipe(bytes, sizeof(bytes));
    return err;
}

struct vy_err vy_secret_read_file(const char *path, struct vy_secret **out)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return vy_error_sys(errno == ENOENT ? VY_CODE_NOT_FOUND : VY_CODE_DENIED, errno,
                            "secret file");
    }
    struct vy_err err = check_file(fd);
    if (!vy_failed(err)) {
        err = read_all(fd, out);
    }
    (void)close(fd);
    return err;
}
