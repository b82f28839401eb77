/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/writer.h"

#include "base/codec.h"
#include "base/plant.h"
#include "replica/idem.h"
#include <stdlib.h>

#define APPLIED_BYTES 21U                    /* version u8, index u64, digest u64, crc u32 */
#define OUTCOME_BYTES_MAX (8U * 1024 * 1024) /* of one pass; more waits for the next */
#define SCRATCH_BYTES_MAX (ENTRY_BODY_BYTES_MAX + 64U)
/* More than most commands make (a delivery: its own answer, and one token a copy), so that what
 * expires never piles up. */
#define EXPIRE_PER_COMMAND 8U

const struct vy_bytes writer_mark_key = VY_LIT("scrub");
static const struct vy_bytes applied_key = VY_LIT("applied");

struct writer_job {
    struct vy_list link;
    uint64_t ticket;
    size_t bytes;
    bool has_hard;
    uint64_t term;
    uint64_t voted_for;
    struct log_base base; /* index 0: no cut. Its members are entries[0] */
    uint64_t old_base;
    uint64_t index; /* 0: no entries */
    bool is_alone;
    size_t count;
    struct entry *entries[]; /* references */
};

struct writer {
    struct writer_config config;
    pthread_mutex_t lock; /* of everything up to the next remark */
    pthread_cond_t is_work;
    struct vy_list jobs;
    uint64_t queued_bytes;
    uint64_t last_ticket;
    uint64_t apply_to;
    bool is_kicked;    /* LOOP: a pass is posted */
    bool is_told;      /* news are posted and not yet taken */
    bool is_finishing; /* ends when there is no work */
    bool has_failed;
    struct writer_news news;

    /* the pass's */
    struct txn *txn;
    struct vy_buf scratch;
    struct vy_buf result;
    struct log_tail tail; /* appended and not yet applied */
    struct writer_applied applied;
    atomic_uint_fast64_t written_index; /* applied and in the store */
    pthread_t thread;
    bool has_thread;
};

/* ---- the row of what is applied ---- */

void writer_put_applied(struct store_batch *batch, const struct writer_applied *applied)
{
    uint8_t row[APPLIED_BYTES];
    row[0] = 1;
    vy_put_be64(row + 1, applied->index);
    vy_put_be64(row + 9, applied->digest);
    vy_put_be32(row + 17, vy_crc32c(0, vy_bytes(row, 17)));
    store_batch_put(batch, REPLICA_FAMILY_SYS, applied_key, vy_bytes(row, sizeof(row)));
}

struct vy_err writer_load_applied(const struct store_reader *reader, struct writer_applied *out)
{
    struct store_value value = {.is_found = false};
    struct vy_err err = vy_ok();
    VY_TRY(store_get(reader, REPLICA_FAMILY_SYS, applied_key, &value));
    if (!value.is_found || value.bytes.len != APPLIED_BYTES ||
        vy_get_be32(value.bytes.data + 17) != vy_crc32c(0, vy_bytes(value.bytes.data, 17))) {
        err = vy_error(VY_CODE_CORRUPT, "applied index is damaged");
    } else {
        out->index = vy_get_be64(value.bytes.data + 1);
        out->digest = vy_get_be64(value.bytes.data + 9);
    }
    store_value_release(&value);
    return err;
}

/* ---- life ---- */

struct vy_err writer_new(const struct writer_config *config, struct writer **out)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        return vy_error(VY_CODE_NOMEM, "writer");
    }
    writer->config = *config;
    writer->applied = config->applied;
    atomic_init(&writer->written_index, config->applied.index);
    writer->apply_to = config->applied.index;
    writer->news.applied = config->applied;
    if (config->stats != NULL) {
        writer->news.stats = *config->stats;
    }
    vy_list_init(&writer->news.outcomes);
    vy_list_init(&writer->jobs);
    vy_buf_init(&writer->scratch, SCRATCH_BYTES_MAX);
    vy_buf_init(&writer->result, REPLICA_RESULT_BYTES_MAX);
    log_tail_init(&writer->tail, config->last_index + 1);
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->is_work, NULL);
    const struct vy_err err = txn_new(config->store, &writer->txn);
    if (vy_failed(err)) {
        writer_free(writer);
        return err;
    }
    *out = writer;
    return vy_ok();
}

void writer_outcome_free(struct writer_outcome *outcome)
{
    vy_buf_deinit(&outcome->results);
    free(outcome);
}

static void job_free(struct writer_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        entry_unref(job->entries[i]);
    }
    free(job);
}

