/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/record_open.h"

#include "base/codec.h"

static struct vy_err opener_use(struct record_opener *opener, uint64_t account_id)
{
    bool is_found = false;
    if (opener->has_key && opener->account_id == account_id) {
        return vy_ok();
    }
    VY_TRY(seal_key_find(opener->call->meta->config.key, &opener->view, account_id, &opener->key,
                         &is_found));
    opener->account_id = account_id;
    opener->has_key = true;
    opener->is_erased = account_id != 0 && !is_found;
    return vy_ok();
}

struct vy_err record_open(struct record_opener *opener, uint64_t account_id, struct vy_bytes sealed,
                          const struct vy_pb_desc *desc, void *body, bool *is_open)
{
    memset(body, 0, desc->struct_bytes);
    *is_open = false;
    if (sealed.len == 0) {
        return vy_ok();
    }
    VY_TRY(opener_use(opener, account_id));
    if (opener->is_erased) {
        return vy_ok();
    }
    const struct vy_err err =
        seal_open_message(&opener->key, opener->view.arena, sealed, desc, body);
    *is_open = !vy_failed(err);
    return err.code == VY_CODE_LIMIT ? err : vy_ok();
}

struct vy_bytes record_typed_text(struct vy_arena *arena, struct vy_bytes typed)
{
    if (vy_utf8_is_valid(typed)) {
        return typed;
    }
    uint8_t *text = vy_arena_alloc(arena, typed.len);
    if (text == NULL) {
        return vy_bytes(NULL, 0);
    }
    for (size_t i = 0; i < typed.len; i++) {
        text[i] = typed.data[i] >= 0x20 && typed.data[i] < 0x7f ? typed.data[i] : '?';
    }
    return vy_bytes(text, typed.len);
}
