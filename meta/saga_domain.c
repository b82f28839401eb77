/* SPDX-License-Identifier: Apache-2.0 */
/* Drives the delete of a domain (DEL-9): its accounts one by one, then what the machine does
 * itself. */
#include "meta/saga_private.h"

#define PAGE_ROWS 64U

/* The next address of an account of the domain; *account_id 0: there is none. */
static struct vy_err find_account(struct erase_run *run, uint64_t *account_id)
{
    struct meta_group *group = erase_run_meta(run)->group;
    const struct meta_view view = {.reader = group->ops->newest(group), .arena = &run->arena};
    uint8_t end[META_ADDRESS_BYTES_MAX + 2];
    const struct vy_bytes domain = run->job.domain;
    struct meta_key from = {.len = domain.len + 1};
    VY_ASSERT(domain.len < META_ADDRESS_BYTES_MAX);
    memcpy(from.data, domain.data, domain.len);
    const struct meta_key prefix = from;
    struct table_rows rows = {.is_more = true};
    *account_id = 0;
    while (rows.is_more && *account_id == 0) { /* retired addresses and aliases are passed over */
        const struct table_page page = {.family = META_FAMILY_ADDRESS,
                                        .from = meta_key_bytes(&from),
                                        .to = store_prefix_end(meta_key_bytes(&prefix), end),
                                        .rows_max = PAGE_ROWS,
                                        .desc = &address_row_desc};
        VY_TRY(table_read_page(&view, &page, &rows));
        const struct address_row *addresses = rows.rows;
        for (size_t i = 0; i < rows.count && *account_id == 0; i++) {
            *account_id = addresses[i].kind == ADDRESS_KIND_ACCOUNT ? addresses[i].account_id : 0;
        }
        if (rows.count > 0) { /* the next possible key */
            const struct vy_bytes last = rows.keys[rows.count - 1];
            from.len = VY_MIN(last.len + 1, sizeof(from.data));
            memset(from.data, 0, from.len);
            memcpy(from.data, last.data, VY_MIN(last.len, from.len));
        }
    }
    return vy_ok();
}

static void account_on_committed(struct meta *meta, void *arg, struct vy_err err,
                                 const struct meta_result *result)
{
    struct erase_run *run = arg;
    (void)meta;
    if (vy_failed(err)) {
        erase_run_rest(run, /* is_soon = */ false);
    } else if (result->outcome != META_OUTCOME_OK && result->outcome != META_OUTCOME_STALE) {
        erase_run_done(run, vy_error(VY_CODE_PRECONDITION,
                                     "an account cannot be deleted: more than 1,000 aliases name "
                                     "it"));
    } else {
        erase_run_next(run);
    }
}

/* Who deletes is the intent; the person behind it is in the record of that. */
static struct vy_err seal_record(struct erase_run *run, uint64_t account_id, struct vy_bytes *out)
{
    struct meta *meta = erase_run_meta(run);
    struct seal_key key;
    const char *actor = vy_arena_printf(&run->arena, "job %llu", (unsigned long long)run->job.id);
    const char *subject =
        vy_arena_printf(&run->arena, "account %llu", (unsigned long long)account_id);
    if (actor == NULL || subject == NULL) {
        return vy_error(VY_CODE_NOMEM, "record of a delete");
    }
    const struct admin_body body = {.actor_kind = VY_LIT("system"),
                                    .actor = vy_cstr(actor),
                                    .subject = vy_cstr(subject),
                                    .detail = VY_LIT("with its domain")};
    seal_key_of_cluster(meta->config.key, "records", &key);
    return seal_message(&key, meta->config.rng, &run->arena, &admin_body_desc, &body, out);
}

void erase_domain_accounts(struct erase_run *run)
{
    struct meta *meta = erase_run_meta(run);
    struct cmd_account_delete body = {
        .parent_job_id = run->job.id, .cascade = true, .quarantine_ms = meta_quarantine_ms(meta)};
    struct meta_command command = {.version = META_COMMAND_VERSION, .account_delete = &body};
    struct vy_err err = find_account(run, &body.account_id);
    if (!vy_failed(err) && body.account_id != 0) {
        err = seal_record(run, body.account_id, &command.audit_sealed);
    }
    if (vy_failed(err) || body.account_id == 0) {
        erase_run_done(run, err); /* none is left */
        return;
    }
    meta_propose_background(meta, &command, account_on_committed, run);
    erase_saga_kick(meta->saga); /* the erasures themselves run beside */
}

/* The machine deletes some with each entry, and says when none is left. */
void erase_domain_aliases(struct erase_run *run)
{
    erase_run_done(run, vy_ok());
}

void erase_domain_children(struct erase_run *run)
{
    if (run->job.child_done < run->job.child_count) {
        erase_run_rest(run, /* is_soon = */ true);
        return;
    }
    erase_run_done(run, vy_ok());
}
