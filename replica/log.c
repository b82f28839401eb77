/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/log.h"

#include "base/codec.h"
#include <stdlib.h>

#define ROW_VERSION 1U
#define ROW_HEAD_BYTES 14U  /* version u8, type u8, term u64, crc u32 */
#define ROW_KEY_BYTES 9U    /* 'e', index u64 */
#define BASE_HEAD_BYTES 37U /* version u8, index, term, members and time u64, crc u32 */
#define HARD_BYTES 21U      /* version u8, term u64, vote u64, crc u32 */

static const struct vy_bytes hard_key = VY_LIT("h");
static const struct vy_bytes base_key = VY_LIT("b");

static struct vy_bytes row_key(uint8_t key[ROW_KEY_BYTES], uint64_t index)
{
    key[0] = 'e';
    vy_put_be64(key + 1, index);
    return vy_bytes(key, ROW_KEY_BYTES);
}

/* Over place, head and body. */
static uint32_t row_crc(const uint8_t key[ROW_KEY_BYTES], const uint8_t *head, struct vy_bytes body)
{
    uint32_t crc = vy_crc32c(0, vy_bytes(key, ROW_KEY_BYTES));
    crc = vy_crc32c(crc, vy_bytes(head, ROW_HEAD_BYTES - 4));
    return vy_crc32c(crc, body);
}

void log_put_hard(struct store_batch *batch, uint64_t term, uint64_t voted_for)
{
    uint8_t row[HARD_BYTES];
    row[0] = ROW_VERSION;
    vy_put_be64(row + 1, term);
    vy_put_be64(row + 9, voted_for);
    vy_put_be32(row + 17, vy_crc32c(0, vy_bytes(row, 17)));
    store_batch_put(batch, REPLICA_FAMILY_RAFT, hard_key, vy_bytes(row, sizeof(row)));
}

struct vy_err log_put_entry(struct txn *txn, const struct entry *entry, struct vy_buf *scratch)
{
    uint8_t key[ROW_KEY_BYTES];
    uint8_t head[ROW_HEAD_BYTES];
    const struct vy_bytes row = row_key(key, entry->index);
    head[0] = ROW_VERSION;
    head[1] = (uint8_t)entry->type;
    vy_put_be64(head + 2, entry->term);
    vy_put_be32(head + 10, row_crc(key, head, entry->body));
    vy_buf_reset(scratch);
    vy_buf_append(scratch, vy_bytes(head, sizeof(head)));
    vy_buf_append(scratch, entry->body);
    VY_TRY(vy_buf_error(scratch));
    store_batch_put(txn_batch(txn), REPLICA_FAMILY_RAFT, row, vy_buf_bytes(scratch));
    for (size_t i = 0; i < entry->payload_count; i++) {
        const struct entry_payload *payload = &entry->payloads[i];
        if (payload->value.data != NULL) {
            txn_put(txn, payload->family, payload->key, payload->value);
        }
    }
    return vy_ok();
}

void log_remove_entry(struct txn *txn, const struct entry *entry)
{
    uint8_t key[ROW_KEY_BYTES];
    store_batch_delete(txn_batch(txn), REPLICA_FAMILY_RAFT, row_key(key, entry->index));
    for (size_t i = 0; i < entry->payload_count; i++) {
        txn_delete(txn, entry->payloads[i].family, entry->payloads[i].key);
    }
}

size_t log_row_bytes(const struct entry *entry)
{
    return ROW_KEY_BYTES + ROW_HEAD_BYTES + entry->body.len;
}

/* ---- the base ---- */

static uint32_t base_crc(const uint8_t *head, struct vy_bytes members)
{
    return vy_crc32c(vy_crc32c(0, vy_bytes(head, BASE_HEAD_BYTES - 4)), members);
}