static void drop_jobs(struct vy_list *jobs)
{
    for (struct vy_list *item; (item = vy_list_pop_front(jobs)) != NULL;) {
        job_free(VY_CONTAINER_OF(item, struct writer_job, link));
    }
}

static void drop_mark(struct writer_mark *mark)
{
    store_snapshot_free(mark->snapshot);
    entry_unref(mark->entry);
    *mark = (struct writer_mark){.index = 0};
}

static void drop_outcomes(struct vy_list *outcomes)
{
    for (struct vy_list *item; (item = vy_list_pop_front(outcomes)) != NULL;) {
        writer_outcome_free(VY_CONTAINER_OF(item, struct writer_outcome, link));
    }
}

void writer_free(struct writer *writer)
{
    if (writer == NULL) {
        return;
    }
    if (writer->has_thread) {
        pthread_join(writer->thread, NULL);
    }
    drop_jobs(&writer->jobs);
    drop_outcomes(&writer->news.outcomes);
    drop_mark(&writer->news.mark);
    txn_free(writer->txn);
    log_tail_deinit(&writer->tail);
    vy_buf_deinit(&writer->scratch);
    vy_buf_deinit(&writer->result);
    pthread_mutex_destroy(&writer->lock);
    pthread_cond_destroy(&writer->is_work);
    free(writer);
}

/* ---- queueing ---- */

static uint64_t queue_job(struct writer *writer, struct writer_job *job)
{
    pthread_mutex_lock(&writer->lock);
    job->ticket = ++writer->last_ticket;
    const uint64_t ticket = job->ticket;
    vy_list_push_back(&writer->jobs, &job->link);
    writer->queued_bytes += job->bytes;
    pthread_mutex_unlock(&writer->lock);
    return ticket;
}

uint64_t writer_put_hard(struct writer *writer, uint64_t term, uint64_t voted_for)
{
    struct writer_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return 0;
    }
    job->has_hard = true;
    job->term = term;
    job->voted_for = voted_for;
    return queue_job(writer, job);
}

uint64_t writer_append(struct writer *writer, uint64_t index, struct entry *const *entries,
                       size_t count, bool is_alone)
{
    struct writer_job *job = calloc(1, sizeof(*job) + count * sizeof(struct entry *));
    if (job == NULL) {
        return 0;
    }
    job->index = index;
    job->is_alone = is_alone;
    job->count = count;
    for (size_t i = 0; i < count; i++) {
        job->entries[i] = entry_ref(entries[i]);
        job->bytes += entries[i]->bytes;
    }
    return queue_job(writer, job);
}

uint64_t writer_cut(struct writer *writer, const struct log_base *base, uint64_t old_index,
                    uint64_t term, uint64_t voted_for)
{
    struct writer_job *job = calloc(1, sizeof(*job) + sizeof(struct entry *));
    if (job == NULL) {
        return 0;
    }
    job->has_hard = true;
    job->term = term;
    job->voted_for = voted_for;
    job->base = *base;
    job->old_base = old_index;
    job->entries[0] = entry_ref(base->members);
    job->count = 1;
    return queue_job(writer, job);
}

void writer_apply_to(struct writer *writer, uint64_t index)
{
    pthread_mutex_lock(&writer->lock);
    writer->apply_to = VY_MAX(writer->apply_to, index);
    pthread_mutex_unlock(&writer->lock);
}

bool writer_is_behind(struct writer *writer, uint64_t ticket)
{
    pthread_mutex_lock(&writer->lock);
    const bool is_behind = writer->last_ticket > ticket;
    pthread_mutex_unlock(&writer->lock);
    return is_behind;
}

uint64_t writer_queued_bytes(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    const uint64_t bytes = writer->queued_bytes;
    pthread_mutex_unlock(&writer->lock);
    return bytes;
}

uint64_t writer_applied_index(const struct writer *writer)
{
    return atomic_load_explicit(&writer->written_index, memory_order_acquire);
}

/* ---- a pass ---- */

struct pass {
    struct vy_list jobs;
    struct vy_list outcomes;
    size_t outcome_bytes;
    uint64_t apply_to;
    uint64_t ticket;
    uint64_t failed_index;
    struct writer_stats stats;
    struct writer_mark mark; /* the last entry that was applied is one */
};

static struct vy_err remove_from(struct writer *writer, uint64_t index)
{
    for (uint64_t i = index; i < log_tail_next(&writer->tail); i++) {
        struct entry *entry = log_tail_get(&writer->tail, i);
        if (entry != NULL) {
            log_remove_entry(writer->txn, entry);
            continue;
        }
        VY_TRY(log_read_entry(store_newest(writer->config.store), i, false, &entry));
        log_remove_entry(writer->txn, entry);
        entry_unref(entry);
    }
    return vy_ok();
}

