/* SPDX-License-Identifier: Apache-2.0 */
/* APPEND, of one message or several: all of them or none. */
#include "base/assert.h"
#include "mail/flags.h"
#include "shard/block.h"
#include "shard/ingest.h"
#include "shard/names.h"
#include "shard/service_private.h"

#define ZONE_MINUTES_MAX 1439

static const struct message_append_request *append_request(const struct call *call)
{
    return call->request;
}

static void on_appended(struct call *call, const struct shard_result *result)
{
    struct ingest *ingest = call->state;
    struct service_stats *stats = &call->service->stats;

    if (result->code != SHARD_CODE_DONE) {
        ingest_fail(ingest, vy_error(shard_code_to_vy(result->code), "append message"));
        return;
    }
    stats->messages_stored += ingest->message_count;
    stats->messages_stored_bytes += ingest->received_bytes;
    const struct message_append_reply reply = {
        .uidvalidity = result->uidvalidity, .uids = result->uids, .mailbox_id = result->mailbox_id};
    call_reply(call, &reply);
}

static struct vy_err fill_message(struct call *call, const struct append_message *from,
                                  const struct ingest_copy *copy, struct new_message *out)
{
    struct sealed_name *keywords =
        VY_ARENA_ARRAY(&call->arena, VY_MAX(from->keywords_count, 1U), struct sealed_name);

    if (keywords == NULL) {
        return vy_error(VY_CODE_LIMIT, "keywords of a message");
    }
    for (size_t i = 0; i < from->keywords_count; i++) {
        VY_TRY(names_seal_keyword(copy->keys, call->service->config.rng, call->account_id,
                                  from->keywords[i], &call->arena, &keywords[i]));
    }
    ingest_fill_message(call->state, copy, out);
    out->flags = from->flags & MAIL_FLAGS_STORABLE;
    out->keywords = keywords;
    out->keywords_count = from->keywords_count;
    out->internal_ms = from->internal_ms;
    out->zone = (uint32_t)(from->internal_zone_minutes + (int32_t)BLOCK_ZONE_BIAS);
    return vy_ok();
}

static void append_finish(struct call *call)
{
    struct ingest *ingest = call->state;
    const struct message_append_request *request = append_request(call);
    uint8_t hash[SHARD_HASH_BYTES];
    struct new_message *messages =
        VY_ARENA_ARRAY(&call->arena, request->messages_count, struct new_message);
    struct vy_err err = messages == NULL ? vy_error(VY_CODE_LIMIT, "append messages") : vy_ok();

    for (size_t i = 0; !vy_failed(err) && i < request->messages_count; i++) {
        err = fill_message(call, &request->messages[i], &ingest->copies[i], &messages[i]);
    }
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    names_hash_mailbox(call_keys(call), request->mailbox_name, hash);
    const struct cmd_append append = {.name_hash = vy_bytes(hash, sizeof(hash)),
                                      .messages_count = request->messages_count,
                                      .messages = messages};
    struct shard_command command = {.append = &append};
    ingest_propose(ingest, &command, on_appended);
}

static struct vy_err check_message(const struct append_message *message)
{
    if (message->size_bytes == 0) {
        return vy_error(VY_CODE_ARGUMENT, "message without bytes");
    }
    if (message->size_bytes > EMAIL_BODY_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "message is too large");
    }
    if (message->internal_zone_minutes < -ZONE_MINUTES_MAX ||
        message->internal_zone_minutes > ZONE_MINUTES_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "zone of a date");
    }
    if (message->keywords_count > MAIL_KEYWORDS_MAX) {
        return vy_error(VY_CODE_LIMIT, "keywords of a message");
    }
    for (size_t i = 0; i < message->keywords_count; i++) {
        if (!mail_keyword_is_valid(message->keywords[i])) {
            return vy_error(VY_CODE_ARGUMENT, "keyword");
        }
    }
    return vy_ok();
}

static struct vy_err begin(struct call *call)
{
    const struct message_append_request *request = append_request(call);
    const size_t count = request->messages_count;

    if (count == 0 || count > INGEST_MESSAGES_MAX || request->mailbox_name.len == 0) {
        return vy_error(VY_CODE_ARGUMENT, "messages to append");
    }
    struct ingest *ingest = VY_ARENA_NEW(&call->arena, struct ingest);
    struct ingest_copy *copies = VY_ARENA_ARRAY(&call->arena, count, struct ingest_copy);
    uint64_t *sizes = VY_ARENA_ARRAY(&call->arena, count, uint64_t);
    if (ingest == NULL || copies == NULL || sizes == NULL) {
        return vy_error(VY_CODE_LIMIT, "append messages");
    }
    for (size_t i = 0; i < count; i++) {
        VY_TRY(check_message(&request->messages[i]));
        sizes[i] = request->messages[i].size_bytes;
        copies[i].account_id = call->account_id;
        copies[i].account_epoch = call->account_epoch;
        copies[i].keys = call_keys(call);
    }
    *ingest = (struct ingest){.call = call,
                              .finish = append_finish,
                              .copies = copies,
                              .copy_count = count,
                              .message_count = count,
                              .sizes = sizes,
                              .is_ready = true};
    call->state = ingest;
    return ingest_start(ingest);
}

void method_append_start(struct call *call)
{
    const struct vy_err err = begin(call);

    if (vy_failed(err)) {
        call_fail(call, err);
    }
}
