/* SPDX-License-Identifier: Apache-2.0 */
/* The call: slices of work over the blocks of the mailbox, and the program run for each message. */
#include "base/assert.h"
#include "shard/search_private.h"
#include "shard/service_private.h"

/* ---- the program ---- */

/* AND and OR over the last `count` values, as far as they are known. */
static enum search_truth combine(const enum search_truth *values, size_t count, bool is_and)
{
    const enum search_truth decisive = is_and ? SEARCH_FALSE : SEARCH_TRUE;
    enum search_truth result = is_and ? SEARCH_TRUE : SEARCH_FALSE;

    for (size_t i = 0; i < count; i++) {
        if (values[i] == decisive) {
            return decisive;
        }
        result = values[i] == SEARCH_UNKNOWN ? SEARCH_UNKNOWN : result;
    }
    return result;
}

static enum search_truth invert(enum search_truth value)
{
    return value == SEARCH_UNKNOWN ? value : value == SEARCH_TRUE ? SEARCH_FALSE : SEARCH_TRUE;
}

/* search_keys_prepare() has checked that the stack neither runs empty nor over. */
static enum search_truth run_program(const struct search *search)
{
    enum search_truth *stack = search->stack;
    size_t depth = 0;

    for (size_t i = 0; i < search->request->steps_count; i++) {
        const struct search_key *key = &search->keys[i];
        if (key->op == SEARCH_OP_NOT) {
            stack[depth - 1] = invert(stack[depth - 1]);
        } else if (key->op == SEARCH_OP_AND || key->op == SEARCH_OP_OR) {
            depth -= (size_t)key->number;
            stack[depth] = combine(stack + depth, (size_t)key->number, key->op == SEARCH_OP_AND);
            depth++;
        } else {
            stack[depth++] = search->values[i];
        }
    }
    VY_ASSERT(depth == 1);
    return stack[0];
}

/* ---- one message ---- */

static void ask_index(struct search *search, uint32_t index)
{
    for (size_t i = 0; i < search->request->steps_count; i++) {
        struct search_key *key = &search->keys[i];
        search->values[i] =
            key->level == SEARCH_INDEX ? search_key_in_index(search, key, index) : SEARCH_UNKNOWN;
    }
}

static void ask_summary(struct search *search, const struct summary *summary)
{
    for (size_t i = 0; i < search->request->steps_count; i++) {
        const struct search_key *key = &search->keys[i];
        if (search->values[i] == SEARCH_UNKNOWN && key->level == SEARCH_SUMMARY) {
            search->values[i] = search_key_in_summary(key, summary, &search->folded);
        }
    }
}

static struct vy_err ask_message(struct search *search, const uint8_t *email_id,
                                 enum search_truth *out)
{
    struct summary summary;

    vy_arena_reset(&search->scratch);
    VY_TRY(body_open(&search->body, &search->scratch, email_id));
    VY_TRY(summary_decode(search->body.info.summary, &summary));
    ask_summary(search, &summary);
    *out = run_program(search);
    if (*out == SEARCH_UNKNOWN) {
        VY_TRY(search_in_header(search, &summary));
        *out = run_program(search);
    }
    if (*out == SEARCH_UNKNOWN) {
        VY_TRY(search_in_text(search, &summary));
        *out = run_program(search);
    }
    return vy_ok();
}

/* A damaged message is found by nothing that needs its content, nor by the negation of that. */
static struct vy_err judge(struct search *search, uint32_t index, bool *out)
{
    enum search_truth truth = SEARCH_UNKNOWN;

    ask_index(search, index);
    truth = run_program(search);
    if (truth == SEARCH_UNKNOWN) {
        const struct vy_err err = ask_message(search, search->block->email_id[index], &truth);
        if (err.code == VY_CODE_CORRUPT) {
            search->damaged_count++;
        } else {
            VY_TRY(err);
        }
        vy_buf_release(&search->body.loaded);
    }
    *out = truth == SEARCH_TRUE;
    return vy_ok();
}

static bool is_within(struct search *search, uint32_t uid)
{
    const struct uid_ranges *within = &search->within;

    if (search->request->within.len == 0) {
        return true;
    }
    while (search->within_range < within->count && within->items[search->within_range].last < uid) {
        search->within_range++;
    }
    return search->within_range < within->count && within->items[search->within_range].first <= uid;
}

static void end_run(struct search *search)
{
    struct uid_range *run = &search->found_run;

    if (run->first != 0) {
        uidset_write_range(&search->found_writer, &search->found, run->first, run->last);
        run->first = 0;
    }
}

/* UIDs come in ascending order. */
static void add_found(struct search *search, uint32_t uid)
{
    struct uid_range *run = &search->found_run;

    if (run->first == 0 || run->last + 1 != uid) {
        end_run(search);
        run->first = uid;
    }
    run->last = uid;
}

static struct vy_err judge_next(struct search *search)
{
    const uint32_t index = search->index++;
    const uint32_t uid = search->block->uid[index];
    bool is_found = false;

    if (!is_within(search, uid)) {
        return vy_ok();
    }
    VY_TRY(judge(search, index, &is_found));
    if (is_found) {
        add_found(search, uid);
        search->highest_modseq = VY_MAX(search->highest_modseq, search->block->modseq[index]);
    }
    return search->found.failed ? vy_error(VY_CODE_NOMEM, "found messages") : vy_ok();
}