struct vy_err log_cut(struct store_batch *batch, uint64_t old_index, const struct log_base *base,
                      struct vy_buf *scratch)
{
    uint8_t from[ROW_KEY_BYTES];
    uint8_t to[ROW_KEY_BYTES];
    uint8_t head[BASE_HEAD_BYTES];
    VY_ASSERT(base->index > old_index);
    head[0] = ROW_VERSION;
    vy_put_be64(head + 1, base->index);
    vy_put_be64(head + 9, base->term);
    vy_put_be64(head + 17, base->members_index);
    vy_put_be64(head + 25, base->last_time_ms);
    vy_put_be32(head + 33, base_crc(head, base->members->body));
    vy_buf_reset(scratch);
    vy_buf_append(scratch, vy_bytes(head, sizeof(head)));
    vy_buf_append(scratch, base->members->body);
    VY_TRY(vy_buf_error(scratch));
    store_batch_put(batch, REPLICA_FAMILY_RAFT, base_key, vy_buf_bytes(scratch));
    store_batch_delete_range(batch, REPLICA_FAMILY_RAFT, row_key(from, old_index + 1),
                             row_key(to, base->index + 1));
    return vy_ok();
}

static struct vy_err parse_base(struct vy_bytes row, uint64_t hard_term, struct log_base *out)
{
    if (row.len < BASE_HEAD_BYTES) {
        return vy_error(VY_CODE_CORRUPT, "base of the log is cut");
    }
    if (row.data[0] != ROW_VERSION) {
        return vy_error(VY_CODE_UNSUPPORTED, "base of the log has a newer format");
    }
    const struct vy_bytes members = vy_bytes_from(row, BASE_HEAD_BYTES);
    if (vy_get_be32(row.data + 33) != base_crc(row.data, members)) {
        return vy_error(VY_CODE_CORRUPT, "checksum of the base of the log");
    }
    out->index = vy_get_be64(row.data + 1);
    out->term = vy_get_be64(row.data + 9);
    out->members_index = vy_get_be64(row.data + 17);
    out->last_time_ms = vy_get_be64(row.data + 25);
    if (out->term == 0 || out->term > hard_term || out->members_index == 0 ||
        out->members_index > out->index) {
        return vy_error(VY_CODE_CORRUPT, "base of the log");
    }
    return entry_new_raw(out->term, ENTRY_CHANGE, members, &out->members);
}

/* No row: a log that was never cut. */
static struct vy_err load_base(const struct store_reader *reader, struct log_loaded *out)
{
    struct store_value value = {.is_found = false};
    VY_TRY(store_get(reader, REPLICA_FAMILY_RAFT, base_key, &value));
    const struct vy_err err =
        value.is_found ? parse_base(value.bytes, out->term, &out->base) : vy_ok();
    store_value_release(&value);
    out->last_time_ms = out->base.last_time_ms;
    return err;
}

static struct vy_err parse_row(struct vy_bytes key, struct vy_bytes row, enum entry_type *type,
                               uint64_t *term, struct vy_bytes *body)
{
    if (row.len < ROW_HEAD_BYTES || key.len != ROW_KEY_BYTES) {
        return vy_error(VY_CODE_CORRUPT, "row of the log is cut");
    }
    if (row.data[0] != ROW_VERSION) {
        return vy_error(VY_CODE_UNSUPPORTED, "row of the log has a newer format");
    }
    *body = vy_bytes_from(row, ROW_HEAD_BYTES);
    if (vy_get_be32(row.data + 10) != row_crc(key.data, row.data, *body)) {
        return vy_error(VY_CODE_CORRUPT, "checksum of a row of the log");
    }
    if (row.data[1] < ENTRY_COMMANDS || row.data[1] > ENTRY_CHANGE) {
        return vy_error(VY_CODE_CORRUPT, "kind of a row of the log");
    }
    *type = (enum entry_type)row.data[1];
    *term = vy_get_be64(row.data + 2);
    return vy_ok();
}

static struct vy_err read_values(const struct store_reader *reader, struct entry *entry)
{
    for (size_t i = 0; i < entry->payload_count; i++) {
        struct entry_payload *payload = &entry->payloads[i];
        struct store_value value = {.is_found = false};
        VY_TRY(store_get(reader, payload->family, payload->key, &value));
        struct vy_err err = vy_ok();
        if (value.is_found) {
            err = entry_set_value(entry, i, value.bytes);
        } else {
            payload->is_gone = true;
        }
        store_value_release(&value);
        VY_TRY(err);
    }
    return vy_ok();
}

