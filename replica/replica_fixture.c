/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/replica_fixture.h"

#include "base/assert.h"
#include "replica/idem.h"
#include "tests/lib/test.h"
#include <stdio.h>

static const struct store_family kv_families[] = {
    {.name = "rows"                              },
    { .name = "bodies", .blob_min_bytes = REPLICA_PAYLOAD_BYTES_MIN}
};

static void apply_add(struct txn *txn, const struct replica_entry_meta *meta, struct vy_bytes key,
                      struct vy_bytes token, struct vy_buf *result)
{
    struct vy_bytes old;
    uint64_t number = 0;
    char text[24];
    if (idem_find(txn, token, meta->time_ms, &old)) {
        vy_buf_append(result, old);
        return;
    }
    if (txn_get(txn, KV_FAMILY_ROWS, key, &old)) {
        assert_true(vy_parse_u64(old, &number));
    }
    snprintf(text, sizeof(text), "%llu", (unsigned long long)(number + 1));
    txn_put(txn, KV_FAMILY_ROWS, key, vy_cstr(text));
    idem_store(txn, token, vy_cstr(text), meta->time_ms + IDEM_KEEP_MS);
    vy_buf_append_cstr(result, text);
}

static struct vy_err kv_apply(struct replica_fsm *base, struct txn *txn,
                              const struct replica_entry_meta *meta, struct vy_bytes command,
                              struct vy_buf *result)
{
    struct kv_fsm *fsm = VY_CONTAINER_OF(base, struct kv_fsm, base);
    struct vy_bytes rest = command;
    const struct vy_bytes verb = vy_bytes_cut(&rest, ' ');
    const struct vy_bytes key = vy_bytes_cut(&rest, ' ');
    fsm->apply_count++;
    if (vy_bytes_equal(verb, VY_LIT("set"))) {
        txn_put(txn, KV_FAMILY_ROWS, key, rest);
    } else if (vy_bytes_equal(verb, VY_LIT("add"))) {
        apply_add(txn, meta, key, rest, result);
    } else if (vy_bytes_equal(verb, VY_LIT("del"))) {
        txn_delete(txn, KV_FAMILY_ROWS, key);
    } else if (vy_bytes_equal(verb, VY_LIT("drop"))) {
        txn_delete(txn, KV_FAMILY_BODIES, key);
    } else if (vy_bytes_equal(verb, VY_LIT("time"))) {
        vy_buf_append_u64(result, meta->time_ms);
    } else if (vy_bytes_equal(verb, VY_LIT("fail"))) {
        return vy_error(VY_CODE_UNSUPPORTED, "a command from the future");
    }
    return vy_ok();
}

static void kv_on_written(struct replica_fsm *base, uint64_t index)
{
    struct kv_fsm *fsm = VY_CONTAINER_OF(base, struct kv_fsm, base);
    assert_true(index > fsm->written_index);
    fsm->written_index = index;
}

static void kv_on_applied(struct replica_fsm *base, uint64_t index)
{
    struct kv_fsm *fsm = VY_CONTAINER_OF(base, struct kv_fsm, base);
    assert_true(index > fsm->applied_index);
    fsm->applied_index = index;
}

static void kv_on_leader_change(struct replica_fsm *base, bool is_leader, uint64_t term)
{
    struct kv_fsm *fsm = VY_CONTAINER_OF(base, struct kv_fsm, base);
    assert_true(is_leader != fsm->is_leader);
    fsm->is_leader = is_leader;
    fsm->term = term;
    fsm->leader_begins += is_leader ? 1 : 0;
    fsm->leader_ends += is_leader ? 0 : 1;
}

static void kv_on_installed(struct replica_fsm *base, uint64_t index)
{
    struct kv_fsm *fsm = VY_CONTAINER_OF(base, struct kv_fsm, base);
    fsm->installs += index > fsm->applied_index ? 1 : 0; /* else the old state came back */
    fsm->written_index = VY_MAX(fsm->written_index, index);
    fsm->applied_index = VY_MAX(fsm->applied_index, index);
}

static const struct replica_fsm_ops kv_ops = {.apply = kv_apply,
                                              .on_written = kv_on_written,
                                              .on_applied = kv_on_applied,
                                              .on_leader_change = kv_on_leader_change,
                                              .on_installed = kv_on_installed};

void kv_init(struct kv_fsm *fsm)
{
    *fsm = (struct kv_fsm){
        .base = {
                 .ops = &kv_ops, .families = kv_families, .family_count = VY_COUNT_OF(kv_families)}
    };
}

void call_on_proposed(void *arg, struct vy_err err, struct vy_bytes result)
{
    struct call *call = arg;
    call->answers++;
    call->code = err.code;
    snprintf(call->result, sizeof(call->result), "%.*s", VY_PRI(result));
}

void call_on_read(void *arg, struct vy_err err)
{
    struct call *call = arg;
    call->answers++;
    call->code = err.code;
}

struct vy_err kv_propose(struct replica *replica, struct call *call, const char *format, ...)
{
    char command[512];
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    assert_true(len > 0 && (size_t)len < sizeof(command));
    *call = (struct call){.code = VY_CODE_COUNT};
    const struct replica_proposal proposal = {.command = vy_bytes(command, (size_t)len)};
    return replica_propose(replica, &proposal, call_on_proposed, call);
}

const char *kv_get(struct replica *replica, const char *key, char *out, size_t out_bytes)
{
    struct store_value value = {.is_found = false};
    out[0] = '\0';
    assert_false(vy_failed(
        store_get(store_newest(replica_store(replica)), KV_FAMILY_ROWS, vy_cstr(key), &value)));
    if (value.is_found) {
        snprintf(out, out_bytes, "%.*s", VY_PRI(value.bytes));
    }
    store_value_release(&value);
    return out;
}
