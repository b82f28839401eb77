/* SPDX-License-Identifier: Apache-2.0 */
/* The last word on a delivery to several groups: its held copies end here, and who waits for the
 * decision asks for it. */
#include "shard/service_private.h"

/* ---- the end of held copies ---- */

static void answer_ended(struct call *call, const struct shard_result *result)
{
    const struct delivery_end_request *request = call->request;
    struct service_stats *stats = &call->service->stats;
    struct deliver_result *results =
        VY_ARENA_ARRAY(&call->arena, result->recipients_count, struct deliver_result);

    if (result->code != SHARD_CODE_DONE) {
        call_refuse(call, result, "end held copies");
        return;
    }
    if (results == NULL) {
        call_fail(call, vy_error(VY_CODE_LIMIT, "accounts of a delivery"));
        return;
    }
    for (size_t i = 0; i < result->recipients_count; i++) {
        const struct recipient_result *from = &result->recipients[i];
        const bool is_stored = from->outcome == DELIVER_OUTCOME_STORED;
        results[i] = (struct deliver_result){.account_id = from->account_id,
                                             .outcome = (enum deliver_outcome)from->outcome,
                                             .email_id = from->email_id,
                                             .uid = from->uid};
        stats->copies_released += is_stored ? 1 : 0;
        stats->copies_dropped += is_stored || request->commit ? 0 : 1;
    }
    call_reply(call, &(struct delivery_end_reply){.results_count = result->recipients_count,
                                                  .results = results});
}

void method_delivery_end_start(struct call *call)
{
    const struct delivery_end_request *request = call->request;

    if (request->delivery_id.len != SHARD_DELIVERY_ID_BYTES || request->accounts_count == 0 ||
        request->accounts_count > SHARD_RECIPIENTS_MAX) {
        call_fail(call, vy_error(VY_CODE_ARGUMENT, "end of a delivery"));
        return;
    }
    struct held_copy *copies =
        VY_ARENA_ARRAY(&call->arena, request->accounts_count, struct held_copy);
    if (copies == NULL) {
        call_fail(call, vy_error(VY_CODE_LIMIT, "accounts of a delivery"));
        return;
    }
    for (size_t i = 0; i < request->accounts_count; i++) {
        copies[i].account_id = request->accounts[i].account_id;
    }
    const struct cmd_held_end end = {.delivery_id = request->delivery_id,
                                     .commit = request->commit,
                                     .copies_count = request->accounts_count,
                                     .copies = copies,
                                     .keep_ms = SETTLER_DECISION_KEEP_MS};
    call_propose(call, &(struct shard_command){.held_end = &end}, NULL, 0, answer_ended);
}

/* ---- the decision ---- */

static void answer_asked(struct call *call, const struct shard_result *result)
{
    if (result->code != SHARD_CODE_DONE) {
        call_refuse(call, result, "decide on a delivery");
        return;
    }
    call->service->stats.deliveries_denied += result->committed ? 0 : 1;
    call_reply(call, &(struct delivery_ask_reply){.committed = result->committed});
}

void method_delivery_ask_start(struct call *call)
{
    const struct delivery_ask_request *request = call->request;

    if (request->delivery_id.len != SHARD_DELIVERY_ID_BYTES) {
        call_fail(call, vy_error(VY_CODE_ARGUMENT, "id of a delivery"));
        return;
    }
    const struct cmd_decide decide = {.delivery_id = request->delivery_id,
                                      .keep_ms = SETTLER_DECISION_KEEP_MS};
    call_propose(call, &(struct shard_command){.decide = &decide}, NULL, 0, answer_asked);
}
