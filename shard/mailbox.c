/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on accounts and the list of mailboxes: first use, create, delete, rename, subscribe,
 * open. */
#include "base/assert.h"
#include "proto/shard.pb.h"
#include "shard/fsm_private.h"

static void put_name_row(struct apply *apply, uint64_t account_id, struct vy_bytes hash,
                         uint64_t mailbox_id)
{
    const struct shard_key key = keys_name(account_id, hash);
    uint8_t value[8];

    vy_put_be64(value, mailbox_id);
    tx_put(apply->tx, SHARD_MBOX, &key, vy_bytes(value, sizeof(value)));
}

static void delete_name_row(struct apply *apply, uint64_t account_id, struct vy_bytes hash)
{
    const struct shard_key key = keys_name(account_id, hash);

    tx_delete(apply->tx, SHARD_MBOX, &key);
}

static void put_subscription(struct apply *apply, uint64_t account_id,
                             const struct sealed_name *name)
{
    const struct shard_key key = keys_subscription(account_id, name->hash);

    tx_put(apply->tx, SHARD_MBOX, &key, name->sealed);
}

static bool is_name(const struct sealed_name *name)
{
    return name != NULL && name->hash.len == SHARD_HASH_BYTES && name->sealed.len > 0;
}

#define UIDVALIDITY_ACCOUNTS (1U << 20)
#define UIDVALIDITY_STEP 1024U /* above what one account takes ahead of the time */

/* From the entry's time in seconds, but always above the last one given: a name made anew never
 * looks like the old mailbox, whatever the clocks do (P5). The account's number, which only grows,
 * counts too: the next holder of an address begins above the one before, within the same second as
 * well (P8, DEL-4); once in a million accounts it is other, not above. */
static uint32_t take_uidvalidity(struct apply *apply, struct fsm_account *account)
{
    const uint64_t now_s = apply->time_ms / 1000;
    const uint64_t own = account->account_id % UIDVALIDITY_ACCOUNTS * UIDVALIDITY_STEP;
    const uint32_t wanted = (uint32_t)VY_MIN(now_s + own, UINT32_MAX);

    account->row.last_uidvalidity = VY_MAX(wanted, account->row.last_uidvalidity + 1);
    return account->row.last_uidvalidity;
}

struct box *mailbox_make(struct apply *apply, struct fsm_account *account,
                         const struct new_mailbox *mailbox)
{
    const uint64_t mailbox_id = ++account->row.next_mailbox_id;
    const uint64_t modseq = apply_take_modseq(apply, account);
    const struct mailbox_row row = {
        .version = 1,
        .name_hash = mailbox->name->hash,
        .name_sealed = mailbox->name->sealed,
        .role = mailbox->role,
        .no_select = mailbox->no_select,
        .uidvalidity = take_uidvalidity(apply, account),
        .uidnext = 1,
        .highest_modseq = modseq,
        .first_recent_uid = 1,
        .change_floor_modseq = modseq - 1,
    };

    account->row.mailbox_count++;
    account->row.names_version++;
    apply_touch_account(account);
    put_name_row(apply, account->account_id, mailbox->name->hash, mailbox_id);
    if (mailbox->subscribed) {
        account->row.subscription_count++;
        put_subscription(apply, account->account_id, mailbox->name);
    }
    struct box *box =
        box_create(&apply->fsm->cache, apply->tx, account->account_id, mailbox_id, &row);
    if (box != NULL) {
        apply_touch_box(apply, box);
    }
    return box;
}

enum shard_code mailbox_check_new(struct apply *apply, const struct fsm_account *account,
                                  const struct new_mailbox *mailboxes, size_t count,
                                  uint32_t *out_new)
{
    *out_new = 0;
    if (count > SHARD_NEW_MAILBOXES_MAX) {
        return SHARD_CODE_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_name(mailboxes[i].name)) {
            return SHARD_CODE_PRECONDITION;
        }
        if (apply_find_mailbox_id(apply, account->account_id, mailboxes[i].name->hash) == 0) {
            ++*out_new;
        }
    }
    return *out_new > SHARD_MAILBOXES_MAX - VY_MIN(account->row.mailbox_count, SHARD_MAILBOXES_MAX)
               ? SHARD_CODE_LIMIT
               : SHARD_CODE_DONE;
}

