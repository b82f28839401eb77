/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/audit_file.h"

#include "base/codec.h"
#include "meta/certificate_check.h"
#include "proto/metalog.pb.h"
#include <openssl/evp.h>
#include <stdlib.h>

#define HASH_BYTES 32U
#define CHECKPOINT_BYTES_MAX 4096U

struct audit_file {
    struct vy_arena arena; /* of one line */
    EVP_MD_CTX *lines;     /* SHA-256 of all lines before the checkpoint */
    struct audit_file_result result;
    uint8_t hash[HASH_BYTES]; /* of the last record */
    uint8_t checkpoint[CHECKPOINT_BYTES_MAX];
    size_t checkpoint_len; /* 0: not seen yet */
};

struct vy_err audit_file_new(struct audit_file **out)
{
    struct audit_file *file = calloc(1, sizeof(*file));
    EVP_MD_CTX *lines = EVP_MD_CTX_new();
    if (file == NULL || lines == NULL || EVP_DigestInit_ex(lines, EVP_sha256(), NULL) != 1) {
        free(file);
        EVP_MD_CTX_free(lines);
        return vy_error(VY_CODE_NOMEM, "check of an export");
    }
    vy_arena_init(&file->arena, 4U * AUDIT_FILE_LINE_BYTES_MAX);
    file->lines = lines;
    file->result.is_intact = true;
    *out = file;
    return vy_ok();
}

void audit_file_free(struct audit_file *file)
{
    if (file != NULL) {
        vy_arena_deinit(&file->arena);
        EVP_MD_CTX_free(file->lines);
        free(file);
    }
}

static void break_off(struct audit_file *file, uint64_t sequence, const char *reason)
{
    if (file->result.is_intact) {
        file->result.is_intact = false;
        file->result.bad_sequence = sequence;
        file->result.reason = reason;
    }
}

/* ---- members of a line: a quote inside a string is escaped, so `,"name":` is never inside one
 * ---- */

static bool find_member(struct vy_bytes line, struct vy_bytes mark, struct vy_bytes *out)
{
    const size_t at = vy_bytes_find(line, mark, 0);
    if (at == SIZE_MAX) {
        return false;
    }
    *out = vy_bytes_from(line, at + mark.len);
    return true;
}

static bool find_text(struct vy_bytes line, struct vy_bytes mark, struct vy_bytes *out)
{
    struct vy_bytes rest;
    if (!find_member(line, mark, &rest) || vy_bytes_find_byte(rest, '"', 0) == SIZE_MAX) {
        return false;
    }
    *out = vy_bytes_cut(&rest, '"');
    return true;
}

static bool find_number(struct vy_bytes line, struct vy_bytes mark, uint64_t *out)
{
    struct vy_bytes rest;
    size_t len = 0;
    if (!find_member(line, mark, &rest)) {
        return false;
    }
    while (len < rest.len && rest.data[len] >= '0' && rest.data[len] <= '9') {
        len++;
    }
    return vy_parse_u64(vy_bytes_slice(rest, 0, len), out);
}

/* ---- records ---- */

struct file_record {
    uint64_t sequence;
    uint64_t time_ms;
    struct vy_bytes row;
    struct vy_bytes hash;
};

static bool read_record(struct audit_file *file, struct vy_bytes line, struct file_record *out)
{
    struct vy_bytes row;
    struct vy_bytes hash;
    return find_number(line, VY_LIT("{\"sequence\":"), &out->sequence) &&
           find_number(line, VY_LIT(",\"time_ms\":"), &out->time_ms) &&
           find_text(line, VY_LIT(",\"hash\":\""), &hash) &&
           find_text(line, VY_LIT(",\"row\":\""), &row) &&
           !vy_failed(vy_hex_decode(&file->arena, hash, &out->hash)) &&
           out->hash.len == HASH_BYTES &&
           !vy_failed(vy_base64_decode(&file->arena, row, &out->row));
}

/* What the line shows is what the record says. */
static bool is_shown_right(struct audit_file *file, const struct file_record *record)
{
    struct audit_row row;
    return !vy_failed(vy_pb_decode(&audit_row_desc, &file->arena, record->row, &row)) &&
           row.sequence == record->sequence && row.time_ms == record->time_ms;
}

static bool is_chained(const struct audit_file *file, const struct file_record *record)
{
    uint8_t hash[HASH_BYTES];
    unsigned len = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool has_previous = record->sequence > 1;
    const bool is_made =
        context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
        (!has_previous || EVP_DigestUpdate(context, file->hash, HASH_BYTES) == 1) &&
        EVP_DigestUpdate(context, record->row.data, record->row.len) == 1 &&
        EVP_DigestFinal_ex(context, hash, &len) == 1;
    EVP_MD_CTX_free(context);
    return is_made && vy_bytes_equal(record->hash, vy_bytes(hash, sizeof(hash)));
}

