/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery: one message to recipients of this group, each copy with its own header lines under its
 * own key; all of them are stored by one command, or none is (promises P2, P3).
 */
#include "base/assert.h"
#include "shard/ingest.h"
#include "shard/names.h"
#include "shard/service_private.h"

#define RETRY_SCOPE_BYTES_MAX 64U

/* What a delivery keeps beside its ingest. */
struct delivery {
    struct ingest ingest; /* first: call->state is both */
    uint64_t size[1];
    struct deliver_result *results;
    size_t loaded;      /* recipients whose keys came */
    size_t initialised; /* recipients looked at while accounts are set up */
    bool is_loading;    /* inside account_keys_load */
    bool is_refused;
    unsigned init_rounds;
};

static const struct message_deliver_request *deliver_request(const struct call *call)
{
    return call->request;
}

/* ---- answers ---- */

static void answer(struct call *call)
{
    const struct delivery *delivery = call->state;
    const struct message_deliver_reply reply = {.results_count = delivery->ingest.copy_count,
                                                .results = delivery->results};

    call_reply(call, &reply);
}

static void on_released(struct call *call, const struct shard_result *result)
{
    (void)result;
    answer(call);
}

/* Nothing was stored: those who did not refuse have no outcome. */
static void clear_stored(struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->ingest.copy_count; i++) {
        struct deliver_result *result = &delivery->results[i];
        if (result->outcome == DELIVER_OUTCOME_STORED || result->outcome == DELIVER_OUTCOME_HELD) {
            result->outcome = DELIVER_OUTCOME_NONE;
        }
        result->email_id = vy_bytes(NULL, 0);
        result->uid = 0;
    }
}

static bool is_own_copy(const struct delivery *delivery, size_t index)
{
    const uint8_t *own = delivery->ingest.copies[index].email_id;

    return vy_bytes_equal(delivery->results[index].email_id, vy_bytes(own, SHARD_ID_BYTES));
}

/* A copy under another email id was there before this call. */
static void count_copies(struct call *call)
{
    const struct delivery *delivery = call->state;
    struct service_stats *stats = &call->service->stats;

    for (size_t i = 0; i < delivery->ingest.copy_count; i++) {
        if (!is_own_copy(delivery, i)) {
            stats->copies_repeated++;
        } else if (delivery->results[i].outcome == DELIVER_OUTCOME_HELD) {
            stats->copies_held++;
            settler_note_held(call->service->settler, delivery->ingest.received_bytes);
        } else {
            stats->messages_stored++;
            stats->messages_stored_bytes += delivery->ingest.received_bytes;
        }
    }
}

/* The result is gone after this step; what is told of it stays. */
static void note_stored(struct call *call, const struct shard_result *result)
{
    struct delivery *delivery = call->state;

    for (size_t i = 0; i < result->recipients_count; i++) {
        const struct recipient_result *from = &result->recipients[i];
        struct deliver_result *to = &delivery->results[i];
        *to = (struct deliver_result){.account_id = from->account_id,
                                      .outcome = (enum deliver_outcome)from->outcome,
                                      .uid = from->uid};
        vy_ignore(vy_arena_dup(&call->arena, from->email_id, &to->email_id),
                  "an outcome without its id is an outcome");
    }
    if (result->code == SHARD_CODE_DONE) {
        count_copies(call);
    }
}

/* ---- accounts that this group does not have yet ---- */

static void deliver_finish(struct call *call);

static void init_next(struct call *call, const struct shard_result *result)
{
    struct delivery *delivery = call->state;

    (void)result; /* refused or not, the delivery itself finds out */
    if (delivery->initialised == delivery->ingest.copy_count) {
        deliver_finish(call);
        return;
    }
    const struct ingest_copy *copy = &delivery->ingest.copies[delivery->initialised++];
    ingest_init_account(&delivery->ingest, copy->entry, init_next);
}

static void init_accounts(struct call *call, const struct shard_result *result)
{
    struct delivery *delivery = call->state;

    if (delivery->init_rounds++ >= CALL_INIT_TRIES_MAX) {
        call_refuse(call, result, "set up account");
        return;
    }
    delivery->initialised = 0;
    call->has_key = false;
    init_next(call, result);
}

/* ---- the command ---- */

