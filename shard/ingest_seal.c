/* SPDX-License-Identifier: Apache-2.0 */
/* What an ingest does on a worker: parse once, then seal chunks and summaries for each copy. */
#include "base/assert.h"
#include "base/codec.h"
#include "shard/ingest.h"
#include "shard/read.h"
#include "shard/service.h"
#include "shard/service_private.h"
#include <openssl/evp.h>
#include <openssl/sha.h>

#define SLIM_FIELD_BYTES_MAX 128U

/* ---- text of a copy ---- */

/* The piece as this copy has it: its own prefix in front, when the message begins here. */
static struct vy_bytes piece_text(struct ingest *ingest, struct vy_buf *piece,
                                  const struct ingest_copy *copy)
{
    const struct vy_bytes all = vy_buf_bytes(piece);
    const size_t unused = ingest->gap - copy->prefix.len;

    if (copy->prefix.len > 0) {
        memcpy(piece->data + piece->start + unused, copy->prefix.data, copy->prefix.len);
    }
    return vy_bytes_from(all, unused);
}

static struct vy_bytes step_text(struct ingest *ingest, const struct ingest_copy *copy)
{
    return ingest->is_first ? piece_text(ingest, &ingest->piece, copy)
                            : vy_buf_bytes(&ingest->piece);
}

/* ---- parsing ---- */

static struct vy_err finish_parsing(struct ingest *ingest)
{
    struct mime_parser *parser = ingest->parser;

    ingest->parser = NULL;
    VY_TRY(mime_parser_finish(parser, &ingest->structure));
    return ingest->structure.is_header_over_limit ? vy_error(VY_CODE_LIMIT, "message headers")
                                                  : vy_ok();
}

static struct vy_err note_chunk(struct ingest *ingest)
{
    const size_t gap = ingest->is_first ? ingest->gap : 0;

    if (ingest->chunk_count == EMAIL_CHUNKS_MAX) {
        return vy_error(VY_CODE_LIMIT, "message is too large");
    }
    ingest->chunk_bytes[ingest->chunk_count++] = (uint32_t)(vy_buf_len(&ingest->piece) - gap);
    return vy_ok();
}

/* What was received of a delivery, without what is put in front of it here. */
static struct vy_err digest_piece(struct ingest *ingest)
{
    const struct vy_bytes piece =
        vy_bytes_from(vy_buf_bytes(&ingest->piece), ingest->is_first ? ingest->gap : 0);
    unsigned len = 0;

    if (ingest->copies[0].envelope.len == 0) {
        return vy_ok(); /* APPEND */
    }
    if (ingest->is_first && ingest->is_last) {
        (void)SHA256(piece.data, piece.len, ingest->body_digest);
        return vy_ok();
    }
    bool is_done = true;
    if (ingest->digest == NULL) {
        ingest->digest = EVP_MD_CTX_new();
        is_done =
            ingest->digest != NULL && EVP_DigestInit_ex(ingest->digest, EVP_sha256(), NULL) == 1;
    }
    is_done = is_done && EVP_DigestUpdate(ingest->digest, piece.data, piece.len) == 1;
    if (is_done && ingest->is_last) {
        is_done = EVP_DigestFinal_ex(ingest->digest, ingest->body_digest, &len) == 1;
    }
    return is_done ? vy_ok() : vy_error(VY_CODE_NOMEM, "digest of a delivery");
}

/* The structure is the first copy's; the others differ in the length of their prefix alone. */
static struct vy_err scan_piece(struct ingest *ingest)
{
    size_t count = 0;
    const struct ingest_copy *first = ingest_copies(ingest, &count);

    if (ingest->parser == NULL) {
        VY_TRY(mime_parser_new(&ingest->parse, &ingest->parser));
    }
    mime_parser_feed(ingest->parser, step_text(ingest, first));
    VY_TRY(note_chunk(ingest));
    VY_TRY(digest_piece(ingest));
    return ingest->is_last ? finish_parsing(ingest) : vy_ok();
}

