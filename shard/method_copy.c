/* SPDX-License-Identifier: Apache-2.0 */
/* MESSAGE_COPY (COPY and MOVE) and MESSAGE_EXPUNGE: one command each, answered from its result. */
#include "shard/names.h"
#include "shard/service_private.h"

static void copy_result(struct call *call, const struct shard_result *result)
{
    const struct message_copy_request *request = call->request;

    if (result->code != SHARD_CODE_DONE) {
        call_refuse(call, result, request->move ? "move messages" : "copy messages");
        return;
    }
    call_reply(call, &(struct message_copy_reply){
                         .uidvalidity = result->uidvalidity,
                         .source_uids = result->source_uids,
                         .target_uids = result->uids,
                         .modseq = request->move ? result->modseq : 0,
                         .previous_modseq = request->move ? result->previous_modseq : 0,
                     });
}

void method_copy_start(struct call *call)
{
    const struct message_copy_request *request = call->request;
    uint8_t hash[SHARD_HASH_BYTES];

    names_hash_mailbox(call_keys(call), request->target_name, hash);
    const struct cmd_copy copy = {
        .mailbox_id = request->mailbox_id,
        .uids = request->uids,
        .target_hash = vy_bytes(hash, sizeof(hash)),
        .move = request->move,
    };
    call_propose(call, &(struct shard_command){.copy = &copy}, NULL, 0, copy_result);
}

static void expunge_result(struct call *call, const struct shard_result *result)
{
    if (result->code != SHARD_CODE_DONE) {
        call_refuse(call, result, "expunge messages");
        return;
    }
    call_reply(call, &(struct message_expunge_reply){.vanished = result->uids,
                                                     .modseq = result->modseq,
                                                     .previous_modseq = result->previous_modseq});
}

void method_expunge_start(struct call *call)
{
    const struct message_expunge_request *request = call->request;
    const struct cmd_expunge expunge = {
        .mailbox_id = request->mailbox_id,
        .uids = request->uids,
        .all_deleted = request->uids.len == 0,
    };

    call_propose(call, &(struct shard_command){.expunge = &expunge}, NULL, 0, expunge_result);
}
