/* SPDX-License-Identifier: Apache-2.0 */
/* The directory in which a snapshot arrives: what came of it is gone on with after a restart. */
#include "base/codec.h"
#include "replica/dir.h"
#include "replica/snapshot_files.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define OFFER_FILE "offer"
#define MANIFEST_FILE "manifest"
/* version u8, id, hash, bytes, index, term, from u64, crc u32 */
#define OFFER_BYTES (1U + SNAPSHOT_ID_BYTES + SNAPSHOT_HASH_BYTES + 32U + 4U)
#define FROM_AT (OFFER_BYTES - 12U)
#define OFFER_VERSION 2U

static void encode_offer(const struct snapshot_offer *offer, uint8_t out[OFFER_BYTES])
{
    uint8_t *at = out;
    *at++ = OFFER_VERSION;
    memcpy(at, offer->id, SNAPSHOT_ID_BYTES);
    at += SNAPSHOT_ID_BYTES;
    memcpy(at, offer->manifest_hash, SNAPSHOT_HASH_BYTES);
    at += SNAPSHOT_HASH_BYTES;
    vy_put_be64(at, offer->manifest_bytes);
    vy_put_be64(at + 8, offer->index);
    vy_put_be64(at + 16, offer->term);
    vy_put_be64(at + 24, offer->from);
    vy_put_be32(at + 32, vy_crc32c(0, vy_bytes(out, OFFER_BYTES - 4)));
}

enum known { KNOWN_NONE, KNOWN_SENDER, KNOWN_OFFER };

/* What the directory has of this offer. A damaged note of it is none. */
static enum known find_known(const char *incoming, const uint8_t wanted[OFFER_BYTES])
{
    struct vy_buf found;
    enum known known = KNOWN_NONE;
    vy_buf_init(&found, OFFER_BYTES);
    if (!vy_failed(snapshot_read(incoming, OFFER_FILE, 0, OFFER_BYTES, &found))) {
        const uint8_t *bytes = vy_buf_bytes(&found).data;
        const bool is_whole =
            vy_get_be32(bytes + OFFER_BYTES - 4) == vy_crc32c(0, vy_bytes(bytes, OFFER_BYTES - 4));
        if (memcmp(bytes, wanted, OFFER_BYTES) == 0) {
            known = KNOWN_OFFER;
        } else if (is_whole && vy_get_be64(bytes + FROM_AT) == vy_get_be64(wanted + FROM_AT)) {
            known = KNOWN_SENDER;
        }
    }
    vy_buf_deinit(&found);
    return known;
}

static struct vy_err find_dirs(const char *dir, char incoming[INSTALL_PATH_BYTES_MAX],
                               char db[INSTALL_PATH_BYTES_MAX])
{
    VY_TRY(install_path(dir, INSTALL_INCOMING, incoming));
    return install_path(dir, INSTALL_INCOMING_DB, db);
}

/* One that is damaged or missing is asked for again. */
static void load_manifest(const char *incoming, const struct snapshot_offer *offer,
                          struct vy_buf *out)
{
    uint8_t hash[SNAPSHOT_HASH_BYTES];
    if (vy_failed(snapshot_read(incoming, MANIFEST_FILE, 0, (size_t)offer->manifest_bytes, out))) {
        vy_buf_reset(out);
        return;
    }
    snapshot_hash(vy_buf_bytes(out), hash);
    if (memcmp(hash, offer->manifest_hash, sizeof(hash)) != 0) {
        vy_buf_reset(out);
    }
}

/* Another checkpoint of the same database has most of them again, under the same names. Whether
 * they are the same is seen when all is verified. */
static bool is_table(const void *arg, const char *name)
{
    (void)arg;
    return vy_bytes_ends_with(vy_cstr(name), VY_LIT(".sst")) ||
           vy_bytes_ends_with(vy_cstr(name), VY_LIT(".blob"));
}

