/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/snapshot_files.h"

#include "base/assert.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST_VERSION 1U
#define MANIFEST_HEAD_BYTES 5U                         /* version u8, count u32 */
#define ROW_HEAD_BYTES (1U + 8U + SNAPSHOT_HASH_BYTES) /* length of the name, bytes, hash */
#define READ_BYTES (256U * 1024)

/* Of RocksDB's: letters, digits, dot, dash, underscore. No dot in front, so neither "." nor "..";
 * and no note (install.h), which is ours to write. */
static bool is_name(struct vy_bytes name)
{
    if (name.len == 0 || name.len > SNAPSHOT_NAME_BYTES_MAX || name.data[0] == '.' ||
        vy_bytes_starts_with(name, VY_LIT("MEMBER"))) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t c = name.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '.' || c == '-' || c == '_')) {
            return false;
        }
    }
    return true;
}

static struct vy_err join(const char *dir, const char *name, char out[INSTALL_PATH_BYTES_MAX])
{
    VY_ASSERT(is_name(vy_cstr(name)));
    const int len = snprintf(out, INSTALL_PATH_BYTES_MAX, "%s/%s", dir, name);
    return len > 0 && (size_t)len < INSTALL_PATH_BYTES_MAX
               ? vy_ok()
               : vy_error(VY_CODE_LIMIT, "path of a file");
}

void snapshot_hash(struct vy_bytes bytes, uint8_t out[SNAPSHOT_HASH_BYTES])
{
    SHA256(bytes.data, bytes.len, out);
}

/* ---- the list ---- */

static struct vy_err add_file(struct snapshot_manifest *manifest, size_t *capacity,
                              struct vy_bytes name, uint64_t bytes)
{
    if (!is_name(name)) {
        return vy_error(VY_CODE_ARGUMENT, "name of a file of a snapshot");
    }
    if (manifest->count >= SNAPSHOT_FILES_MAX) {
        return vy_error(VY_CODE_LIMIT, "files of a snapshot");
    }
    if (manifest->count == *capacity) {
        const size_t wanted = VY_MAX((size_t)64, *capacity * 2);
        struct snapshot_file *grown = realloc(manifest->files, wanted * sizeof(*grown));
        if (grown == NULL) {
            return vy_error(VY_CODE_NOMEM, "files of a snapshot");
        }
        manifest->files = grown;
        *capacity = wanted;
    }
    struct snapshot_file *file = &manifest->files[manifest->count++];
    *file = (struct snapshot_file){.bytes = bytes};
    memcpy(file->name, name.data, name.len);
    manifest->bytes += bytes;
    return vy_ok();
}

static struct vy_err scan_one(struct snapshot_manifest *manifest, size_t *capacity, int dir_fd,
                              const char *name)
{
    struct stat info;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return vy_ok();
    }
    if (fstatat(dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return vy_error_sys(VY_CODE_IO, errno, "look at file");
    }
    if (!S_ISREG(info.st_mode)) {
        return vy_error(VY_CODE_ARGUMENT, "not a file");
    }
    return add_file(manifest, capacity, vy_cstr(name), (uint64_t)info.st_size);
}

static int compare_files(const void *a, const void *b)
{
    const struct snapshot_file *left = a;
    const struct snapshot_file *right = b;
    return strcmp(left->name, right->name);
}

struct vy_err snapshot_manifest_scan(const char *dir, struct snapshot_manifest *out)
{
    struct snapshot_manifest manifest = {.files = NULL};
    size_t capacity = 0;
    struct vy_err err = vy_ok();
    DIR *list = opendir(dir);
    if (list == NULL) {
        return vy_error_sys(VY_CODE_IO, errno, "read directory of a snapshot");
    }
    for (const struct dirent *item = readdir(list); item != NULL && !vy_failed(err);
         item = readdir(list)) {
        err = scan_one(&manifest, &capacity, dirfd(list), item->d_name);
    }
    (void)closedir(list);
    if (vy_failed(err)) {
        snapshot_manifest_deinit(&manifest);
        return err;
    }
    if (manifest.count > 0) {
        qsort(manifest.files, manifest.count, sizeof(*manifest.files), compare_files);
    }
    *out = manifest;
    return vy_ok();
}

