/* SPDX-License-Identifier: Apache-2.0 */
/* DEL-8: how many erasures are open, and whether one is older than it should be. */
#include "meta/saga_private.h"

#define LOOKED_AT_MAX 256U /* of each kind, oldest first: enough to raise an alarm */
#define ARENA_BYTES_MAX (4U * 1024 * 1024)

/* From the oldest on, in the order of their numbers. */
static struct vy_err count_kind(struct meta *meta, struct vy_arena *arena,
                                struct meta_key (*key_of)(uint64_t job_id),
                                struct meta_erasures *out, uint64_t *count)
{
    const struct meta_view view = {.reader = meta->group->ops->newest(meta->group), .arena = arena};
    const struct meta_key from = key_of(0);
    const struct meta_key to = key_of(UINT64_MAX);
    const struct table_page page = {.family = META_FAMILY_JOB,
                                    .from = meta_key_bytes(&from),
                                    .to = meta_key_bytes(&to),
                                    .rows_max = LOOKED_AT_MAX};
    const uint64_t now_ms = meta_now_ms(meta);
    struct table_rows rows = {.count = 0};
    VY_TRY(table_read_page(&view, &page, &rows));
    *count = rows.count;
    for (size_t i = 0; i < rows.count; i++) {
        struct job_row job;
        bool is_found = false;
        VY_TRY(job_get(&view, meta_key_parse_open_job(rows.keys[i]), &job, &is_found));
        const uint64_t age_ms = is_found && now_ms > job.created_ms ? now_ms - job.created_ms : 0;
        out->oldest_ms = VY_MAX(out->oldest_ms, age_ms);
        out->overdue += age_ms >= meta_alert_ms(meta) ? 1 : 0;
    }
    return vy_ok();
}

struct vy_err erase_watch(struct meta *meta)
{
    struct meta_erasures erasures = {.open = 0};
    struct vy_arena arena;
    vy_arena_init(&arena, ARENA_BYTES_MAX);
    struct vy_err err = count_kind(meta, &arena, meta_key_open_job, &erasures, &erasures.open);
    if (!vy_failed(err)) {
        err = count_kind(meta, &arena, meta_key_waiting_job, &erasures, &erasures.waiting);
    }
    vy_arena_deinit(&arena);
    if (!vy_failed(err)) {
        meta_metrics_set_erasures(&meta->metrics, &erasures);
    }
    return err;
}
