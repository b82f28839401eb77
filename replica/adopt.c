/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/adopt.h"

#include "replica/replica_private.h"

struct received {
    struct store *store; /* borrowed */
    struct log_loaded log;
    struct writer_applied applied;
};

static struct vy_err check_identity(const struct received *received,
                                    const struct install_note *note)
{
    struct replica_identity theirs;
    bool is_found = false;
    VY_TRY(identity_read(store_newest(received->store), &theirs, &is_found));
    if (!is_found) {
        return vy_error(VY_CODE_CORRUPT, "the received database has no identity");
    }
    if (memcmp(theirs.cluster_id, note->identity.cluster_id, REPLICA_CLUSTER_ID_BYTES) != 0 ||
        theirs.group_id != note->identity.group_id) {
        return vy_error(VY_CODE_PRECONDITION, "the received database is of another group");
    }
    return vy_ok();
}

static struct vy_err load(struct received *received, const struct install_note *note)
{
    struct log_spans spans;
    log_spans_init(&spans, 1, 1, 1, 1);
    VY_TRY(writer_load_applied(store_newest(received->store), &received->applied));
    VY_TRY(log_load(store_newest(received->store), &spans, &received->log));
    const uint64_t applied = received->applied.index;
    if (received->log.base.index == 0 && received->log.row_count == 0) {
        return vy_error(VY_CODE_CORRUPT, "the received database has no log");
    }
    if (applied < note->index || applied < received->log.base.index ||
        applied > log_loaded_last(&received->log)) {
        return vy_error(VY_CODE_CORRUPT, "the received database does not hold what was promised");
    }
    return vy_ok();
}

/* What the log of this member begins with. Members are borrowed from the loaded log. */
static struct log_base find_base(const struct received *received)
{
    const struct log_loaded *log = &received->log;
    struct log_base base = log->base;
    for (uint64_t index = log->base.index + 1; index <= received->applied.index; index++) {
        const struct core_row *row = &log->rows[index - log->base.index - 1];
        base.term = row->term;
        if (row->change != NULL) {
            base.members = row->change;
            base.members_index = index;
        }
    }
    base.index = received->applied.index;
    base.last_time_ms = log->last_time_ms;
    return base;
}

/* What the sender had not applied may yet be replaced: here it never was. */
static struct vy_err remove_unapplied(const struct received *received, struct txn *txn)
{
    for (uint64_t index = received->applied.index + 1; index <= log_loaded_last(&received->log);
         index++) {
        struct entry *entry = NULL;
        VY_TRY(log_read_entry(store_newest(received->store), index, false, &entry));
        log_remove_entry(txn, entry);
        entry_unref(entry);
    }
    return vy_ok();
}

static struct vy_err write_rows(const struct received *received, const struct install_note *note,
                                struct txn *txn)
{
    const struct log_base base = find_base(received);
    const bool is_newer = base.term > note->term; /* a term this member has not voted in */
    struct vy_buf scratch;
    vy_buf_init(&scratch, ENTRY_BODY_BYTES_MAX + 64U);
    struct vy_err err = remove_unapplied(received, txn);
    if (!vy_failed(err) && base.index > received->log.base.index) {
        err = log_cut(txn_batch(txn), received->log.base.index, &base, &scratch);
    }
    vy_buf_deinit(&scratch);
    VY_TRY(err);
    log_put_hard(txn_batch(txn), is_newer ? base.term : note->term, is_newer ? 0 : note->voted_for);
    identity_put(txn_batch(txn), &note->identity);
    return txn_commit(txn, true);
}

/* The sender's log goes from the files too: nobody could tell later what it held (P8). */
static struct vy_err forget_log(struct store *store)
{
    VY_TRY(store_flush(store));
    return store_compact(store, REPLICA_FAMILY_RAFT, vy_bytes(NULL, 0), vy_bytes(NULL, 0));
}

struct vy_err adopt_store(struct store *store, const struct install_note *note)
{
    struct received received = {.store = store};
    struct txn *txn = NULL;
    struct vy_err err = check_identity(&received, note);
    if (!vy_failed(err)) {
        err = load(&received, note);
    }
    if (!vy_failed(err)) {
        err = txn_new(store, &txn);
    }
    if (!vy_failed(err)) {
        err = write_rows(&received, note, txn);
    }
    txn_free(txn);
    log_loaded_deinit(&received.log);
    return vy_failed(err) ? err : forget_log(store);
}
