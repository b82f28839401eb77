/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/mailbox_names.h"
#include "shard/read.h"
#include "shard/service_private.h"

#define NAME_DEPTH_MAX 32U /* I11 */

static struct vy_err add_row(struct call *call, const struct store_iter *iter,
                             struct mailbox_name *out)
{
    struct mailbox_row row;
    struct vy_bytes copy;

    VY_TRY(vy_arena_dup(&call->arena, iter->value, &copy));
    VY_TRY(vy_pb_decode(&mailbox_row_desc, &call->arena, copy, &row));
    out->mailbox_id = vy_get_be64(iter->key.data + iter->key.len - 8);
    out->no_select = row.no_select;
    return names_open(call_keys(call), call->account_id, row.name_hash, row.name_sealed,
                      &call->arena, &out->name);
}

struct vy_err mailbox_names_read(struct call *call, struct mailbox_names *out)
{
    const struct shard_key first = keys_mailbox_first(call->account_id);
    const struct shard_key end = keys_mailbox_end(call->account_id);
    const struct store_range range = {.from = shard_key_bytes(&first), .to = shard_key_bytes(&end)};
    struct account_row account;
    struct store_iter *iter = NULL;
    bool found = false;

    *out = (struct mailbox_names){.count = 0};
    VY_TRY(read_account(call_reader(call), &call->arena, call->account_id, &account, &found));
    out->version = account.names_version;
    out->items =
        VY_ARENA_ARRAY(&call->arena, (size_t)account.mailbox_count + 1, struct mailbox_name);
    if (out->items == NULL) {
        return vy_error(VY_CODE_LIMIT, "read mailbox names");
    }
    VY_TRY(store_iter_new(call_reader(call), shard_store_family(SHARD_MBOX), &range, &iter));
    struct vy_err err = vy_ok();
    while (!vy_failed(err) && iter->is_valid && out->count < account.mailbox_count) {
        err = add_row(call, iter, &out->items[out->count++]);
        store_iter_next(iter);
    }
    if (!vy_failed(err)) {
        err = store_iter_error(iter);
    }
    store_iter_free(iter);
    return err;
}

const struct mailbox_name *mailbox_names_find(const struct mailbox_names *names,
                                              struct vy_bytes name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (vy_bytes_equal(names->items[i].name, name)) {
            return &names->items[i];
        }
    }
    return NULL;
}

bool mailbox_name_is_below(struct vy_bytes name, struct vy_bytes above)
{
    return name.len > above.len && name.data[above.len] == '/' && vy_bytes_starts_with(name, above);
}

static struct vy_err count_levels(struct vy_bytes name, size_t *out)
{
    struct vy_bytes rest = name;

    *out = 0;
    while (rest.len > 0) {
        if (vy_bytes_cut(&rest, '/').len == 0) {
            return vy_error(VY_CODE_ARGUMENT, "empty level in a mailbox name");
        }
        if (++*out > NAME_DEPTH_MAX) {
            return vy_error(VY_CODE_LIMIT, "mailbox name is too deep");
        }
    }
    if (name.len == 0 || name.data[name.len - 1] == '/') {
        return vy_error(VY_CODE_ARGUMENT, "mailbox name ends in an empty level");
    }
    return vy_ok();
}

struct vy_err mailbox_superiors_build(struct call *call, struct vy_bytes name,
                                      struct new_mailbox **out, size_t *out_count)
{
    struct vy_rng *rng = call->service->config.rng;
    size_t levels = 0;
    size_t end = 0;

    VY_TRY(count_levels(name, &levels));
    struct new_mailbox *made = VY_ARENA_ARRAY(&call->arena, levels, struct new_mailbox);
    struct sealed_name *names = VY_ARENA_ARRAY(&call->arena, levels, struct sealed_name);
    if (made == NULL || names == NULL) {
        return vy_error(VY_CODE_LIMIT, "name mailboxes");
    }
    for (size_t i = 0; i + 1 < levels; i++) {
        end = vy_bytes_find_byte(name, '/', end);
        VY_TRY(names_seal_mailbox(call_keys(call), rng, call->account_id,
                                  vy_bytes_slice(name, 0, end), &call->arena, &names[i]));
        made[i] = (struct new_mailbox){.name = &names[i], .no_select = true};
        end++;
    }
    *out = made;
    *out_count = levels - 1;
    return vy_ok();
}