/* Is that an answer about recipients, or did the command as a whole fail? */
static bool is_about_recipients(uint32_t code)
{
    return code == SHARD_CODE_QUOTA || code == SHARD_CODE_NO_ACCOUNT || code == SHARD_CODE_STALE ||
           code == SHARD_CODE_LIMIT;
}

/* An earlier attempt at this delivery waits for its decision: it is asked for soon, and the sender
 * comes again. */
static void hurry_pending(struct call *call, const struct shard_result *result)
{
    for (size_t i = 0; i < result->recipients_count; i++) {
        if (result->recipients[i].outcome == DELIVER_OUTCOME_HELD &&
            result->recipients[i].email_id.len == SHARD_DELIVERY_ID_BYTES) {
            settler_hurry(call->service->settler, result->recipients[i].email_id.data);
        }
    }
}

static void on_delivered(struct call *call, const struct shard_result *result)
{
    struct delivery *delivery = call->state;

    if (result->code == SHARD_CODE_NO_INIT) {
        init_accounts(call, result);
        return;
    }
    if (result->code == SHARD_CODE_PENDING) {
        hurry_pending(call, result);
    }
    if (result->recipients_count != delivery->ingest.copy_count ||
        (result->code != SHARD_CODE_DONE && !is_about_recipients(result->code))) {
        ingest_fail(&delivery->ingest, vy_error(shard_code_to_vy(result->code), "deliver message"));
        return;
    }
    note_stored(call, result);
    if (result->code != SHARD_CODE_DONE) {
        clear_stored(delivery);
        ingest_release_stages(&delivery->ingest, on_released);
        return;
    }
    /* A delivery that was done before under this key names the copies of then. */
    if (!is_own_copy(delivery, 0)) {
        ingest_release_stages(&delivery->ingest, on_released);
        return;
    }
    answer(call);
}

static void fill_recipient(struct call *call, size_t index, struct new_message *message,
                           uint8_t *hash, struct new_delivery *out)
{
    struct delivery *delivery = call->state;
    const struct ingest_copy *copy = &delivery->ingest.copies[index];
    const struct vy_bytes name = deliver_request(call)->recipients[index].mailbox_name;

    ingest_fill_message(&delivery->ingest, copy, message);
    *out = (struct new_delivery){
        .account_id = copy->account_id, .account_epoch = copy->account_epoch, .message = message};
    if (name.len > 0) {
        names_hash_mailbox(copy->keys, name, hash);
        out->name_hash = vy_bytes(hash, SHARD_HASH_BYTES);
    }
    if (copy->has_retry_token) {
        out->retry_token = vy_bytes(copy->retry_token, SHARD_HASH_BYTES);
    }
}

static void propose_hold(struct call *call, const struct new_delivery *recipients, size_t count)
{
    struct delivery *delivery = call->state;
    const struct message_deliver_request *request = deliver_request(call);
    const struct cmd_hold hold = {
        .delivery_id = request->delivery_id,
        .decider_group = request->decider_group,
        .ask_after_ms = VY_MIN(request->hold_ms, (uint64_t)SETTLER_ASK_AFTER_MS_MAX),
        .keep_ms = SETTLER_HOLD_KEEP_MS,
        .retry_keep_ms = SETTLER_RETRY_KEEP_MS,
        .recipients_count = count,
        .recipients = recipients,
    };
    struct shard_command command = {.hold = &hold};

    ingest_propose(&delivery->ingest, &command, on_delivered);
}

static void deliver_finish(struct call *call)
{
    struct delivery *delivery = call->state;
    const size_t count = delivery->ingest.copy_count;
    struct new_delivery *recipients = VY_ARENA_ARRAY(&call->arena, count, struct new_delivery);
    struct new_message *messages = VY_ARENA_ARRAY(&call->arena, count, struct new_message);
    uint8_t *hashes = VY_ARENA_ARRAY(&call->arena, count * SHARD_HASH_BYTES, uint8_t);

    if (recipients == NULL || messages == NULL || hashes == NULL) {
        call_fail(call, vy_error(VY_CODE_LIMIT, "deliver message"));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        fill_recipient(call, i, &messages[i], hashes + i * SHARD_HASH_BYTES, &recipients[i]);
    }
    if (deliver_request(call)->hold) {
        propose_hold(call, recipients, count);
        return;
    }
    const struct cmd_deliver deliver = {
        .recipients_count = count,
        .recipients = recipients,
        .retry_keep_ms = SETTLER_RETRY_KEEP_MS,
        .delivery_id = deliver_request(call)->delivery_id,
        .decision_keep_ms = SETTLER_DECISION_KEEP_MS,
    };
    struct shard_command command = {.deliver = &deliver};
    ingest_propose(&delivery->ingest, &command, on_delivered);
}