struct vy_err snapshot_manifest_encode(const struct snapshot_manifest *manifest, struct vy_buf *out)
{
    vy_buf_append_byte(out, MANIFEST_VERSION);
    vy_buf_append_be32(out, (uint32_t)manifest->count);
    for (size_t i = 0; i < manifest->count; i++) {
        const struct snapshot_file *file = &manifest->files[i];
        vy_buf_append_byte(out, (uint8_t)strlen(file->name));
        vy_buf_append_be64(out, file->bytes);
        vy_buf_append(out, vy_bytes(file->hash, sizeof(file->hash)));
        vy_buf_append_cstr(out, file->name);
    }
    return vy_buf_error(out);
}

static struct vy_err decode_row(struct vy_bytes *rest, struct snapshot_manifest *out,
                                size_t *capacity)
{
    if (rest->len < ROW_HEAD_BYTES || rest->len - ROW_HEAD_BYTES < rest->data[0]) {
        return vy_error(VY_CODE_CORRUPT, "list of files is cut");
    }
    const struct vy_bytes name = vy_bytes(rest->data + ROW_HEAD_BYTES, rest->data[0]);
    const uint64_t bytes = vy_get_be64(rest->data + 1);
    if (!is_name(name) || bytes > INT64_MAX - out->bytes) {
        return vy_error(VY_CODE_CORRUPT, "name or length in a list of files");
    }
    VY_TRY(add_file(out, capacity, name, bytes));
    struct snapshot_file *file = &out->files[out->count - 1];
    memcpy(file->hash, rest->data + 9, SNAPSHOT_HASH_BYTES);
    if (out->count > 1 && strcmp(file[-1].name, file->name) >= 0) {
        return vy_error(VY_CODE_CORRUPT, "order of a list of files");
    }
    *rest = vy_bytes_from(*rest, ROW_HEAD_BYTES + name.len);
    return vy_ok();
}

struct vy_err snapshot_manifest_decode(struct vy_bytes bytes, struct snapshot_manifest *out)
{
    struct snapshot_manifest manifest = {.files = NULL};
    size_t capacity = 0;
    if (bytes.len < MANIFEST_HEAD_BYTES) {
        return vy_error(VY_CODE_CORRUPT, "list of files is cut");
    }
    if (bytes.data[0] != MANIFEST_VERSION) {
        return vy_error(VY_CODE_UNSUPPORTED, "list of files has a newer format");
    }
    const uint32_t count = vy_get_be32(bytes.data + 1);
    struct vy_bytes rest = vy_bytes_from(bytes, MANIFEST_HEAD_BYTES);
    struct vy_err err = count == 0 || count > SNAPSHOT_FILES_MAX
                            ? vy_error(VY_CODE_LIMIT, "files of a snapshot")
                            : vy_ok();
    for (uint32_t i = 0; i < count && !vy_failed(err); i++) {
        err = decode_row(&rest, &manifest, &capacity);
    }
    if (!vy_failed(err) && rest.len > 0) {
        err = vy_error(VY_CODE_CORRUPT, "bytes behind a list of files");
    }
    if (vy_failed(err)) {
        snapshot_manifest_deinit(&manifest);
        return err;
    }
    *out = manifest;
    return vy_ok();
}

void snapshot_manifest_deinit(struct snapshot_manifest *manifest)
{
    free(manifest->files);
    *manifest = (struct snapshot_manifest){.files = NULL};
}

/* ---- hashing files ---- */

struct snapshot_hasher {
    int fd;
    uint64_t left;
    EVP_MD_CTX *digest;
    uint8_t bytes[READ_BYTES];
};

void snapshot_hasher_free(struct snapshot_hasher *hasher)
{
    if (hasher == NULL) {
        return;
    }
    if (hasher->fd >= 0) {
        (void)close(hasher->fd);
    }
    EVP_MD_CTX_free(hasher->digest);
    free(hasher);
}

