/* SPDX-License-Identifier: Apache-2.0 */
/* The signed end of an export of the audit chain (audit_file.h checks it). */
#include "base/codec.h"
#include "meta/admin_private.h"
#include "meta/audit.h"
#include "meta/audit_file.h"
#include "meta/certificate.h"

#define CHECKPOINT_BYTES_MAX 4096U

static struct vy_err find_record(struct meta_call *call, struct audit_row *out)
{
    const struct admin_get_checkpoint_request *request = call->message;
    const struct meta_view view = meta_call_snapshot_view(call);
    struct table_rows rows;
    VY_TRY(audit_read(&view, request->sequence, 1, &rows));
    const struct audit_row *found = rows.rows;
    if (rows.count == 0 || found->sequence != request->sequence) {
        return vy_error(VY_CODE_NOT_FOUND, "the chain has no such record");
    }
    *out = *found;
    return vy_ok();
}

static void append_hex(struct vy_buf *out, const char *name, struct vy_bytes bytes)
{
    vy_buf_printf(out, ",\"%s\":\"", name);
    vy_hex_encode(out, bytes);
    vy_buf_append_byte(out, '"');
}

static struct vy_err write_checkpoint(struct meta_call *call, const struct audit_row *row,
                                      struct vy_buf *out)
{
    const struct admin_get_checkpoint_request *request = call->message;
    struct replica_identity identity;
    call->meta->group->ops->get_identity(call->meta->group, &identity);
    const struct vy_bytes cluster_id = vy_bytes(identity.cluster_id, sizeof(identity.cluster_id));
    vy_buf_printf(out, "{\"format\":\"" AUDIT_FILE_FORMAT "\",\"sequence\":%llu",
                  (unsigned long long)row->sequence);
    append_hex(out, "hash", row->hash);
    append_hex(out, "export_sha256", request->export_sha256);
    append_hex(out, "cluster_id", cluster_id);
    vy_buf_printf(out, ",\"signed_ms\":%llu", (unsigned long long)meta_now_ms(call->meta));
    return certificate_sign(call->meta->config.key, cluster_id, 0, out);
}

static void checkpoint_on_worker(struct meta_call *call)
{
    const struct admin_get_checkpoint_request *request = call->message;
    struct admin_audit_checkpoint *reply =
        VY_ARENA_NEW(&call->arena, struct admin_audit_checkpoint);
    struct audit_row row = {.sequence = 0};
    struct vy_buf text;
    call->state = reply;
    if (reply == NULL || request->export_sha256.len != AUDIT_HASH_BYTES) {
        call->err = reply == NULL ? vy_error(VY_CODE_LIMIT, "memory for a checkpoint")
                                  : vy_error(VY_CODE_ARGUMENT, "hash of the export");
        return;
    }
    vy_buf_init(&text, CHECKPOINT_BYTES_MAX);
    call->err = find_record(call, &row);
    if (!vy_failed(call->err)) {
        call->err = write_checkpoint(call, &row, &text);
    }
    if (!vy_failed(call->err)) {
        call->err = vy_arena_dup(&call->arena, vy_buf_bytes(&text), &reply->text);
    }
    vy_buf_deinit(&text);
}

static void answer(struct meta_call *call)
{
    meta_call_reply(call, call->state);
}

void admin_get_checkpoint(struct meta_call *call)
{
    admin_read(call, checkpoint_on_worker, answer);
}