static enum deliver_outcome outcome_of(uint32_t code)
{
    return code == SHARD_CODE_QUOTA   ? DELIVER_OUTCOME_OVER_QUOTA
           : code == SHARD_CODE_LIMIT ? DELIVER_OUTCOME_REFUSED
                                      : DELIVER_OUTCOME_NO_ACCOUNT;
}

static void refuse_stage(struct call *call, size_t copy, uint32_t code)
{
    struct delivery *delivery = call->state;

    if (!is_about_recipients(code)) {
        ingest_fail(&delivery->ingest, vy_error(shard_code_to_vy(code), "stage message"));
        return;
    }
    delivery->results[copy].outcome = outcome_of(code);
    ingest_release_stages(&delivery->ingest, on_released);
}

/* ---- keys of the recipients ---- */

static void load_next(struct call *call);

static bool may_receive(const struct ingest_copy *copy, const struct account_entry *entry)
{
    return entry->can_receive && copy->account_epoch >= entry->epoch;
}

static void on_keys(void *arg, struct vy_err err, struct account_entry *entry)
{
    struct call *call = arg;
    struct delivery *delivery = call->state;
    struct ingest_copy *copy = &delivery->ingest.copies[delivery->loaded];

    call->is_busy = false;
    if (vy_failed(err) && err.code != VY_CODE_NOT_FOUND) {
        delivery->is_loading = false;
        call_fail(call, err);
        return;
    }
    if (vy_failed(err) || !may_receive(copy, entry)) {
        delivery->results[delivery->loaded].outcome = DELIVER_OUTCOME_NO_ACCOUNT;
        delivery->is_refused = true;
    } else {
        account_keys_ref(entry);
        copy->entry = entry;
        copy->keys = entry->keys;
    }
    delivery->loaded++;
    if (delivery->is_loading) {
        delivery->is_loading = false; /* load_next() goes on */
    } else {
        load_next(call);
    }
}

static void load_next(struct call *call)
{
    struct delivery *delivery = call->state;
    bool *const outer = call->ended;
    bool ended = false;

    call->ended = &ended;
    while (!ended && delivery->loaded < delivery->ingest.copy_count) {
        delivery->is_loading = true;
        call->is_busy = true;
        account_keys_load(call->service->accounts,
                          delivery->ingest.copies[delivery->loaded].account_id, on_keys, call);
        if (!ended && delivery->is_loading) {
            delivery->is_loading = false; /* the answer comes later */
            call->ended = outer;
            return;
        }
    }
    if (ended) {
        if (outer != NULL) {
            *outer = true;
        }
        return;
    }
    call->ended = outer;
    if (delivery->is_refused) {
        answer(call);
        return;
    }
    delivery->ingest.is_ready = true;
    ingest_advance(&delivery->ingest);
}

/* ---- begin ---- */

/* Nothing in it may end a header line: what a frontend passes on came from a client. */
static bool is_one_line(struct vy_bytes text)
{
    return vy_bytes_find_byte(text, '\n', 0) == SIZE_MAX &&
           vy_bytes_find_byte(text, '\r', 0) == SIZE_MAX &&
           vy_bytes_find_byte(text, 0, 0) == SIZE_MAX;
}

static struct vy_err make_prefix(struct call *call, struct vy_bytes address, struct vy_bytes *out)
{
    const struct message_deliver_request *request = deliver_request(call);
    VY_CLEANUP(vy_buf_deinit) struct vy_buf text;