struct vy_err log_read_entry(const struct store_reader *reader, uint64_t index, bool with_values,
                             struct entry **out)
{
    uint8_t key[ROW_KEY_BYTES];
    const struct vy_bytes row = row_key(key, index);
    struct store_value value = {.is_found = false};
    struct entry *entry = NULL;
    VY_TRY(store_get(reader, REPLICA_FAMILY_RAFT, row, &value));
    struct vy_err err = vy_error(VY_CODE_CORRUPT, "row of the log is missing");
    if (value.is_found) {
        enum entry_type type = ENTRY_BARRIER;
        uint64_t term = 0;
        struct vy_bytes body;
        err = parse_row(row, value.bytes, &type, &term, &body);
        if (!vy_failed(err)) {
            err = entry_from_row(index, term, type, body, with_values, &entry);
        }
    }
    store_value_release(&value);
    VY_TRY(err);
    if (with_values) {
        err = read_values(reader, entry);
        if (vy_failed(err)) {
            entry_unref(entry);
            return err;
        }
    }
    *out = entry;
    return vy_ok();
}

/* ---- loading ---- */

static struct vy_err load_hard(const struct store_reader *reader, struct log_loaded *out)
{
    struct store_value value = {.is_found = false};
    struct vy_err err = vy_ok();
    VY_TRY(store_get(reader, REPLICA_FAMILY_RAFT, hard_key, &value));
    if (!value.is_found || value.bytes.len != HARD_BYTES ||
        vy_get_be32(value.bytes.data + 17) != vy_crc32c(0, vy_bytes(value.bytes.data, 17))) {
        err = vy_error(VY_CODE_CORRUPT, "term and vote are damaged");
    } else if (value.bytes.data[0] != ROW_VERSION) {
        err = vy_error(VY_CODE_UNSUPPORTED, "term and vote have a newer format");
    } else {
        out->term = vy_get_be64(value.bytes.data + 1);
        out->voted_for = vy_get_be64(value.bytes.data + 9);
    }
    store_value_release(&value);
    return err;
}

static struct vy_err load_row(struct log_loaded *out, size_t *capacity, struct vy_bytes key,
                              struct vy_bytes row)
{
    enum entry_type type = ENTRY_BARRIER;
    uint64_t term = 0;
    struct vy_bytes body;
    VY_TRY(parse_row(key, row, &type, &term, &body));
    const uint64_t index = vy_get_be64(key.data + 1);
    if (index != log_loaded_last(out) + 1) {
        return vy_error(VY_CODE_CORRUPT, "the log has a hole");
    }
    const uint64_t last_term =
        out->row_count > 0 ? out->rows[out->row_count - 1].term : out->base.term;
    if (term > out->term || term < last_term) {
        return vy_error(VY_CODE_CORRUPT, "terms of the log are out of order");
    }
    if (out->row_count == *capacity) {
        const size_t wanted = *capacity == 0 ? 256 : *capacity * 2;
        struct core_row *bigger = realloc(out->rows, wanted * sizeof(*bigger));
        if (bigger == NULL) {
            return vy_error(VY_CODE_NOMEM, "rows of the log");
        }
        out->rows = bigger;
        *capacity = wanted;
    }
    struct core_row *loaded = &out->rows[out->row_count];
    *loaded = (struct core_row){.term = term};
    if (type == ENTRY_CHANGE) {
        VY_TRY(entry_from_row(index, term, type, body, false, &loaded->change));
    } else if (type == ENTRY_COMMANDS && body.len >= 9) {
        out->last_time_ms = VY_MAX(out->last_time_ms, vy_get_be64(body.data + 1));
    }
    out->row_count++;
    return vy_ok();
}