static void shift_node(struct mime_node *node, bool is_root, int64_t by)
{
    node->header_start += is_root ? 0 : (uint64_t)by;
    node->body_start += (uint64_t)by;
    node->body_end += (uint64_t)by;
}

/* The structure for a copy whose prefix is `by` bytes longer than that of the first. */
static struct vy_err shifted_structure(struct ingest *ingest, int64_t by,
                                       struct mime_structure *out)
{
    const struct mime_tree *tree = &ingest->structure.tree;

    *out = ingest->structure;
    if (by == 0) {
        return vy_ok();
    }
    struct mime_node *nodes = VY_ARENA_ARRAY(&ingest->build, tree->count, struct mime_node);
    if (nodes == NULL) {
        return vy_error(VY_CODE_LIMIT, "copy structure");
    }
    memcpy(nodes, tree->nodes, tree->count * sizeof(*nodes));
    for (size_t i = 0; i < tree->count; i++) {
        shift_node(&nodes[i], i == 0, by);
    }
    out->tree.nodes = nodes;
    out->size_bytes += (uint64_t)by;
    return vy_ok();
}

/* ---- threads ---- */

static void add_hash(struct ingest_copy *copy, struct vy_bytes message_id)
{
    uint8_t *hash = copy->hash_bytes[copy->hash_count];

    seal_hash(copy->keys, SEAL_HASH_MESSAGE_ID, message_id, hash);
    copy->hashes[copy->hash_count++] = vy_bytes(hash, SHARD_HASH_BYTES);
}

/* Its own id, then those it answers, the nearest first. */
static void hash_thread(struct ingest_copy *copy, const struct summary *summary)
{
    struct vy_bytes ids[SUMMARY_REFERENCES_MAX];
    struct vy_bytes rest = summary->references;
    size_t count = 0;

    copy->hash_count = 0;
    copy->no_message_id = summary->message_id.data == NULL;
    if (!copy->no_message_id) {
        add_hash(copy, summary->message_id);
    }
    while (count < VY_COUNT_OF(ids) && summary_next_reference(&rest, &ids[count])) {
        count++;
    }
    while (count > 0 && copy->hash_count < SHARD_THREAD_HASHES_MAX) {
        add_hash(copy, ids[--count]);
    }
}

/* ---- retries ---- */

/*
 * The same envelope, Message-ID and bytes are the same delivery, sent again (P3). The Message-ID is
 * among the bytes; without one a message has no name, and two that look alike may be two. Keyed, so
 * that nobody without the account's key can tell what was delivered.
 */
static void make_retry_token(const struct ingest *ingest, struct ingest_copy *copy)
{
    uint8_t digest[INGEST_DIGEST_BYTES];
    uint8_t both[2 * INGEST_DIGEST_BYTES];

    copy->has_retry_token = copy->envelope.len > 0 && !copy->no_message_id;
    if (!copy->has_retry_token) {
        return;
    }
    (void)SHA256(copy->envelope.data, copy->envelope.len, digest);
    memcpy(both, digest, sizeof(digest));
    memcpy(both + sizeof(digest), ingest->body_digest, sizeof(digest));
    seal_hash(copy->keys, SEAL_HASH_DELIVERY, vy_bytes(both, sizeof(both)), copy->retry_token);
}

/* ---- rows ---- */

static void slim_field(struct summary *summary, struct vy_bytes *field)
{
    if (field->len > SLIM_FIELD_BYTES_MAX) {
        *field = vy_bytes(field->data, 0);
        summary->is_field_cut = true;
    }
}

/* Leaves out what can be made again from the message. */
static void slim_summary(struct summary *summary)
{
    summary->envelope = vy_bytes(NULL, 0);
    summary->body = vy_bytes(NULL, 0);
    summary->bodystructure = vy_bytes(NULL, 0);
    slim_field(summary, &summary->subject);
    slim_field(summary, &summary->base_subject);
    slim_field(summary, &summary->from);
    slim_field(summary, &summary->to);
    slim_field(summary, &summary->cc);
    slim_field(summary, &summary->bcc);
    summary->references = vy_bytes(NULL, 0); /* the thread is known by then */
}