static struct vy_err append_job(struct writer *writer, const struct writer_job *job,
                                struct pass *pass)
{
    VY_ASSERT(job->index > writer->applied.index && job->index <= log_tail_next(&writer->tail));
    VY_TRY(remove_from(writer, job->index));
    for (size_t i = 0; i < job->count; i++) {
        VY_TRY(log_put_entry(writer->txn, job->entries[i], &writer->scratch));
    }
    VY_TRY(log_tail_append(&writer->tail, job->index, job->entries, job->count));
    pass->stats.entries_appended += job->count;
    if (job->is_alone) {
        pass->apply_to = VY_MAX(pass->apply_to, job->index + job->count - 1);
    }
    return vy_ok();
}

static struct vy_err write_jobs(struct writer *writer, struct pass *pass)
{
    VY_LIST_FOREACH(item, &pass->jobs)
    {
        const struct writer_job *job = VY_CONTAINER_OF(item, struct writer_job, link);
        pass->ticket = job->ticket;
        if (job->has_hard) {
            log_put_hard(txn_batch(writer->txn), job->term, job->voted_for);
        }
        if (job->base.index > 0) {
            VY_ASSERT(job->base.index <= writer->applied.index);
            VY_TRY(log_cut(txn_batch(writer->txn), job->old_base, &job->base, &writer->scratch));
        }
        if (job->index > 0) {
            VY_TRY(append_job(writer, job, pass));
        }
    }
    (void)txn_take_effects(writer->txn); /* payloads are no effects: those come by applying */
    return txn_error(writer->txn);
}

static uint64_t digest_next(uint64_t digest, const struct entry *entry, uint32_t effects)
{
    digest = vy_mix64(digest + VY_MIX64_STEP + entry->index);
    digest = vy_mix64(digest ^ entry->term);
    return vy_mix64(digest ^
                    ((uint64_t)vy_crc32c((uint32_t)entry->type, entry->body) << 32 | effects));
}

static struct vy_err apply_commands(struct writer *writer, struct entry *entry, struct pass *pass,
                                    struct vy_buf *results)
{
    struct replica_fsm *fsm = writer->config.fsm;
    struct entry_cursor cursor;
    struct vy_bytes command;
    size_t count = 0;
    entry_begin(entry, &cursor);
    const struct replica_entry_meta meta = {.index = entry->index,
                                            .term = entry->term,
                                            .time_ms = cursor.time_ms,
                                            .version = cursor.version};
    while (entry_next(&cursor, &command)) {
        vy_buf_reset(&writer->result);
        VY_TRY(fsm->ops->apply(fsm, writer->txn, &meta, command, &writer->result));
        VY_TRY(txn_error(writer->txn));
        VY_TRY(vy_buf_error(&writer->result));
        if (results != NULL) {
            vy_buf_append_be32(results, (uint32_t)vy_buf_len(&writer->result));
            vy_buf_append(results, vy_buf_bytes(&writer->result));
        }
        txn_entry_done(writer->txn);
        count++;
    }
    idem_expire(writer->txn, meta.time_ms, count * EXPIRE_PER_COMMAND + EXPIRE_PER_COMMAND);
    txn_entry_done(writer->txn);
    pass->stats.commands_applied += count;
    return txn_error(writer->txn);
}

static struct vy_err apply_entry(struct writer *writer, struct entry *entry, struct pass *pass)
{
    struct writer_outcome *outcome = NULL;
    if (entry->flight != NULL) {
        outcome = calloc(1, sizeof(*outcome));
        if (outcome == NULL) {
            return vy_error(VY_CODE_NOMEM, "results");
        }
        outcome->flight = entry->flight;
        vy_buf_init(&outcome->results,
                    (size_t)ENTRY_COMMANDS_MAX * (REPLICA_RESULT_BYTES_MAX + sizeof(uint32_t)));
        vy_list_push_back(&pass->outcomes, &outcome->link);
    }
    if (entry->type == ENTRY_COMMANDS) {
        struct vy_buf *results = outcome == NULL ? NULL : &outcome->results;
        VY_TRY(apply_commands(writer, entry, pass, results));
        if (results != NULL) {
            VY_TRY(vy_buf_error(results));
            pass->outcome_bytes += vy_buf_len(results);
        }
    }
    writer->applied.digest =
        digest_next(writer->applied.digest, entry, txn_take_effects(writer->txn));
    writer->applied.index = entry->index;
    pass->stats.entries_applied++;
    return vy_ok();
}

