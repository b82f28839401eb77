/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a search: what they need, and their values from the index and the summary. */
#include "base/assert.h"
#include "mail/date.h"
#include "mail/search_text.h"
#include "shard/search_private.h"
#include "shard/service_private.h"

/* ---- preparation ---- */

/* Fields that the summary has decoded. */
static const struct {
    const char *name;
    size_t offset;
} summary_fields[] = {
    {"subject", offsetof(struct summary, subject)},
    {"from",    offsetof(struct summary, from)   },
    {"to",      offsetof(struct summary, to)     },
    {"cc",      offsetof(struct summary, cc)     },
    {"bcc",     offsetof(struct summary, bcc)    },
};

static size_t find_summary_field(struct vy_bytes name)
{
    for (size_t i = 0; i < VY_COUNT_OF(summary_fields); i++) {
        if (vy_bytes_equal_nocase(name, vy_cstr(summary_fields[i].name))) {
            return summary_fields[i].offset;
        }
    }
    return 0;
}

static enum search_level level_of(const struct search_key *key)
{
    switch (key->op) {
    case SEARCH_OP_SENT_BEFORE:
    case SEARCH_OP_SENT_ON:
    case SEARCH_OP_SENT_SINCE:
        return SEARCH_SUMMARY;
    case SEARCH_OP_HEADER:
        return key->summary_field != 0 ? SEARCH_SUMMARY : SEARCH_HEADER;
    case SEARCH_OP_BODY:
    case SEARCH_OP_TEXT:
        return SEARCH_TEXT;
    case SEARCH_OP_NONE:
    case SEARCH_OP_AND:
    case SEARCH_OP_OR:
    case SEARCH_OP_NOT:
    case SEARCH_OP_ALL:
    case SEARCH_OP_FLAGS_SET:
    case SEARCH_OP_FLAGS_CLEAR:
    case SEARCH_OP_KEYWORD:
    case SEARCH_OP_UIDS:
    case SEARCH_OP_LARGER:
    case SEARCH_OP_SMALLER:
    case SEARCH_OP_BEFORE:
    case SEARCH_OP_ON:
    case SEARCH_OP_SINCE:
    case SEARCH_OP_MODSEQ:
    case SEARCH_OP_OLDER:
    case SEARCH_OP_YOUNGER:
    case SEARCH_OP_EMAILID:
    case SEARCH_OP_THREADID:
    case SEARCH_OP_NONE_MATCH:
        break;
    }
    return SEARCH_INDEX;
}

/* What the step takes from the stack; SIZE_MAX: it is no step. */
static size_t operands_of(const struct search_step *step)
{
    if (step->op <= SEARCH_OP_NONE || step->op > SEARCH_OP_NONE_MATCH) {
        return SIZE_MAX;
    }
    if (step->op == SEARCH_OP_AND || step->op == SEARCH_OP_OR) {
        return step->number == 0 || step->number > SEARCH_STEPS_MAX ? SIZE_MAX
                                                                    : (size_t)step->number;
    }
    return step->op == SEARCH_OP_NOT ? 1 : 0;
}

static struct vy_err check_program(const struct message_search_request *request)
{
    size_t depth = 0;
    size_t text_bytes = 0;

    for (size_t i = 0; i < request->steps_count; i++) {
        const size_t operands = operands_of(&request->steps[i]);
        if (operands > depth) { /* also SIZE_MAX */
            return vy_error(VY_CODE_ARGUMENT, "search program");
        }
        depth = depth - operands + 1;
        if (request->steps[i].op != SEARCH_OP_UIDS) {
            text_bytes += request->steps[i].text.len;
        }
    }
    if (text_bytes > SEARCH_TEXT_KEY_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "texts of a search");
    }
    return depth == 1 ? vy_ok() : vy_error(VY_CODE_ARGUMENT, "search program");
}

/* The mailbox's bit of a keyword; BLOCK_KEYWORDS_MAX: no message can have it. */
static uint32_t find_keyword(const struct vy_bytes *names, size_t count, struct vy_bytes name)
{
    for (size_t i = 0; i < count; i++) {
        if (vy_bytes_equal_nocase(names[i], name)) {
            return (uint32_t)i;
        }
    }
    return BLOCK_KEYWORDS_MAX;
}

static struct vy_err prepare_keyword(struct search *search, struct search_key *key,
                                     struct vy_bytes name)
{
    struct call *call = search->call;
    struct vy_bytes *names = NULL;
    size_t count = 0;

    if (search->keyword_names == NULL) {
        VY_TRY(read_keywords(call_reader(call), &call->arena, call_keys(call), call->account_id,
                             search->request->mailbox_id, &names, &count));
        search->keyword_names = names;
        search->keyword_count = count;
    }
    key->keyword_bit = find_keyword(search->keyword_names, search->keyword_count, name);
    return vy_ok();
}

static struct vy_err prepare_key(struct search *search, const struct search_step *step,
                                 struct search_key *key)
{
    struct vy_arena *arena = &search->call->arena;

    *key = (struct search_key){.op = step->op, .number = step->number, .field = step->field};
    if (step->op == SEARCH_OP_HEADER) {
        key->summary_field = find_summary_field(step->field);
    }
    key->level = level_of(key);
    search->top_level = VY_MAX(search->top_level, key->level);
    switch (step->op) {
    case SEARCH_OP_UIDS:
        return uids_decode(arena, step->text, &key->uids);
    case SEARCH_OP_KEYWORD:
        return prepare_keyword(search, key, step->text);
    case SEARCH_OP_EMAILID:
    case SEARCH_OP_THREADID:
        key->text = step->text;
        return vy_ok();
    default: /* the text of all others is one to look for, or empty */
        return search_text_fold(arena, step->text, &key->text);
    }
}