static struct vy_err seal_row(struct ingest *ingest, struct ingest_copy *copy,
                              const struct summary *summary)
{
    struct call *call = ingest->call;
    const uint8_t *hash = copy->no_message_id ? NULL : copy->hash_bytes[0];
    VY_CLEANUP(vy_buf_deinit) struct vy_buf encoded;
    VY_CLEANUP(vy_buf_deinit) struct vy_buf row;

    vy_buf_init(&encoded, SUMMARY_BYTES_MAX);
    vy_buf_init(&row, SEAL_CHUNK_SEALED_MAX + 64U);
    summary_encode(&encoded, summary);
    VY_TRY(vy_buf_error(&encoded));
    ingest->chunk_bytes[0] += (uint32_t)copy->prefix.len;
    const struct email_info info = {.size_bytes = copy->size_bytes,
                                    .crc32c = copy->crc,
                                    .chunk_count = ingest->chunk_count,
                                    .chunk_bytes = ingest->chunk_bytes,
                                    .summary = vy_buf_bytes(&encoded)};
    const struct vy_err err = email_row_seal(copy->keys, call->service->config.rng,
                                             copy->account_id, copy->email_id, hash, &info, &row);
    ingest->chunk_bytes[0] -= (uint32_t)copy->prefix.len;
    VY_TRY(err);
    return vy_arena_dup(&call->arena, vy_buf_bytes(&row), &copy->row);
}

static struct vy_err build_row(struct ingest *ingest, const struct ingest_copy *first,
                               struct ingest_copy *copy, struct vy_buf *head_piece, bool is_slim)
{
    const struct vy_bytes head = piece_text(ingest, head_piece, copy);
    struct mime_structure structure;
    struct summary summary;

    vy_arena_reset(&ingest->build);
    VY_TRY(shifted_structure(ingest, (int64_t)copy->prefix.len - (int64_t)first->prefix.len,
                             &structure));
    VY_TRY(summary_build(&ingest->build, &structure, head, &summary));
    copy->size_bytes = structure.size_bytes;
    hash_thread(copy, &summary);
    make_retry_token(ingest, copy);
    if (is_slim) {
        slim_summary(&summary);
    }
    return seal_row(ingest, copy, &summary);
}

static struct vy_err build_rows(struct ingest *ingest, struct vy_buf *head_piece, bool is_slim,
                                size_t *out_bytes)
{
    size_t count = 0;
    struct ingest_copy *copies = ingest_copies(ingest, &count);

    *out_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        VY_TRY(build_row(ingest, &copies[0], &copies[i], head_piece, is_slim));
        *out_bytes += copies[i].row.len + copies[i].hash_count * SHARD_HASH_BYTES;
    }
    return vy_ok();
}

/* All rows go into one command. */
static struct vy_err make_rows(struct ingest *ingest, struct vy_buf *head_piece)
{
    const size_t share = INGEST_ROWS_BYTES_MAX / ingest->message_count;
    size_t bytes = 0;

    VY_TRY(build_rows(ingest, head_piece, false, &bytes));
    if (bytes > share) {
        VY_TRY(build_rows(ingest, head_piece, true, &bytes));
    }
    return bytes > share ? vy_error(VY_CODE_LIMIT, "summaries of one command") : vy_ok();
}

/* ---- chunks ---- */

static struct vy_err seal_chunk(struct ingest *ingest, struct ingest_copy *copy,
                                struct vy_bytes text, struct shard_key *key, struct vy_buf *out,
                                struct shard_payload *payload)
{
    const size_t before = vy_buf_len(out);

    copy->crc = vy_crc32c(copy->crc, text);
    *key = keys_body(copy->account_id, copy->email_id, ingest->chunk_count - 1);
    VY_TRY(seal_text(copy->keys, ingest->call->service->config.rng, shard_key_bytes(key),
                     SEAL_SQUEEZE, text, out));
    payload->key = shard_key_bytes(key);
    payload->value = vy_bytes_from(vy_buf_bytes(out), before);
    return vy_ok();
}