/* Takes over the reference. */
static void note_mark(struct writer *writer, struct entry *entry, struct pass *pass)
{
    store_batch_put(txn_batch(writer->txn), REPLICA_FAMILY_SYS, writer_mark_key, entry->body);
    pass->mark = (struct writer_mark){.index = entry->index,
                                      .last_index = log_tail_next(&writer->tail) - 1,
                                      .digest = writer->applied.digest,
                                      .entry = entry};
}

static struct vy_err apply_all(struct writer *writer, struct pass *pass)
{
    const uint64_t first = writer->applied.index;
    while (writer->applied.index < pass->apply_to && pass->outcome_bytes < OUTCOME_BYTES_MAX &&
           store_batch_bytes(txn_batch(writer->txn)) < 2U * WRITER_BATCH_BYTES_MAX) {
        const uint64_t index = writer->applied.index + 1;
        struct entry *entry = log_tail_get(&writer->tail, index);
        pass->failed_index = index;
        if (entry != NULL) {
            entry_ref(entry);
        } else {
            VY_TRY(log_read_entry(store_newest(writer->config.store), index, false, &entry));
        }
        const struct vy_err err = apply_entry(writer, entry, pass);
        const bool is_mark = entry->type == ENTRY_BARRIER && entry->body.len > 0;
        if (is_mark && !vy_failed(err)) {
            note_mark(writer, entry, pass);
        } else {
            entry_unref(entry);
        }
        VY_TRY(err);
        if (is_mark) {
            break; /* the pass ends here, so that a snapshot shows this moment */
        }
    }
    pass->failed_index = 0;
    if (writer->applied.index > first) {
        writer_put_applied(txn_batch(writer->txn), &writer->applied);
    }
    return vy_ok();
}

static struct vy_err write_pass(struct writer *writer, struct pass *pass)
{
    const uint64_t was_applied = writer->applied.index;
    VY_TRY(write_jobs(writer, pass));
    VY_TRY(apply_all(writer, pass));
    const bool sync = !vy_list_is_empty(&pass->jobs) && !VY_PLANT(SKIP_SYNC);
    const uint64_t begin_ns = vy_clock_mono_ns(writer->config.clock);
    pass->stats.batch_bytes += store_batch_bytes(txn_batch(writer->txn));
    VY_TRY(txn_commit(writer->txn, sync));
    pass->stats.batch_count++;
    if (sync) {
        pass->stats.sync_count++;
        pass->stats.sync_us += (vy_clock_mono_ns(writer->config.clock) - begin_ns) / 1000;
    }
    if (writer->applied.index > was_applied) {
        atomic_store_explicit(&writer->written_index, writer->applied.index, memory_order_release);
        if (writer->config.fsm->ops->on_written != NULL) {
            writer->config.fsm->ops->on_written(writer->config.fsm, writer->applied.index);
        }
    }
    if (pass->mark.index > 0) {
        VY_TRY(store_snapshot_new(writer->config.store, &pass->mark.snapshot));
    }
    log_tail_trim(&writer->tail, writer->applied.index, 0);
    log_tail_trim_others(&writer->tail, writer->config.tail_bytes_max);
    return vy_ok();
}

/* ---- telling the loop ---- */

static void on_news(void *arg)
{
    struct writer *writer = arg;
    writer->config.on_done(writer->config.arg);
}

/* With the lock held. */
static void tell(struct writer *writer)
{
    if (!writer->is_told) {
        writer->is_told = true;
        vy_loop_post(writer->config.loop, on_news, writer);
    }
}

static void add_stats(struct writer_stats *to, const struct writer_stats *from)
{
    to->sync_count += from->sync_count;
    to->sync_us += from->sync_us;
    to->batch_count += from->batch_count;
    to->batch_bytes += from->batch_bytes;
    to->entries_appended += from->entries_appended;
    to->entries_applied += from->entries_applied;
    to->commands_applied += from->commands_applied;
}

static void move_all(struct vy_list *from, struct vy_list *to)
{
    for (struct vy_list *item; (item = vy_list_pop_front(from)) != NULL;) {
        vy_list_push_back(to, item);
    }
}

static void publish(struct writer *writer, struct pass *pass)
{
    struct writer_news *news = &writer->news;
    news->ticket = VY_MAX(news->ticket, pass->ticket);
    news->applied = writer->applied;
    move_all(&pass->outcomes, &news->outcomes);
    if (pass->mark.index > 0) {
        drop_mark(&news->mark);
        news->mark = pass->mark;
    }
    add_stats(&news->stats, &pass->stats);
    tell(writer);
}