    vy_buf_init(&text, INGEST_PREFIX_BYTES_MAX);
    if (!is_one_line(request->reverse_path) || !is_one_line(address)) {
        return vy_error(VY_CODE_ARGUMENT, "address of a delivery");
    }
    vy_buf_append_cstr(&text, "Return-Path: <");
    vy_buf_append(&text, request->reverse_path);
    vy_buf_append_cstr(&text, ">\r\n");
    if (address.len > 0) {
        vy_buf_append_cstr(&text, "Delivered-To: ");
        vy_buf_append(&text, address);
        vy_buf_append_cstr(&text, "\r\n");
    }
    vy_buf_append(&text, request->trace_headers);
    VY_TRY(vy_buf_error(&text));
    return vy_arena_dup(&call->arena, vy_buf_bytes(&text), out);
}

static void put_field(struct vy_buf *text, struct vy_bytes field)
{
    vy_buf_append_be32(text, (uint32_t)field.len);
    vy_buf_append(text, field);
}

/* What tells a retry from another message, beside its bytes: who sends, from which path, to which
 * address. */
static struct vy_err make_envelope(struct call *call, struct vy_bytes address, struct vy_bytes *out)
{
    const struct message_deliver_request *request = deliver_request(call);
    VY_CLEANUP(vy_buf_deinit) struct vy_buf text;

    vy_buf_init(&text, INGEST_PREFIX_BYTES_MAX);
    put_field(&text, request->retry_scope);
    put_field(&text, request->reverse_path);
    put_field(&text, address);
    VY_TRY(vy_buf_error(&text));
    return vy_arena_dup(&call->arena, vy_buf_bytes(&text), out);
}

static struct vy_err fill_copies(struct call *call, struct delivery *delivery)
{
    const struct message_deliver_request *request = deliver_request(call);

    for (size_t i = 0; i < request->recipients_count; i++) {
        const struct deliver_recipient *recipient = &request->recipients[i];
        struct ingest_copy *copy = &delivery->ingest.copies[i];
        copy->account_id = recipient->account_id;
        copy->account_epoch = recipient->account_epoch;
        VY_TRY(make_prefix(call, recipient->address, &copy->prefix));
        VY_TRY(make_envelope(call, recipient->address, &copy->envelope));
        delivery->ingest.gap = VY_MAX(delivery->ingest.gap, copy->prefix.len);
        delivery->results[i].account_id = recipient->account_id;
    }
    return vy_ok();
}

/* What the request says of other groups. */
static struct vy_err check_groups(const struct call *call)
{
    const struct message_deliver_request *request = deliver_request(call);
    const size_t id_bytes = request->delivery_id.len;

    if (request->retry_scope.len > RETRY_SCOPE_BYTES_MAX ||
        (id_bytes != 0 && id_bytes != SHARD_DELIVERY_ID_BYTES) ||
        (request->hold && (id_bytes == 0 || request->decider_group == 0))) {
        return vy_error(VY_CODE_ARGUMENT, "delivery to several groups");
    }
    return request->hold && settler_is_full(call->service->settler)
               ? vy_error(VY_CODE_BUSY, "too many deliveries wait for their decision")
               : vy_ok();
}

static struct vy_err begin(struct call *call)
{
    const struct message_deliver_request *request = deliver_request(call);
    const size_t count = request->recipients_count;

    VY_TRY(check_groups(call));

    if (count == 0 || count > SHARD_RECIPIENTS_MAX || request->size_bytes > EMAIL_BODY_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "recipients or size of a delivery");
    }
    struct delivery *delivery = VY_ARENA_NEW(&call->arena, struct delivery);
    struct ingest_copy *copies = VY_ARENA_ARRAY(&call->arena, count, struct ingest_copy);
    struct deliver_result *results = VY_ARENA_ARRAY(&call->arena, count, struct deliver_result);
    if (delivery == NULL || copies == NULL || results == NULL) {
        return vy_error(VY_CODE_LIMIT, "recipients of a delivery");
    }
    delivery->results = results;
    delivery->size[0] = request->size_bytes;
    delivery->ingest = (struct ingest){.call = call,
                                       .finish = deliver_finish,
                                       .refuse = refuse_stage,
                                       .copies = copies,
                                       .copy_count = count,
                                       .message_count = 1,
                                       .sizes = delivery->size};
    VY_TRY(fill_copies(call, delivery));
    call->state = delivery;
    return ingest_start(&delivery->ingest);
}

void method_deliver_start(struct call *call)
{
    const struct vy_err err = begin(call);

    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    load_next(call);
}