struct vy_err log_load(const struct store_reader *reader, struct log_spans *spans,
                       struct log_loaded *out)
{
    struct store_iter *iter = NULL;
    size_t capacity = 0;
    uint8_t first[ROW_KEY_BYTES];
    *out = (struct log_loaded){.term = 0};
    VY_TRY(load_hard(reader, out));
    VY_TRY(load_base(reader, out));
    /* Behind the base at once: not over the marks of what was removed. */
    const struct store_range range = {.from = row_key(first, out->base.index + 1),
                                      .to = VY_LIT("f")};
    log_spans_begin(spans, out->base.index);
    struct vy_err err = store_iter_new(reader, REPLICA_FAMILY_RAFT, &range, &iter);
    if (vy_failed(err)) {
        log_loaded_deinit(out);
        return err;
    }
    while (iter->is_valid && !vy_failed(err)) {
        err = load_row(out, &capacity, iter->key, iter->value);
        if (!vy_failed(err)) {
            log_spans_append(spans, log_loaded_last(out), iter->key.len + iter->value.len);
            store_iter_next(iter);
        }
    }
    if (!vy_failed(err)) {
        err = store_iter_error(iter);
    }
    store_iter_free(iter);
    if (!vy_failed(err) && out->base.index == 0 && out->row_count > 0 &&
        out->rows[0].change == NULL) {
        err = vy_error(VY_CODE_CORRUPT, "the log does not begin with its members");
    }
    if (vy_failed(err)) {
        log_loaded_deinit(out);
    }
    return err;
}

void log_loaded_deinit(struct log_loaded *loaded)
{
    for (size_t i = 0; i < loaded->row_count; i++) {
        entry_unref(loaded->rows[i].change);
    }
    free(loaded->rows);
    entry_unref(loaded->base.members);
    *loaded = (struct log_loaded){.rows = NULL};
}

/* ---- tail ---- */

void log_tail_init(struct log_tail *tail, uint64_t next_index)
{
    *tail = (struct log_tail){.first = next_index};
}

void log_tail_deinit(struct log_tail *tail)
{
    log_tail_trim(tail, UINT64_MAX, 0);
    free(tail->ring);
    *tail = (struct log_tail){.ring = NULL};
}

static struct entry **slot_of(const struct log_tail *tail, size_t place)
{
    return &tail->ring[(tail->head + place) & (tail->capacity - 1)];
}

static bool make_room(struct log_tail *tail, size_t wanted)
{
    if (wanted <= tail->capacity) {
        return true;
    }
    size_t capacity = tail->capacity == 0 ? 64 : tail->capacity;
    while (capacity < wanted) {
        capacity *= 2;
    }
    struct entry **ring = calloc(capacity, sizeof(struct entry *));
    if (ring == NULL) {
        return false;
    }
    for (size_t i = 0; i < tail->count; i++) {
        ring[i] = *slot_of(tail, i);
    }
    free(tail->ring);
    tail->ring = ring;
    tail->capacity = capacity;
    tail->head = 0;
    return true;
}

struct vy_err log_tail_append(struct log_tail *tail, uint64_t index, struct entry *const *entries,
                              size_t count)
{
    VY_ASSERT(index <= log_tail_next(tail));
    while (tail->count > 0 && log_tail_next(tail) > index) {
        struct entry *last = *slot_of(tail, tail->count - 1);
        tail->count--;
        tail->bytes -= last->bytes;
        entry_unref(last);
    }
    if (tail->count == 0) {
        tail->first = index; /* also when the cut went below what is in memory */
    }
    if (!make_room(tail, tail->count + count)) {
        return vy_error(VY_CODE_NOMEM, "log in memory");
    }
    for (size_t i = 0; i < count; i++) {
        *slot_of(tail, tail->count) = entry_ref(entries[i]);
        tail->count++;
        tail->bytes += entries[i]->bytes;
    }
    return vy_ok();
}

struct entry *log_tail_get(const struct log_tail *tail, uint64_t index)
{
    if (index < tail->first || index >= log_tail_next(tail)) {
        return NULL;
    }
    return *slot_of(tail, (size_t)(index - tail->first));
}

static void drop_first(struct log_tail *tail)
{
    struct entry *first = *slot_of(tail, 0);
    tail->bytes -= first->bytes;
    tail->head = (tail->head + 1) & (tail->capacity - 1);
    tail->first++;
    tail->count--;
    entry_unref(first);
}

void log_tail_trim(struct log_tail *tail, uint64_t upto, uint64_t bytes_max)
{
    while (tail->count > 0 && tail->first <= upto && (tail->bytes > bytes_max || bytes_max == 0)) {
        drop_first(tail);
    }
}

void log_tail_trim_others(struct log_tail *tail, uint64_t bytes_max)
{
    while (tail->count > 0 && tail->bytes > bytes_max && !(*slot_of(tail, 0))->is_own) {
        drop_first(tail);
    }
}