/* With the lock held. */
static bool has_work(const struct writer *writer)
{
    return !writer->has_failed &&
           (!vy_list_is_empty(&writer->jobs) || writer->apply_to > writer->news.applied.index);
}

static void take_jobs(struct writer *writer, struct pass *pass)
{
    size_t bytes = 0;
    while (!vy_list_is_empty(&writer->jobs) && bytes < WRITER_BATCH_BYTES_MAX) {
        struct vy_list *item = vy_list_pop_front(&writer->jobs);
        const struct writer_job *job = VY_CONTAINER_OF(item, struct writer_job, link);
        bytes += job->bytes;
        vy_list_push_back(&pass->jobs, item);
    }
    writer->queued_bytes -= bytes;
    pass->apply_to = writer->apply_to;
}

/* With the lock held, which it gives back while it writes. */
static void run_pass(struct writer *writer)
{
    struct pass pass = {.ticket = 0};
    vy_list_init(&pass.jobs);
    vy_list_init(&pass.outcomes);
    take_jobs(writer, &pass);
    pthread_mutex_unlock(&writer->lock);
    const struct vy_err err = write_pass(writer, &pass);
    if (vy_failed(err)) {
        writer->config.on_fail(writer->config.arg, err, pass.failed_index);
    }
    drop_jobs(&pass.jobs);
    pthread_mutex_lock(&writer->lock);
    if (vy_failed(err)) {
        writer->has_failed = true;
        drop_outcomes(&pass.outcomes);
        drop_mark(&pass.mark);
        return;
    }
    writer->apply_to = VY_MAX(writer->apply_to, pass.apply_to);
    publish(writer, &pass);
}

/* With the lock held. */
static void finish_if_idle(struct writer *writer)
{
    if (writer->is_finishing && !has_work(writer) && !writer->news.is_finished) {
        writer->news.is_finished = true;
        tell(writer);
    }
}

static void *thread_main(void *arg)
{
    struct writer *writer = arg;
    pthread_mutex_lock(&writer->lock);
    for (;;) {
        if (has_work(writer)) {
            run_pass(writer);
        } else if (writer->is_finishing) {
            break;
        } else {
            pthread_cond_wait(&writer->is_work, &writer->lock);
        }
    }
    finish_if_idle(writer);
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

struct vy_err writer_start(struct writer *writer)
{
    if (writer->config.mode != REPLICA_WRITER_THREAD) {
        return vy_ok();
    }
    const int rv = pthread_create(&writer->thread, NULL, thread_main, writer);
    if (rv != 0) {
        return vy_error_sys(VY_CODE_NOMEM, rv, "thread of the writer");
    }
    writer->has_thread = true;
    return vy_ok();
}

bool writer_pump(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    const bool was_work = has_work(writer);
    if (was_work) {
        run_pass(writer);
    }
    finish_if_idle(writer);
    pthread_mutex_unlock(&writer->lock);
    return was_work;
}

static void on_loop_pass(void *arg)
{
    struct writer *writer = arg;
    writer->is_kicked = false;
    writer_pump(writer);
    writer_kick(writer);
}

void writer_kick(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    const bool is_needed = has_work(writer) || (writer->is_finishing && !writer->news.is_finished);
    if (is_needed) {
        switch (writer->config.mode) {
        case REPLICA_WRITER_THREAD:
            pthread_cond_signal(&writer->is_work);
            break;
        case REPLICA_WRITER_LOOP:
            if (!writer->is_kicked) {
                writer->is_kicked = true;
                vy_loop_post(writer->config.loop, on_loop_pass, writer);
            }
            break;
        case REPLICA_WRITER_MANUAL:
            break;
        }
    }
    pthread_mutex_unlock(&writer->lock);
    if (is_needed && writer->config.mode == REPLICA_WRITER_MANUAL && writer->config.wake != NULL) {
        writer->config.wake(writer->config.wake_arg);
    }
}

void writer_take(struct writer *writer, struct writer_news *out)
{
    pthread_mutex_lock(&writer->lock);
    writer->is_told = false;
    *out = writer->news;
    vy_list_init(&out->outcomes);
    move_all(&writer->news.outcomes, &out->outcomes);
    writer->news.mark = (struct writer_mark){.index = 0};
    pthread_mutex_unlock(&writer->lock);
}

void writer_finish(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    writer->is_finishing = true;
    if (!writer->has_thread) {
        finish_if_idle(writer);
    }
    pthread_mutex_unlock(&writer->lock);
    writer_kick(writer);
}
