/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Checking an export of the audit chain ("audit export") with nothing but its lines, and the public
 * key of the cluster if there is one: anywhere, without a server. Each line carries the record as
 * the chain has it (row) and its hash; the last line is a checkpoint, signed: up to where the chain
 * goes, and what the export says.
 *
 * What a line shows of a record's sealed part (actor, subject, detail) is covered by the signature
 * of the checkpoint, not by the chain.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define AUDIT_FILE_LINE_BYTES_MAX (256U * 1024U)
#define AUDIT_FILE_FORMAT "volary-audit-1"

enum audit_file_signature {
    AUDIT_FILE_SIGNATURE_ABSENT,
    AUDIT_FILE_SIGNATURE_NOT_CHECKED, /* no key was given */
    AUDIT_FILE_SIGNATURE_BAD,
    AUDIT_FILE_SIGNATURE_GOOD
};

struct audit_file_result {
    bool is_intact;
    enum audit_file_signature signature;
    uint64_t record_count;
    uint64_t first_sequence;
    uint64_t last_sequence;
    uint64_t bad_sequence; /* where it breaks; 0: nowhere */
    const char *reason;    /* literal; NULL: intact */
};

struct audit_file;
/* @errors NOMEM */
VY_CHECKED struct vy_err audit_file_new(struct audit_file **out);
void audit_file_free(struct audit_file *file); /* NULL is allowed */
/* The lines in order, each without its line end. Of what follows the first that is wrong nothing is
 * looked at. */
void audit_file_line(struct audit_file *file, struct vy_bytes line);
/* Behind the last. public_key: CERTIFICATE_KEY_BYTES bytes, or empty. */
void audit_file_finish(struct audit_file *file, struct vy_bytes public_key,
                       struct audit_file_result *out);