/* One chunk for each copy; the buffer does not move while it fills. */
static struct vy_err seal_whole(struct ingest *ingest)
{
    struct vy_buf *out = &ingest->whole[ingest->message];
    size_t count = 0;
    struct ingest_copy *copies = ingest_copies(ingest, &count);

    VY_ASSERT(ingest->chunk_count == 1);
    if (vy_buf_reserve(out, count * (vy_buf_len(&ingest->piece) + SEAL_OVERHEAD_BYTES)) == NULL) {
        return vy_error(VY_CODE_NOMEM, "seal message");
    }
    for (size_t i = 0; i < count; i++) {
        const struct vy_bytes text = step_text(ingest, &copies[i]);
        const size_t at = ingest->payload_count;
        VY_TRY(seal_chunk(ingest, &copies[i], text, &ingest->payload_keys[at], out,
                          &ingest->payloads[at]));
        ingest->payload_count++;
    }
    return vy_ok();
}

/* ---- steps ---- */

struct vy_err ingest_work_whole(struct call *call)
{
    struct ingest *ingest = call->state;

    VY_TRY(scan_piece(ingest));
    VY_TRY(seal_whole(ingest));
    return make_rows(ingest, &ingest->piece);
}

/* Is the account known to be too full for what is there of the message? */
static struct vy_err check_room(struct ingest *ingest, const struct store_reader *reader,
                                const struct ingest_copy *copy, bool *out_full)
{
    const uint64_t bytes = VY_MAX(ingest->sizes[ingest->message], ingest->taken_bytes);
    struct account_row row;
    bool found = false;

    vy_arena_reset(&ingest->build);
    VY_TRY(read_account(reader, &ingest->build, copy->account_id, &row, &found));
    *out_full = found && row.quota_bytes != 0 &&
                (bytes > row.quota_bytes || row.used_bytes > row.quota_bytes - bytes);
    return vy_ok();
}

/* A long message that cannot fit is not taken in whole first. The last word is the command's: what
 * this sees may be a moment old. */
static struct vy_err find_full_copy(struct ingest *ingest)
{
    struct shard_log *replica = ingest->call->service->config.replica;
    struct store_snapshot *snapshot = NULL;
    size_t count = 0;
    const struct ingest_copy *copies = ingest_copies(ingest, &count);
    struct vy_err err = replica->ops->snapshot_open(replica, &snapshot);

    for (size_t i = 0; !vy_failed(err) && ingest->full_copy == SIZE_MAX && i < count; i++) {
        bool is_full = false;
        err = check_room(ingest, store_snapshot_reader(snapshot), &copies[i], &is_full);
        ingest->full_copy = is_full ? i : SIZE_MAX;
    }
    store_snapshot_free(snapshot);
    return err;
}

struct vy_err ingest_work_scan(struct call *call)
{
    struct ingest *ingest = call->state;

    VY_TRY(find_full_copy(ingest));
    VY_TRY(scan_piece(ingest));
    if (ingest->is_first) {
        vy_buf_reset(&ingest->head);
        vy_buf_append(&ingest->head, vy_buf_bytes(&ingest->piece));
    }
    return vy_buf_error(&ingest->head);
}

struct vy_err ingest_work_stage(struct call *call)
{
    struct ingest *ingest = call->state;
    size_t count = 0;
    struct ingest_copy *copy = &ingest_copies(ingest, &count)[ingest->stage_copy];

    vy_buf_reset(&ingest->sealed);
    return seal_chunk(ingest, copy, step_text(ingest, copy), &ingest->stage_key, &ingest->sealed,
                      &ingest->stage_payload);
}

struct vy_err ingest_work_rows(struct call *call)
{
    struct ingest *ingest = call->state;

    return make_rows(ingest, &ingest->head);
}