static void take_record(struct audit_file *file, struct vy_bytes line)
{
    struct audit_file_result *result = &file->result;
    const bool is_first = result->record_count == 0;
    struct file_record record;
    if (!read_record(file, line, &record)) {
        break_off(file, result->last_sequence + 1, "a line is no record of an audit export");
        return;
    }
    if (!is_first && record.sequence != result->last_sequence + 1) {
        break_off(file, result->last_sequence + 1,
                  "the sequence has a gap: records were removed, added or moved");
        return;
    }
    if (!is_shown_right(file, &record)) {
        break_off(file, record.sequence, "a line shows something else than its record says");
        return;
    }
    /* Of the first one of a part nobody knows what was before it. */
    if ((!is_first || record.sequence == 1) && !is_chained(file, &record)) {
        break_off(file, record.sequence,
                  "a record does not fit to the one before it: it was altered");
        return;
    }
    memcpy(file->hash, record.hash.data, HASH_BYTES);
    result->first_sequence = is_first ? record.sequence : result->first_sequence;
    result->last_sequence = record.sequence;
    result->record_count++;
}

/* ---- lines ---- */

static void take_checkpoint(struct audit_file *file, struct vy_bytes line)
{
    if (line.len > sizeof(file->checkpoint)) {
        break_off(file, file->result.last_sequence + 1, "the signed end is too long");
        return;
    }
    memcpy(file->checkpoint, line.data, line.len);
    file->checkpoint_len = line.len;
}

void audit_file_line(struct audit_file *file, struct vy_bytes line)
{
    if (!file->result.is_intact) {
        return;
    }
    if (file->checkpoint_len > 0) {
        break_off(file, file->result.last_sequence + 1, "something follows the signed end");
        return;
    }
    if (vy_bytes_starts_with(line, VY_LIT("{\"format\":\"" AUDIT_FILE_FORMAT "\","))) {
        take_checkpoint(file, line);
        return;
    }
    vy_arena_reset(&file->arena);
    take_record(file, line);
    if (EVP_DigestUpdate(file->lines, line.data, line.len) != 1 ||
        EVP_DigestUpdate(file->lines, "\n", 1) != 1) {
        break_off(file, file->result.last_sequence, "hash of the lines");
    }
}

/* ---- the end ---- */

static bool is_hex_of(struct audit_file *file, struct vy_bytes hex, const uint8_t hash[HASH_BYTES])
{
    struct vy_bytes bytes = {.len = 0};
    return !vy_failed(vy_hex_decode(&file->arena, hex, &bytes)) &&
           vy_bytes_equal(bytes, vy_bytes(hash, HASH_BYTES));
}

/* Does the checkpoint tell of these lines? */
static void check_checkpoint(struct audit_file *file, struct vy_bytes text)
{
    uint8_t lines[HASH_BYTES];
    unsigned len = 0;
    uint64_t sequence = 0;
    struct vy_bytes hash;
    struct vy_bytes export_hash;
    if (!find_number(text, VY_LIT(",\"sequence\":"), &sequence) ||
        !find_text(text, VY_LIT(",\"hash\":\""), &hash) ||
        !find_text(text, VY_LIT(",\"export_sha256\":\""), &export_hash) ||
        EVP_DigestFinal_ex(file->lines, lines, &len) != 1) {
        break_off(file, file->result.last_sequence + 1, "the signed end is damaged");
        return;
    }
    if (sequence != file->result.last_sequence || !is_hex_of(file, hash, file->hash)) {
        break_off(file, file->result.last_sequence + 1,
                  "the signed end is of another record: records were cut off");
        return;
    }
    if (!is_hex_of(file, export_hash, lines)) {
        break_off(file, file->result.first_sequence,
                  "the lines are not those that were exported: what they show was altered");
    }
}

void audit_file_finish(struct audit_file *file, struct vy_bytes public_key,
                       struct audit_file_result *out)
{
    const struct vy_bytes text = vy_bytes(file->checkpoint, file->checkpoint_len);
    struct vy_bytes body = {.len = 0};
    vy_arena_reset(&file->arena);
    if (text.len == 0) {
        break_off(file, file->result.last_sequence + 1,
                  "the signed end is missing: records may have been cut off");
    } else {
        file->result.signature = AUDIT_FILE_SIGNATURE_NOT_CHECKED;
        check_checkpoint(file, text);
    }
    if (text.len > 0 && public_key.len > 0) {
        const bool is_good = !vy_failed(certificate_check_line(public_key, text, &body));
        file->result.signature = is_good ? AUDIT_FILE_SIGNATURE_GOOD : AUDIT_FILE_SIGNATURE_BAD;
        if (!is_good) {
            break_off(file, file->result.last_sequence + 1,
                      "the end is not signed with this key: altered, or of another cluster");
        }
    }
    *out = file->result;
}