void mailbox_make_missing(struct apply *apply, struct fsm_account *account,
                          const struct new_mailbox *mailboxes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (apply_find_mailbox_id(apply, account->account_id, mailboxes[i].name->hash) == 0) {
            mailbox_make(apply, account, &mailboxes[i]);
        }
    }
}

static void tell_list(struct apply *apply, const struct fsm_account *account)
{
    apply_event(apply, &(struct fsm_event){.kind = FSM_EVENT_LIST,
                                           .account_id = account->account_id,
                                           .modseq = account->row.modseq});
}

/* ---- first use of an account in this group ---- */

enum shard_code fsm_account_init(struct apply *apply)
{
    const struct cmd_account_init *init = apply->command->account_init;
    struct fsm_account *account = apply_find_account(apply, apply->command->account_id);
    uint32_t missing = 0;

    if (account == NULL || (account->exists && account->row.erased)) {
        return SHARD_CODE_NO_ACCOUNT;
    }
    if (account->row.inbox_id != 0) {
        return SHARD_CODE_DONE; /* two first calls at once */
    }
    account->row.version = 1;
    account->row.epoch = VY_MAX(account->row.epoch, apply->command->account_epoch);
    account->row.quota_bytes = init->quota_bytes;
    const enum shard_code code =
        mailbox_check_new(apply, account, init->mailboxes, init->mailboxes_count, &missing);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    account->exists = true;
    apply_touch_account(account);
    for (size_t i = 0; i < init->mailboxes_count; i++) {
        const struct box *box = mailbox_make(apply, account, &init->mailboxes[i]);
        if (box != NULL && init->mailboxes[i].role == MAILBOX_ROLE_INBOX) {
            account->row.inbox_id = box->mailbox_id;
        }
    }
    return SHARD_CODE_DONE;
}

/* ---- create, delete ---- */

void mailbox_fill_result(struct apply *apply, const struct box *box)
{
    apply->result->mailbox_id = box->mailbox_id;
    apply->result->uidvalidity = box->row.uidvalidity;
    apply->result->modseq = box->row.highest_modseq;
}

enum shard_code fsm_mailbox_create(struct apply *apply)
{
    const struct cmd_mailbox_create *create = apply->command->mailbox_create;
    struct fsm_account *account = NULL;
    uint32_t missing = 0;

    enum shard_code code = apply_open_account(apply, apply->command->account_id,
                                              apply->command->account_epoch, &account);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    if (create->mailboxes_count == 0) {
        return SHARD_CODE_PRECONDITION;
    }
    code = mailbox_check_new(apply, account, create->mailboxes, create->mailboxes_count, &missing);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    const struct new_mailbox *wanted = &create->mailboxes[create->mailboxes_count - 1];
    struct box *box = apply_find_box(apply, account->account_id, wanted->name->hash);
    if (box != NULL && !box->row.no_select) {
        return SHARD_CODE_EXISTS;
    }
    mailbox_make_missing(apply, account, create->mailboxes, create->mailboxes_count);
    if (box !=
        NULL) { /* a name that had only children becomes a mailbox again, as a new one (P5) */
        box->row.no_select = false;
        box->row.role = wanted->role;
        box->row.uidvalidity = take_uidvalidity(apply, account);
        box->row.highest_modseq = apply_take_modseq(apply, account);
        account->row.names_version++;
        apply_touch_box(apply, box);
    } else {
        box = apply_find_box(apply, account->account_id, wanted->name->hash);
    }
    if (box != NULL) {
        mailbox_fill_result(apply, box);
    }
    tell_list(apply, account);
    return SHARD_CODE_DONE;
}