/* Removes the files of DIR.incoming/db that are not to stay. */
static struct vy_err remove_files(const char *dir, const char *db,
                                  bool (*stays)(const void *arg, const char *name), const void *arg)
{
    struct vy_err err = vy_ok();
    DIR *list = opendir(db);
    if (list == NULL) {
        return vy_error_sys(VY_CODE_IO, errno, "read directory of a snapshot");
    }
    for (const struct dirent *item = readdir(list); item != NULL && !vy_failed(err);
         item = readdir(list)) {
        const bool is_dots = strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0;
        if (!is_dots && !stays(arg, item->d_name)) {
            err = staging_remove_file(dir, item->d_name);
        }
    }
    (void)closedir(list);
    return err;
}

struct vy_err staging_open(const char *dir, const struct snapshot_offer *offer,
                           struct vy_buf *manifest)
{
    char incoming[INSTALL_PATH_BYTES_MAX];
    char db[INSTALL_PATH_BYTES_MAX];
    uint8_t bytes[OFFER_BYTES];
    VY_TRY(find_dirs(dir, incoming, db));
    encode_offer(offer, bytes);
    const enum known known = dir_exists(db) ? find_known(incoming, bytes) : KNOWN_NONE;
    if (known == KNOWN_OFFER) {
        load_manifest(incoming, offer, manifest);
        return vy_ok();
    }
    if (known == KNOWN_SENDER) {
        VY_TRY(remove_files(dir, db, is_table, NULL));
    } else {
        VY_TRY(dir_remove(incoming));
        VY_TRY(dir_make(incoming));
        VY_TRY(dir_make(db));
    }
    return snapshot_write(incoming, OFFER_FILE, 0, vy_bytes(bytes, sizeof(bytes)));
}

struct vy_err staging_write_manifest(const char *dir, struct vy_bytes manifest)
{
    char incoming[INSTALL_PATH_BYTES_MAX];
    VY_TRY(install_path(dir, INSTALL_INCOMING, incoming));
    return snapshot_write(incoming, MANIFEST_FILE, 0, manifest);
}

struct vy_err staging_remove_file(const char *dir, const char *name)
{
    char db[INSTALL_PATH_BYTES_MAX];
    char path[INSTALL_PATH_BYTES_MAX];
    VY_TRY(install_path(dir, INSTALL_INCOMING_DB "/", db));
    VY_TRY(install_path(db, name, path));
    return unlink(path) == 0 || errno == ENOENT ? vy_ok()
                                                : vy_error_sys(VY_CODE_IO, errno, "remove file");
}

static struct vy_err measure_one(const char *dir, const char *db, const struct snapshot_file *file,
                                 uint64_t *length)
{
    char folder[INSTALL_PATH_BYTES_MAX];
    char path[INSTALL_PATH_BYTES_MAX];
    struct stat info;
    VY_TRY(install_path(db, "/", folder));
    VY_TRY(install_path(folder, file->name, path));
    const bool is_there = lstat(path, &info) == 0 && S_ISREG(info.st_mode);
    if (is_there && (uint64_t)info.st_size <= file->bytes) {
        *length = (uint64_t)info.st_size;
        return vy_ok();
    }
    *length = 0;
    VY_TRY(staging_remove_file(dir, file->name));
    return file->bytes == 0 ? snapshot_write(db, file->name, 0, vy_bytes(NULL, 0)) : vy_ok();
}

struct vy_err staging_measure(const char *dir, const struct snapshot_manifest *manifest,
                              uint64_t *lengths)
{
    char db[INSTALL_PATH_BYTES_MAX];
    VY_TRY(install_path(dir, INSTALL_INCOMING_DB, db));
    for (size_t i = 0; i < manifest->count; i++) {
        VY_TRY(measure_one(dir, db, &manifest->files[i], &lengths[i]));
    }
    return vy_ok();
}

static int compare_name(const void *key, const void *file)
{
    return strcmp(key, ((const struct snapshot_file *)file)->name);
}

static bool is_listed(const void *manifest, const char *name)
{
    const struct snapshot_manifest *listed = manifest;
    return bsearch(name, listed->files, listed->count, sizeof(*listed->files), compare_name) !=
           NULL;
}

struct vy_err staging_remove_strangers(const char *dir, const struct snapshot_manifest *manifest)
{
    char db[INSTALL_PATH_BYTES_MAX];
    VY_TRY(install_path(dir, INSTALL_INCOMING_DB, db));
    return remove_files(dir, db, is_listed, manifest);
}