static struct vy_err begin(struct snapshot_hasher *hasher, const char *path,
                           const struct snapshot_file *file, bool sync)
{
    struct stat info;
    hasher->digest = EVP_MD_CTX_new();
    if (hasher->digest == NULL || EVP_DigestInit_ex(hasher->digest, EVP_sha256(), NULL) != 1) {
        return vy_error(VY_CODE_NOMEM, "hash of a file");
    }
    hasher->fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (hasher->fd < 0 || fstat(hasher->fd, &info) != 0) {
        return vy_error_sys(errno == ENOENT ? VY_CODE_CORRUPT : VY_CODE_IO, errno, "open file");
    }
    if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size != file->bytes) {
        return vy_error(VY_CODE_CORRUPT, "length of a file");
    }
    if (sync && fsync(hasher->fd) != 0) {
        return vy_error_sys(VY_CODE_IO, errno, "sync file");
    }
    return vy_ok();
}

struct vy_err snapshot_hasher_open(const char *dir, const struct snapshot_file *file, bool sync,
                                   struct snapshot_hasher **out)
{
    char path[INSTALL_PATH_BYTES_MAX];
    VY_TRY(join(dir, file->name, path));
    struct snapshot_hasher *hasher = calloc(1, sizeof(*hasher));
    if (hasher == NULL) {
        return vy_error(VY_CODE_NOMEM, "hash of a file");
    }
    hasher->fd = -1;
    hasher->left = file->bytes;
    const struct vy_err err = begin(hasher, path, file, sync);
    if (vy_failed(err)) {
        snapshot_hasher_free(hasher);
        return err;
    }
    *out = hasher;
    return vy_ok();
}

struct vy_err snapshot_hasher_step(struct snapshot_hasher *hasher, bool *is_done,
                                   uint8_t out[SNAPSHOT_HASH_BYTES])
{
    uint64_t step = VY_MIN(hasher->left, (uint64_t)SNAPSHOT_STEP_BYTES);
    while (step > 0) {
        const ssize_t got = read(hasher->fd, hasher->bytes, VY_MIN(step, (uint64_t)READ_BYTES));
        if (got < 0) {
            return vy_error_sys(VY_CODE_IO, errno, "read file");
        }
        if (got == 0) {
            return vy_error(VY_CODE_CORRUPT, "length of a file");
        }
        if (EVP_DigestUpdate(hasher->digest, hasher->bytes, (size_t)got) != 1) {
            return vy_error(VY_CODE_INTERNAL, "hash of a file");
        }
        step -= (uint64_t)got;
        hasher->left -= (uint64_t)got;
    }
    *is_done = hasher->left == 0;
    if (*is_done && EVP_DigestFinal_ex(hasher->digest, out, NULL) != 1) {
        return vy_error(VY_CODE_INTERNAL, "hash of a file");
    }
    return vy_ok();
}

/* ---- pieces of files ---- */

struct vy_err snapshot_read(const char *dir, const char *name, uint64_t offset, size_t len,
                            struct vy_buf *out)
{
    char path[INSTALL_PATH_BYTES_MAX];
    size_t done = 0;
    VY_TRY(join(dir, name, path));
    uint8_t *bytes = vy_buf_reserve(out, len);
    VY_TRY(vy_buf_error(out));
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return vy_error_sys(VY_CODE_IO, errno, "open file");
    }
    while (done < len) {
        const ssize_t got = pread(fd, bytes + done, len - done, (off_t)(offset + done));
        if (got <= 0) {
            const int sys = got < 0 ? errno : 0;
            (void)close(fd);
            return vy_error_sys(got < 0 ? VY_CODE_IO : VY_CODE_CORRUPT, sys, "read file");
        }
        done += (size_t)got;
    }
    (void)close(fd);
    vy_buf_added(out, len);
    return vy_ok();
}

struct vy_err snapshot_write(const char *dir, const char *name, uint64_t offset,
                             struct vy_bytes bytes)
{
    char path[INSTALL_PATH_BYTES_MAX];
    size_t done = 0;
    VY_TRY(join(dir, name, path));
    const int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return vy_error_sys(VY_CODE_IO, errno, "open file");
    }
    while (done < bytes.len) {
        const ssize_t put = pwrite(fd, bytes.data + done, bytes.len - done, (off_t)(offset + done));
        if (put <= 0) {
            const int sys = errno;
            (void)close(fd);
            return vy_error_sys(sys == ENOSPC ? VY_CODE_FULL : VY_CODE_IO, sys, "write file");
        }
        done += (size_t)put;
    }
    return close(fd) == 0 ? vy_ok() : vy_error_sys(VY_CODE_IO, errno, "write file");
}