/* Everything in the mailbox is expunged. */
static void empty_box(struct apply *apply, struct fsm_account *account, struct box *box)
{
    const uint64_t modseq = apply_take_modseq(apply, account);
    struct expunge expunge;

    if (box->row.message_count == 0 || !expunge_begin(&expunge, apply, box, modseq)) {
        return;
    }
    uint32_t uid = 1;
    for (;;) {
        struct box_block *block = box_find(box, apply->tx, uid);
        if (block == NULL) {
            break;
        }
        for (uint32_t i = 0; i < block->block.count; i++) {
            expunge_row(&expunge, block, i);
        }
        if (block_last_uid(&block->block) == UINT32_MAX) {
            break;
        }
        uid = block_last_uid(&block->block) + 1;
    }
    expunge_end(&expunge, account);
}

enum shard_code fsm_mailbox_delete(struct apply *apply)
{
    const struct cmd_mailbox_delete *cmd = apply->command->mailbox_delete;
    struct fsm_account *account = NULL;

    const enum shard_code code = apply_open_account(apply, apply->command->account_id,
                                                    apply->command->account_epoch, &account);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    if (cmd->name_hash.len != SHARD_HASH_BYTES) {
        return SHARD_CODE_NOT_FOUND;
    }
    if (cmd->names_version != account->row.names_version) {
        return SHARD_CODE_CONFLICT;
    }
    struct box *box = apply_find_box(apply, account->account_id, cmd->name_hash);
    if (box == NULL) {
        return SHARD_CODE_NOT_FOUND;
    }
    if (box->mailbox_id == account->row.inbox_id || (cmd->with_children && box->row.no_select)) {
        return SHARD_CODE_PRECONDITION;
    }
    empty_box(apply, account, box);
    apply->result->modseq = apply_take_modseq(apply, account);
    apply_event(apply, &(struct fsm_event){.kind = FSM_EVENT_MAILBOX,
                                           .account_id = account->account_id,
                                           .mailbox_id = box->mailbox_id,
                                           .modseq = apply->result->modseq});
    account->row.names_version++;
    apply_touch_account(account);
    if (cmd->with_children) {
        box->row.no_select = true;
        box->row.role = MAILBOX_ROLE_NONE;
        box->row.highest_modseq = apply->result->modseq;
        apply_touch_box(apply, box);
    } else {
        account->row.mailbox_count--;
        delete_name_row(apply, account->account_id, cmd->name_hash);
        apply_forget_box(apply, box);
        box_delete(box, apply->tx);
    }
    tell_list(apply, account);
    return SHARD_CODE_DONE;
}

/* ---- rename ---- */

static enum shard_code rename_check(struct apply *apply, const struct fsm_account *account,
                                    const struct cmd_mailbox_rename *cmd)
{
    uint32_t missing = 0;

    if (cmd->names_version != account->row.names_version) {
        return SHARD_CODE_CONFLICT;
    }
    if (cmd->names_count == 0 || cmd->names_count > SHARD_MAILBOXES_MAX) {
        return SHARD_CODE_PRECONDITION;
    }
    for (size_t i = 0; i < cmd->names_count; i++) {
        if (!is_name(cmd->names[i].name)) {
            return SHARD_CODE_PRECONDITION;
        }
        if (apply_find_mailbox_id(apply, account->account_id, cmd->names[i].name->hash) != 0) {
            return SHARD_CODE_EXISTS;
        }
        if (!cmd->from_inbox &&
            apply_open_box(apply, account->account_id, cmd->names[i].mailbox_id) == NULL) {
            return SHARD_CODE_NOT_FOUND;
        }
    }
    return mailbox_check_new(apply, account, cmd->superiors, cmd->superiors_count, &missing);
}

static void rename_one(struct apply *apply, const struct fsm_account *account,
                       const struct mailbox_new_name *name)
{
    struct box *box = apply_open_box(apply, account->account_id, name->mailbox_id);

    if (box == NULL) {
        return;
    }
    delete_name_row(apply, account->account_id, box->row.name_hash);
    put_name_row(apply, account->account_id, name->name->hash, box->mailbox_id);
    box_set_name(box, name->name->hash, name->name->sealed);
    apply_touch_box(apply, box);
}

