/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Records of the family chg: what happened to which messages of a mailbox at one modseq. Readers
 * fold those after a modseq into "new", "changed" and "vanished" (sync, QRESYNC); change.c writes
 * them for the state machine. Value: u8 kind, uid set.
 */
#include "shard/uids.h"

enum change_kind { CHANGE_ADDED = 1, CHANGE_FLAGS = 2, CHANGE_EXPUNGED = 3 };
#define CHANGE_RECORD_BYTES_MAX (4U * 1024U * 1024U)

struct change_record {
    enum change_kind kind;
    struct uid_ranges uids; /* arena */
};
/* @errors CORRUPT */
VY_CHECKED struct vy_err change_decode(struct vy_bytes value, struct vy_arena *arena,
                                       struct change_record *out);
