/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/session_token.h"
#include "shard/service_private.h"

static struct vy_err check_session(struct service *service, const struct shard_actor *actor,
                                   struct vy_arena *arena)
{
    struct session_claims claims;

    if (actor == NULL || actor->session_token.len == 0) {
        return vy_error(VY_CODE_DENIED, "call without session token");
    }
    if (actor->session_token.len > SESSION_TOKEN_BYTES_MAX) {
        return vy_error(VY_CODE_AUTH, "read session token");
    }
    VY_TRY(session_token_open(service->config.cluster_key, arena, actor->session_token,
                              vy_clock_wall_ms(service->config.clock), &claims));
    if (claims.account_id != actor->account_id || claims.account_id == 0) {
        return vy_error(VY_CODE_AUTH, "session token of another account");
    }
    if (claims.account_epoch != actor->account_epoch) {
        return vy_error(VY_CODE_AUTH, "session token of another epoch");
    }
    return vy_ok();
}

struct vy_err actor_check(struct service *service, const struct call_method *method,
                          const struct shard_actor *actor, struct vy_arena *arena)
{
    switch (method->actor) {
    case CALL_ACTOR_SESSION:
        return check_session(service, actor, arena);
    case CALL_ACTOR_DELIVER:
    case CALL_ACTOR_META:
        return vy_ok();
    }
    return vy_error(VY_CODE_DENIED, "method without actor rule");
}

struct vy_err actor_check_entry(const struct account_entry *entry, uint64_t epoch)
{
    if (epoch < entry->epoch) {
        return vy_error(VY_CODE_STALE, "account epoch is over");
    }
    return entry->can_login ? vy_ok() : vy_error(VY_CODE_STALE, "account is disabled");
}
