/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The files of a database on their way: a list with lengths and SHA-256 (the manifest), reading and
 * checking them piece by piece, and the directory in which they arrive. Knows neither raft nor
 * links. @blocks everything that has a directory or a path
 */
#include "base/buf.h"
#include "replica/install.h"

#define SNAPSHOT_HASH_BYTES 32U
#define SNAPSHOT_ID_BYTES 16U
#define SNAPSHOT_FILES_MAX 65536U
#define SNAPSHOT_NAME_BYTES_MAX 120U
#define SNAPSHOT_MANIFEST_BYTES_MAX (12U * 1024 * 1024) /* of the longest list */
#define SNAPSHOT_STEP_BYTES (8U * 1024 * 1024)          /* hashed at a time */

/* ---- the list ---- */

struct snapshot_file {
    char name[SNAPSHOT_NAME_BYTES_MAX + 1];
    uint64_t bytes;
    uint8_t hash[SNAPSHOT_HASH_BYTES];
};
struct snapshot_manifest {
    struct snapshot_file *files; /* owned */
    size_t count;
    uint64_t bytes; /* of all files */
};
/* Names and lengths of the files in `dir`, sorted; hashes are zero. @errors IO; LIMIT; ARGUMENT a
 * name that nobody would take, or something that is no file */
VY_CHECKED struct vy_err snapshot_manifest_scan(const char *dir, struct snapshot_manifest *out);
VY_CHECKED struct vy_err snapshot_manifest_encode(const struct snapshot_manifest *manifest,
                                                  struct vy_buf *out);
/* Every name is one that may be created in a directory of ours. @errors CORRUPT, LIMIT,
 * UNSUPPORTED, NOMEM */
VY_CHECKED struct vy_err snapshot_manifest_decode(struct vy_bytes bytes,
                                                  struct snapshot_manifest *out);
void snapshot_manifest_deinit(struct snapshot_manifest *manifest);
void snapshot_hash(struct vy_bytes bytes, uint8_t out[SNAPSHOT_HASH_BYTES]);

/* ---- hashing files, in steps ---- */

struct snapshot_hasher;
/* sync: what is in the file is made durable first. @errors IO; CORRUPT not of that length */
VY_CHECKED struct vy_err snapshot_hasher_open(const char *dir, const struct snapshot_file *file,
                                              bool sync, struct snapshot_hasher **out);
/* At most SNAPSHOT_STEP_BYTES more. True: all is read, and `out` has the hash. @errors IO; CORRUPT
 * the file became shorter */
VY_CHECKED struct vy_err snapshot_hasher_step(struct snapshot_hasher *hasher, bool *is_done,
                                              uint8_t out[SNAPSHOT_HASH_BYTES]);
void snapshot_hasher_free(struct snapshot_hasher *hasher); /* NULL is allowed */

/* ---- pieces of files ---- */

/* Exactly `len` bytes are appended. @errors IO; CORRUPT the file is shorter */
VY_CHECKED struct vy_err snapshot_read(const char *dir, const char *name, uint64_t offset,
                                       size_t len, struct vy_buf *out);
VY_CHECKED struct vy_err snapshot_write(const char *dir, const char *name, uint64_t offset,
                                        struct vy_bytes bytes);

/* ---- the directory in which they arrive: DIR.incoming, see install.h ---- */

struct snapshot_offer {
    uint8_t id[SNAPSHOT_ID_BYTES];
    uint8_t manifest_hash[SNAPSHOT_HASH_BYTES];
    uint64_t manifest_bytes;
    uint64_t index; /* the database holds at least this much */
    uint64_t term;  /* of that entry */
    uint64_t from;  /* the member that made it; not in frames */
};
/* Makes the directory ready for this offer: what came of it before stays, and of an earlier one of
 * the same member the tables and blob files, which never change; all else goes. The list
 * is appended to *manifest when it is there already. @errors IO */
VY_CHECKED struct vy_err staging_open(const char *dir, const struct snapshot_offer *offer,
                                      struct vy_buf *manifest);
VY_CHECKED struct vy_err staging_write_manifest(const char *dir, struct vy_bytes manifest);
/* How much of each file is there; longer ones than in the list are removed, empty ones made.
 * `lengths` has manifest->count places. */
VY_CHECKED struct vy_err staging_measure(const char *dir, const struct snapshot_manifest *manifest,
                                         uint64_t *lengths);
VY_CHECKED struct vy_err staging_remove_file(const char *dir, const char *name);
/* Files that are not in the list would be taken for the database's. */
VY_CHECKED struct vy_err staging_remove_strangers(const char *dir,
                                                  const struct snapshot_manifest *manifest);
