/* SPDX-License-Identifier: Apache-2.0 */
/* What an account has from its first use on: INBOX and one mailbox for each common special use
 * (RFC 6154), all subscribed. */
#include "base/assert.h"
#include "shard/names.h"
#include "shard/service_private.h"

static const struct {
    const char *name;
    enum mailbox_role role;
} first_mailboxes[] = {
    {"INBOX",   MAILBOX_ROLE_INBOX  },
    {"Drafts",  MAILBOX_ROLE_DRAFTS },
    {"Sent",    MAILBOX_ROLE_SENT   },
    {"Junk",    MAILBOX_ROLE_JUNK   },
    {"Trash",   MAILBOX_ROLE_TRASH  },
    {"Archive", MAILBOX_ROLE_ARCHIVE},
};

struct vy_err account_init_build(struct service *service, struct vy_arena *arena,
                                 const struct account_entry *entry, struct shard_command *out)
{
    const size_t count = VY_COUNT_OF(first_mailboxes);
    struct cmd_account_init *init = VY_ARENA_NEW(arena, struct cmd_account_init);
    struct new_mailbox *mailboxes = VY_ARENA_ARRAY(arena, count, struct new_mailbox);
    struct sealed_name *names = VY_ARENA_ARRAY(arena, count, struct sealed_name);

    if (init == NULL || mailboxes == NULL || names == NULL) {
        return vy_error(VY_CODE_LIMIT, "set up account");
    }
    for (size_t i = 0; i < count; i++) {
        VY_TRY(names_seal_mailbox(entry->keys, service->config.rng, entry->account_id,
                                  vy_cstr(first_mailboxes[i].name), arena, &names[i]));
        mailboxes[i] = (struct new_mailbox){
            .name = &names[i], .role = first_mailboxes[i].role, .subscribed = true};
    }
    init->quota_bytes = entry->quota_bytes;
    init->mailboxes = mailboxes;
    init->mailboxes_count = count;
    *out = (struct shard_command){.version = SHARD_COMMAND_VERSION,
                                  .account_id = entry->account_id,
                                  .account_epoch = entry->epoch,
                                  .account_init = init};
    return vy_ok();
}