/* ---- slices ---- */

static struct vy_err open_mailbox(struct search *search)
{
    struct call *call = search->call;
    const uint64_t mailbox_id = search->request->mailbox_id;
    struct mailbox_row row;
    bool found = false;

    VY_TRY(
        read_mailbox(call_reader(call), &call->arena, call->account_id, mailbox_id, &row, &found));
    if (!found || row.no_select) {
        return vy_error(VY_CODE_NOT_FOUND, "mailbox is gone");
    }
    VY_TRY(search_keys_prepare(search));
    body_init(&search->body, call_reader(call), call_keys(call), call->account_id);
    VY_TRY(read_blocks_open(call_reader(call), &call->arena, call->account_id, mailbox_id, 1,
                            &search->blocks));
    search->is_open = true;
    return vy_ok();
}

/* Messages until the slice is over; time is looked at once a block, or once a message that was
 * opened. */
static struct vy_err run_slice(struct search *search, uint64_t end_ns)
{
    struct vy_clock *clock = search->call->service->config.clock;

    while (!search->is_finished) {
        if (search->block == NULL || search->index == search->block->count) {
            VY_TRY(read_blocks_next(&search->blocks, &search->block));
            search->index = 0;
            search->is_finished = search->block == NULL;
        } else {
            VY_TRY(judge_next(search));
        }
        const bool looks = search->index == 0 || search->top_level > SEARCH_INDEX;
        if (looks && vy_clock_mono_ns(clock) >= end_ns) {
            return vy_ok();
        }
    }
    return vy_ok();
}

static struct vy_err work_slice(struct call *call)
{
    struct search *search = call->state;
    struct vy_clock *clock = call->service->config.clock;
    const uint64_t start_ns = vy_clock_mono_ns(clock);

    if (!search->is_open) {
        VY_TRY(open_mailbox(search));
    }
    VY_TRY(run_slice(search, start_ns + SEARCH_SLICE_NS));
    search->spent_ns += vy_clock_mono_ns(clock) - start_ns;
    return vy_ok();
}

static void answer(struct call *call)
{
    struct search *search = call->state;

    end_run(search);
    if (search->found.failed) {
        call_fail(call, vy_error(VY_CODE_NOMEM, "found messages"));
        return;
    }
    const struct message_search_reply reply = {.uids = vy_buf_bytes(&search->found),
                                               .highest_modseq = search->highest_modseq};
    call_reply(call, &reply);
}

static void slice_done(struct call *call)
{
    struct search *search = call->state;
    struct service *service = call->service;

    if (search->damaged_count > 0) {
        service->stats.checksum_failures += search->damaged_count;
        vy_log(service->config.log, VY_LOG_ERROR, "shard.search.damaged",
               VY_HEX("shard.account", call->account_id),
               VY_U64("msg.count", search->damaged_count));
        search->damaged_count = 0;
    }
    if (call->is_cancelled) {
        call_fail(call, vy_error(VY_CODE_CANCELLED, "searcher is gone"));
    } else if (search->is_finished) {
        answer(call);
    } else if (search->spent_ns / 1000000U >= service->config.search_cpu_ms) {
        call_fail(call, vy_error(VY_CODE_LIMIT, "search took too long"));
    } else {
        call_work(call, work_slice, slice_done);
    }
}

/* ---- begin ---- */

static struct vy_err begin(struct call *call)
{
    const struct message_search_request *request = call->request;
    const size_t count = request->steps_count;

    if (count == 0 || count > SEARCH_STEPS_MAX) {
        return vy_error(VY_CODE_LIMIT, "search keys");
    }
    struct search *search = VY_ARENA_NEW(&call->arena, struct search);
    struct search_key *keys = VY_ARENA_ARRAY(&call->arena, count, struct search_key);
    enum search_truth *values = VY_ARENA_ARRAY(&call->arena, 2 * count, enum search_truth);
    if (search == NULL || keys == NULL || values == NULL) {
        return vy_error(VY_CODE_LIMIT, "start search");
    }
    search->call = call;
    search->request = request;
    search->keys = keys;
    search->values = values;
    search->stack = values + count;
    search->now_ms = vy_clock_wall_ms(call->service->config.clock);
    vy_buf_init(&search->found, CALL_REPLY_BYTES_MAX);
    vy_arena_init(&search->scratch, SEARCH_SCRATCH_BYTES_MAX);
    vy_buf_init(&search->text, 4U * SEARCH_TEXT_PART_BYTES_MAX + 64U);
    vy_buf_init(&search->folded, 16U * SEARCH_TEXT_PART_BYTES_MAX);
    call->state = search;
    return request->within.len == 0 ? vy_ok()
                                    : uids_decode(&call->arena, request->within, &search->within);
}

void method_search_start(struct call *call)
{
    const struct message_search_request *request = call->request;
    const struct vy_err err = begin(call);

    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    views_touch(call->service->views, call->account_id, request->view_id);
    call_read(call, work_slice, slice_done);
}

void method_search_end(struct call *call)
{
    struct search *search = call->state;

    if (search == NULL) {
        return;
    }
    read_blocks_close(&search->blocks);
    body_deinit(&search->body);
    vy_arena_deinit(&search->scratch);
    vy_buf_deinit(&search->found);
    vy_buf_deinit(&search->text);
    vy_buf_deinit(&search->folded);
}
