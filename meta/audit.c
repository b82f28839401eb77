/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/audit.h"

#include "meta/fsm_private.h"
#include <openssl/evp.h>

#define VERIFY_PAGE_ROWS 256U
#define VERIFY_PAGE_BYTES_MAX (4U * 1024 * 1024)

struct vy_err audit_hash(struct vy_bytes previous, const struct audit_row *row,
                         struct vy_buf *scratch, uint8_t out[AUDIT_HASH_BYTES])
{
    struct audit_row bare = *row;
    bare.hash = vy_bytes(NULL, 0);
    vy_buf_reset(scratch);
    vy_buf_append(scratch, previous);
    VY_TRY(vy_pb_encode(&audit_row_desc, &bare, scratch));
    const struct vy_bytes text = vy_buf_bytes(scratch);
    if (EVP_Digest(text.data, text.len, out, NULL, EVP_sha256(), NULL) != 1) {
        return vy_error(VY_CODE_NOMEM, "hash of an audit record");
    }
    return vy_ok();
}

struct vy_err audit_append(struct fsm_step *step, struct audit_row *record)
{
    struct audit_head_row head;
    uint8_t hash[AUDIT_HASH_BYTES];
    VY_TRY(audit_head_get(&step->view, &head));
    record->sequence = head.sequence + 1;
    record->time_ms = step->entry->time_ms;
    VY_TRY(audit_hash(head.hash, record, &step->fsm->scratch, hash));
    record->hash = vy_bytes(hash, sizeof(hash));
    const struct meta_key key = meta_key_u64(record->sequence);
    VY_TRY(fsm_put(step, META_FAMILY_AUDIT, meta_key_bytes(&key), &audit_row_desc, record));
    head = (struct audit_head_row){.sequence = record->sequence, .hash = record->hash};
    return fsm_put(step, META_FAMILY_CLUSTER, META_KEY_AUDIT_HEAD, &audit_head_row_desc, &head);
}

struct vy_err audit_read(const struct meta_view *view, uint64_t sequence, size_t rows_max,
                         struct table_rows *out)
{
    const struct meta_key from = meta_key_u64(sequence);
    const struct table_page page = {.family = META_FAMILY_AUDIT,
                                    .from = meta_key_bytes(&from),
                                    .rows_max = rows_max,
                                    .desc = &audit_row_desc};
    return table_read_page(view, &page, out);
}

/* ---- verifying ---- */

struct verifier {
    struct meta_view view;
    struct vy_buf scratch;
    uint8_t previous[AUDIT_HASH_BYTES];
    uint64_t count;
    uint64_t bad_sequence;
    bool is_end;
};

static struct vy_err verify_record(struct verifier *verifier, const struct audit_row *row,
                                   struct vy_bytes key)
{
    const uint64_t expected = verifier->count + 1;
    const struct meta_key expected_key = meta_key_u64(expected);
    const struct vy_bytes previous =
        vy_bytes(verifier->previous, verifier->count == 0 ? 0 : AUDIT_HASH_BYTES);
    uint8_t hash[AUDIT_HASH_BYTES];
    VY_TRY(audit_hash(previous, row, &verifier->scratch, hash));
    if (row->sequence != expected || !vy_bytes_equal(key, meta_key_bytes(&expected_key)) ||
        !vy_bytes_equal(row->hash, vy_bytes(hash, sizeof(hash)))) {
        verifier->bad_sequence = expected;
        return vy_ok();
    }
    memcpy(verifier->previous, hash, sizeof(hash));
    verifier->count = expected;
    return vy_ok();
}

static struct vy_err verify_page(struct verifier *verifier)
{
    struct table_rows rows = {.count = 0};
    vy_arena_reset(verifier->view.arena);
    const struct vy_err err =
        audit_read(&verifier->view, verifier->count + 1, VERIFY_PAGE_ROWS, &rows);
    if (err.code ==
        VY_CODE_CORRUPT) { /* a record that does not decode is a bad one, not a failure */
        verifier->bad_sequence = verifier->count + 1;
        return vy_ok();
    }
    VY_TRY(err);
    const struct audit_row *records = rows.rows;
    for (size_t i = 0; i < rows.count && verifier->bad_sequence == 0; i++) {
        VY_TRY(verify_record(verifier, &records[i], rows.keys[i]));
    }
    verifier->is_end = !rows.is_more;
    return vy_ok();
}

static struct vy_err verify_all(struct verifier *verifier, struct audit_check *out)
{
    struct audit_head_row head;
    while (!verifier->is_end && verifier->bad_sequence == 0) {
        VY_TRY(verify_page(verifier));
    }
    vy_arena_reset(verifier->view.arena);
    VY_TRY(audit_head_get(&verifier->view, &head));
    const struct vy_bytes last =
        vy_bytes(verifier->previous, verifier->count == 0 ? 0 : AUDIT_HASH_BYTES);
    const bool is_whole = head.sequence == verifier->count && vy_bytes_equal(head.hash, last);
    if (verifier->bad_sequence == 0 && !is_whole) {
        verifier->bad_sequence = verifier->count + 1; /* the end was cut off */
    }
    *out = (struct audit_check){.is_intact = verifier->bad_sequence == 0,
                                .record_count = verifier->count,
                                .first_bad_sequence = verifier->bad_sequence};
    return vy_ok();
}

struct vy_err audit_verify(const struct store_reader *reader, struct audit_check *out)
{
    struct vy_arena arena;
    vy_arena_init(&arena, VERIFY_PAGE_BYTES_MAX);
    struct verifier verifier = {
        .view = {.reader = reader, .arena = &arena}
    };
    vy_buf_init(&verifier.scratch, AUDIT_ROW_BYTES_MAX);
    const struct vy_err err = verify_all(&verifier, out);
    vy_buf_deinit(&verifier.scratch);
    vy_arena_deinit(&arena);
    return err;
}