struct vy_err search_keys_prepare(struct search *search)
{
    VY_TRY(check_program(search->request));
    for (size_t i = 0; i < search->request->steps_count; i++) {
        VY_TRY(prepare_key(search, &search->request->steps[i], &search->keys[i]));
    }
    return vy_ok();
}

/* ---- values ---- */

static enum search_truth truth(bool value)
{
    return value ? SEARCH_TRUE : SEARCH_FALSE;
}

static bool has_uid(struct search_key *key, uint32_t uid)
{
    const struct uid_ranges *uids = &key->uids;

    while (key->range < uids->count && uids->items[key->range].last < uid) {
        key->range++;
    }
    return key->range < uids->count && uids->items[key->range].first <= uid;
}

/* The day as it was written, in its own zone. */
static uint64_t internal_day_ms(const struct block *block, uint32_t index)
{
    const int64_t zone_minutes = (int64_t)block->zone[index] - (int64_t)BLOCK_ZONE_BIAS;
    const int64_t local_ms = (int64_t)block->internal_ms[index] + zone_minutes * 60000;

    return local_ms < 0 ? 0 : (uint64_t)(local_ms - local_ms % DATE_DAY_MS);
}

static uint64_t age_seconds(const struct search *search, uint64_t time_ms)
{
    return (search->now_ms - VY_MIN(search->now_ms, time_ms)) / 1000U;
}

enum search_truth search_key_in_index(struct search *search, struct search_key *key, uint32_t index)
{
    const struct block *block = search->block;

    switch (key->op) {
    case SEARCH_OP_ALL:
        return SEARCH_TRUE;
    case SEARCH_OP_FLAGS_SET:
        return truth((block->flags[index] & key->number) == key->number);
    case SEARCH_OP_FLAGS_CLEAR:
        return truth((block->flags[index] & key->number) == 0);
    case SEARCH_OP_KEYWORD:
        return truth(key->keyword_bit < BLOCK_KEYWORDS_MAX &&
                     block_has_keyword(block, index, key->keyword_bit));
    case SEARCH_OP_UIDS:
        return truth(has_uid(key, block->uid[index]));
    case SEARCH_OP_LARGER:
        return truth(block->size[index] > key->number);
    case SEARCH_OP_SMALLER:
        return truth(block->size[index] < key->number);
    case SEARCH_OP_BEFORE:
        return truth(internal_day_ms(block, index) < key->number);
    case SEARCH_OP_ON:
        return truth(internal_day_ms(block, index) == key->number);
    case SEARCH_OP_SINCE:
        return truth(internal_day_ms(block, index) >= key->number);
    case SEARCH_OP_MODSEQ:
        return truth(block->modseq[index] >= key->number);
    case SEARCH_OP_OLDER:
        return truth(age_seconds(search, block->internal_ms[index]) >= key->number);
    case SEARCH_OP_YOUNGER: /* RFC 5032: the end of the interval is in both */
        return truth(age_seconds(search, block->internal_ms[index]) <= key->number);
    case SEARCH_OP_EMAILID:
        return truth(vy_bytes_equal(key->text, vy_bytes(block->email_id[index], SHARD_ID_BYTES)));
    case SEARCH_OP_THREADID:
        return truth(vy_bytes_equal(key->text, vy_bytes(block->thread_id[index], SHARD_ID_BYTES)));
    case SEARCH_OP_NONE:
    case SEARCH_OP_AND:
    case SEARCH_OP_OR:
    case SEARCH_OP_NOT:
    case SEARCH_OP_SENT_BEFORE:
    case SEARCH_OP_SENT_ON:
    case SEARCH_OP_SENT_SINCE:
    case SEARCH_OP_HEADER:
    case SEARCH_OP_BODY:
    case SEARCH_OP_TEXT:
    case SEARCH_OP_NONE_MATCH:
        break;
    }
    return SEARCH_FALSE;
}

static enum search_truth sent_date(const struct search_key *key, const struct summary *summary)
{
    if (!summary->has_date) {
        return SEARCH_FALSE;
    }
    const int64_t day_ms = date_local_day_ms(summary->date);
    const int64_t number = key->number > INT64_MAX ? INT64_MAX : (int64_t)key->number;
    if (key->op == SEARCH_OP_SENT_BEFORE) {
        return truth(day_ms < number);
    }
    return truth(key->op == SEARCH_OP_SENT_ON ? day_ms == number : day_ms >= number);
}

enum search_truth search_key_in_summary(const struct search_key *key, const struct summary *summary,
                                        struct vy_buf *folded)
{
    struct vy_bytes value;

    if (key->op != SEARCH_OP_HEADER) {
        return sent_date(key, summary);
    }
    memcpy(&value, (const uint8_t *)summary + key->summary_field, sizeof(value));
    if (value.data == NULL) {
        return SEARCH_FALSE;
    }
    vy_buf_reset(folded);
    search_text_append_folded(folded, value);
    if (search_text_contains(vy_buf_bytes(folded), key->text)) {
        return SEARCH_TRUE;
    }
    /* Of a field that was cut the header has the rest. */
    return summary->is_field_cut ? SEARCH_UNKNOWN : SEARCH_FALSE;
}