/* RFC 9051 section 6.3.6: renaming INBOX moves its messages to a new mailbox and leaves INBOX
 * empty. */
static enum shard_code rename_inbox(struct apply *apply, struct fsm_account *account,
                                    const struct cmd_mailbox_rename *cmd)
{
    const struct new_mailbox made = {.name = cmd->names[0].name};

    struct box *inbox = apply_open_box(apply, account->account_id, account->row.inbox_id);
    if (inbox == NULL) {
        return SHARD_CODE_NOT_FOUND;
    }
    if (account->row.mailbox_count >= SHARD_MAILBOXES_MAX) {
        return SHARD_CODE_LIMIT;
    }
    mailbox_make_missing(apply, account, cmd->superiors, cmd->superiors_count);
    struct box *target = mailbox_make(apply, account, &made);
    if (target != NULL) {
        move_everything(apply, account, inbox, target);
        mailbox_fill_result(apply, target);
    }
    return SHARD_CODE_DONE;
}

enum shard_code fsm_mailbox_rename(struct apply *apply)
{
    const struct cmd_mailbox_rename *cmd = apply->command->mailbox_rename;
    struct fsm_account *account = NULL;

    enum shard_code code = apply_open_account(apply, apply->command->account_id,
                                              apply->command->account_epoch, &account);
    if (code == SHARD_CODE_DONE) {
        code = rename_check(apply, account, cmd);
    }
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    if (cmd->from_inbox) {
        code = rename_inbox(apply, account, cmd);
    } else {
        mailbox_make_missing(apply, account, cmd->superiors, cmd->superiors_count);
        for (size_t i = 0; i < cmd->names_count; i++) {
            rename_one(apply, account, &cmd->names[i]);
        }
    }
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    apply->result->modseq = apply_take_modseq(apply, account);
    account->row.names_version++;
    apply_touch_account(account);
    tell_list(apply, account);
    return SHARD_CODE_DONE;
}

/* ---- subscribe, open ---- */

enum shard_code fsm_mailbox_subscribe(struct apply *apply)
{
    const struct cmd_mailbox_subscribe *cmd = apply->command->mailbox_subscribe;
    struct fsm_account *account = NULL;

    const enum shard_code code = apply_open_account(apply, apply->command->account_id,
                                                    apply->command->account_epoch, &account);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    if (!is_name(cmd->name)) {
        return SHARD_CODE_PRECONDITION;
    }
    const struct shard_key key = keys_subscription(account->account_id, cmd->name->hash);
    struct vy_bytes old;
    const bool was_subscribed = tx_get(apply->tx, SHARD_MBOX, &key, &old);
    if (cmd->subscribed && !was_subscribed) {
        if (account->row.subscription_count >= SHARD_MAILBOXES_MAX) {
            return SHARD_CODE_LIMIT;
        }
        account->row.subscription_count++;
        put_subscription(apply, account->account_id, cmd->name);
    } else if (!cmd->subscribed && was_subscribed) {
        account->row.subscription_count -= account->row.subscription_count > 0 ? 1 : 0;
        tx_delete(apply->tx, SHARD_MBOX, &key);
    }
    apply->result->modseq = apply_take_modseq(apply, account);
    tell_list(apply, account);
    return SHARD_CODE_DONE;
}

enum shard_code fsm_mailbox_open(struct apply *apply)
{
    struct fsm_account *account = NULL;

    const enum shard_code code = apply_open_account(apply, apply->command->account_id,
                                                    apply->command->account_epoch, &account);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    struct box *box =
        apply_open_box(apply, account->account_id, apply->command->mailbox_open->mailbox_id);
    if (box == NULL || box->row.no_select) {
        return SHARD_CODE_NOT_FOUND;
    }
    mailbox_fill_result(apply, box);
    apply->result->first_recent_uid = box->row.first_recent_uid;
    box->row.first_recent_uid = box->row.uidnext;
    apply_touch_box(apply, box);
    return SHARD_CODE_DONE;
}
