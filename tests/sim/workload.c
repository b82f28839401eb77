/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/workload.h"

#include "base/bytes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_BODY_BYTES 400U
#define MIDDLE_BODY_BYTES 12000U /* a payload of its own */
#define LARGE_BODY_BYTES 150000U /* streams while it arrives */
#define LATE_MS 8000U
#define HOT_PERMILLE 600U
#define READ_ROUNDS_MAX 5U
#define THINK_MS 80U
#define AWAY_MS 200U /* nobody was there: not at once again */
#define AGAIN_PERMILLE 800U

struct workload_op {
    const char *name;
    unsigned weight;
    /* Writes the script and marks what is tried. False: there is nothing to do it with. */
    bool (*begin)(struct workload_user *user);
    void (*end)(struct workload_user *user, enum client_end end);
    enum sim_port port;
};

static struct ledger_account *account_of(const struct workload_user *user)
{
    return &user->workload->ledger->accounts[user->account];
}

static struct ledger_message *message_of(const struct workload_user *user)
{
    return &account_of(user)->messages[user->token];
}

static bool was_said(const struct workload_user *user, unsigned step)
{
    return user->client.at >= step &&
           (user->client.steps[step].is_said || user->client.at > step || user->client.sent > 0);
}

/* ---- messages ---- */

static size_t choose_body_bytes(struct sim_world *world)
{
    const uint64_t kind = sim_random(world, 100);
    return 1 + sim_random(world, kind < 85   ? SMALL_BODY_BYTES
                                 : kind < 97 ? MIDDLE_BODY_BYTES
                                             : LARGE_BODY_BYTES);
}

static void write_message(struct sim_world *world, uint32_t token, struct vy_buf *out)
{
    size_t bytes = choose_body_bytes(world);
    vy_buf_printf(out, "From: a@else.test\r\nMessage-ID: <%u@else.test>\r\nX-Sim: %u\r\n\r\n",
                  token, token);
    while (bytes > 0) {
        char line[73];
        const size_t len = VY_MIN(bytes, sizeof(line) - 1);
        for (size_t i = 0; i < len; i++) {
            line[i] = (char)('a' + (i * 7 + token + bytes) % 26);
        }
        vy_buf_append(out, vy_bytes((const uint8_t *)line, len));
        vy_buf_append_cstr(out, "\r\n");
        bytes -= len;
    }
}

static void mark_sent(struct workload_user *user)
{
    for (unsigned i = 0; i < user->recipient_count; i++) {
        struct ledger *ledger = user->workload->ledger;
        ledger->accounts[user->recipients[i]].messages[user->token].may_exist = true;
    }
}

/* ---- delivery ---- */

static void choose_recipients(struct workload_user *user)
{
    struct sim_world *world = user->workload->world;
    const unsigned count = sim_chance(world, 500) ? 1 : 2 + (unsigned)sim_random(world, 2);
    user->recipient_count = 0;
    while (user->recipient_count < count) {
        const unsigned account = sim_chance(world, HOT_PERMILLE)
                                     ? user->workload->hot_account
                                     : (unsigned)sim_random(world, LEDGER_ACCOUNTS);
        bool is_new = user->workload->ledger->accounts[account].exists;
        for (unsigned i = 0; i < user->recipient_count; i++) {
            is_new = is_new && user->recipients[i] != account;
        }
        if (is_new) {
            user->recipients[user->recipient_count++] = account;
        }
    }
}

static void choose_one_per_group(struct workload_user *user)
{
    const struct ledger *ledger = user->workload->ledger;
    user->recipient_count = 0;
    for (unsigned group = 1; group <= SIM_GROUPS; group++) {
        unsigned account = 0;
        while (ledger->accounts[account].group != group) {
            account++;
        }
        user->recipients[user->recipient_count++] = account;
    }
}

/* A new message, or the one before once more. False: there are no tokens left. */
static bool choose_delivery(struct workload_user *user)
{
    struct ledger *ledger = user->workload->ledger;
    if (user->wants_again) {
        user->wants_again = false;
        return true;
    }
    if (ledger->next_token == LEDGER_TOKENS_MAX) {
        return false;
    }
    user->token = ledger->next_token++;
    if (user->workload->to_each_group) {
        choose_one_per_group(user);
    } else {
        choose_recipients(user);
    }
    vy_buf_reset(&user->body);
    write_message(user->workload->world, user->token, &user->body);
    vy_buf_append_cstr(&user->body, ".\r\n");
    struct ledger_delivery *delivery = &ledger->deliveries[user->token];
    delivery->began_ms = user->workload->world->now_ms;
    for (unsigned i = 0; i < user->recipient_count && !user->is_lmtp; i++) {
        delivery->recipients |= 1U << user->recipients[i];
    }
    return true;
}

static bool deliver_begin(struct workload_user *user)
{
    struct client *client = &user->client;
    struct ledger *ledger = user->workload->ledger;
    if (!choose_delivery(user)) {
        return false;
    }
    client_script(client, CLIENT_WAIT_SMTP);
    (void)client_say(client, "%s client.test\r\n", user->is_lmtp ? "LHLO" : "EHLO");
    (void)client_say(client, "MAIL FROM:<a@else.test>\r\n");
    for (unsigned i = 0; i < user->recipient_count; i++) {
        (void)client_say(client, "RCPT TO:<%s>\r\n", ledger->accounts[user->recipients[i]].address);
    }
    (void)client_say(client, "DATA\r\n");
    user->body_step = client->count;
    struct client_step *step = client_say_bytes(client, vy_buf_bytes(&user->body));
    step->replies = user->is_lmtp ? user->recipient_count : 1;
    for (unsigned i = 0; i < user->recipient_count; i++) {
        struct ledger_message *message =
            &ledger->accounts[user->recipients[i]].messages[user->token];
        message->may_have_existed = message->may_exist; /* by an earlier attempt */
    }
    mark_sent(user);
    return true;
}

static bool smtp_begin(struct workload_user *user)
{
    user->is_lmtp = false;
    return deliver_begin(user);
}

static bool lmtp_begin(struct workload_user *user)
{
    user->is_lmtp = true;
    return deliver_begin(user);
}

/* The code of the n-th reply of the body's step; 0: there is none. */
static unsigned reply_code(const struct workload_user *user, unsigned n)
{
    const char *at = client_reply(&user->client, user->body_step);
    for (unsigned i = 0; at != NULL && *at != '\0'; at = strchr(at, '\n'), at += at != NULL) {
        if (strlen(at) > 3 && at[3] == ' ' && i++ == n) {
            return (unsigned)ledger_number(at, NULL);
        }
    }
    return 0;
}

static void deliver_end(struct workload_user *user, enum client_end end)
{
    struct ledger *ledger = user->workload->ledger;
    const bool is_sent = end != CLIENT_AWAY && was_said(user, user->body_step);
    unsigned left = 0;
    for (unsigned i = 0; i < user->recipient_count; i++) {
        const unsigned account = user->recipients[i];
        struct ledger_message *message = &ledger->accounts[account].messages[user->token];
        const unsigned code = is_sent ? reply_code(user, user->is_lmtp ? i : 0) : 0;
        /* P3: a refusal leaves nothing, but for what an earlier attempt may have left. */
        message->may_exist = message->may_have_existed || (is_sent && code < 400);
        if (code == 250) {
            message->stored_at = ledger_now(ledger);
        } else {
            user->recipients[left++] = account;
        }
    }
    ledger->deliveries[user->token].ended_ms = user->workload->world->now_ms;
    user->recipient_count = left;
    user->wants_again = left > 0 && (user->workload->to_each_group ||
                                     sim_chance(user->workload->world, AGAIN_PERMILLE));
    user->workload->done += end == CLIENT_DONE;
}

/* ---- IMAP ---- */

static void choose_account(struct workload_user *user)
{
    struct workload *workload = user->workload;
    do {
        user->account = sim_chance(workload->world, HOT_PERMILLE)
                            ? user->workload->hot_account
                            : (unsigned)sim_random(workload->world, LEDGER_ACCOUNTS);
    } while (!workload->ledger->accounts[user->account].exists);
}

static void script_login(struct workload_user *user)
{
    const struct ledger_account *account = account_of(user);
    client_script(&user->client, CLIENT_WAIT_IMAP);
    (void)snprintf(user->password, sizeof(user->password), "%s", account->password);
    (void)client_say(&user->client, "LOGIN %s \"%s\"\r\n", account->address, user->password);
    user->began_at = ledger_now(user->workload->ledger);
}

/* Signing in with what is valid must not be refused as wrong, unless it changed meanwhile. */
static void check_login(struct workload_user *user)
{
    const struct ledger_account *account = account_of(user);
    const struct client_step *step = &user->client.steps[1];
    const bool is_wrong =
        step->is_refused && strstr(client_reply(&user->client, 1), "AUTHENTICATIONFAILED") != NULL;
    const bool is_valid = account->exists && !account->is_changing &&
                          account->valid_at <= user->began_at &&
                          strcmp(account->password, user->password) == 0;
    SIM_CHECK(user->workload->world, !is_wrong || !is_valid, "user%u: the password is refused: %s",
              user->account, client_reply(&user->client, 1));
}

static bool append_begin(struct workload_user *user)
{
    struct ledger *ledger = user->workload->ledger;
    struct vy_buf text;
    struct vy_buf body;
    if (ledger->next_token == LEDGER_TOKENS_MAX) {
        return false;
    }
    choose_account(user);
    user->token = ledger->next_token++;
    user->recipients[0] = user->account;
    user->recipient_count = 1;
    script_login(user);
    vy_buf_init(&body, 2U * LARGE_BODY_BYTES);
    vy_buf_init(&text, 3U * LARGE_BODY_BYTES);
    write_message(user->workload->world, user->token, &body);
    vy_buf_printf(&text, "APPEND INBOX {%zu+}\r\n", vy_buf_len(&body));
    vy_buf_append(&text, vy_buf_bytes(&body));
    vy_buf_append_cstr(&text, "\r\n");
    user->body_step = user->client.count;
    (void)client_say_bytes(&user->client, vy_buf_bytes(&text));
    vy_buf_deinit(&body);
    vy_buf_deinit(&text);
    user->uid_max_before = account_of(user)->boxes[LEDGER_INBOX].uid_max;
    mark_sent(user);
    return true;
}

/* "[APPENDUID validity uid]" and "[COPYUID validity from to]". */
static void take_uid(struct workload_user *user, enum ledger_box box, const char *word)
{
    const char *reply = client_reply(&user->client, user->body_step);
    const char *at = strstr(reply, word);
    const char *end = NULL;
    SIM_CHECK(user->workload->world, at != NULL, "user%u: no %s in: %s", user->account, word,
              reply);
    const uint64_t uidvalidity = ledger_number(at + strlen(word), &end);
    uint64_t uid = ledger_number(end + 1, &end);
    if (box == LEDGER_COPIES) {
        uid = ledger_number(end + 1, NULL); /* the second set */
    } else {
        message_of(user)->uid = uid;
    }
    ledger_check_uid(user->workload->ledger, user->account, box, uidvalidity, uid,
                     user->uid_max_before);
}

static void append_end(struct workload_user *user, enum client_end end)
{
    check_login(user);
    struct ledger_message *message = message_of(user);
    message->may_exist = end != CLIENT_AWAY && was_said(user, user->body_step);
    if (end == CLIENT_DONE) {
        message->stored_at = ledger_now(user->workload->ledger);
        take_uid(user, LEDGER_INBOX, "[APPENDUID ");
        user->workload->done++;
    }
}

/* ---- one message by its UID ---- */

/* A message whose UID is known and that nobody tries to remove. */
static bool choose_message(struct workload_user *user)
{
    struct ledger *ledger = user->workload->ledger;
    choose_account(user);
    for (unsigned i = 0; i < 16; i++) {
        user->token = (uint32_t)sim_random(user->workload->world, ledger->next_token);
        const struct ledger_message *message = message_of(user);
        if (message->stored_at != 0 && message->uid != 0 && message->removal_tried_at == 0) {
            return true;
        }
    }
    return false;
}

static void script_select(struct workload_user *user, enum ledger_box box)
{
    script_login(user);
    (void)client_say(&user->client, "SELECT %s\r\n", ledger_boxes[box]);
    user->body_step = user->client.count;
}

static bool store_begin(struct workload_user *user)
{
    if (!choose_message(user)) {
        return false;
    }
    user->flag = (enum ledger_flag)sim_random(user->workload->world, LEDGER_FLAG_COUNT);
    script_select(user, LEDGER_INBOX);
    (void)client_say(&user->client, "UID STORE %llu +FLAGS (%s)\r\n",
                     (unsigned long long)message_of(user)->uid, ledger_flags[user->flag]);
    message_of(user)->is_flag_tried[user->flag] = true;
    return true;
}

static void store_end(struct workload_user *user, enum client_end end)
{
    check_login(user);
    struct ledger_message *message = message_of(user);
    if (end == CLIENT_DONE && message->removal_tried_at == 0) {
        message->flagged_at[user->flag] = ledger_now(user->workload->ledger);
        user->workload->done++;
    }
}

static bool expunge_begin(struct workload_user *user)
{
    if (!choose_message(user)) {
        return false;
    }
    struct ledger_message *message = message_of(user);
    script_select(user, LEDGER_INBOX);
    (void)client_say(&user->client, "UID STORE %llu +FLAGS.SILENT (\\Deleted)\r\n",
                     (unsigned long long)message->uid);
    (void)client_say(&user->client, "UID EXPUNGE %llu\r\n", (unsigned long long)message->uid);
    message->removal_tried_at = ledger_now(user->workload->ledger);
    message->is_expunge_tried = true;
    return true;
}

static void expunge_end(struct workload_user *user, enum client_end end)
{
    check_login(user);
    if (end == CLIENT_DONE) {
        message_of(user)->removed_at = ledger_now(user->workload->ledger);
        user->workload->done++;
    }
}

static bool copy_or_move_begin(struct workload_user *user, const char *command)
{
    if (!choose_message(user)) {
        return false;
    }
    script_login(user);
    user->uid_max_before = account_of(user)->boxes[LEDGER_COPIES].uid_max;
    (void)client_say(&user->client, "SELECT INBOX\r\n");
    user->body_step = user->client.count;
    (void)client_say(&user->client, "UID %s %llu Copies\r\n", command,
                     (unsigned long long)message_of(user)->uid);
    message_of(user)->copies_tried++;
    return true;
}

static bool copy_begin(struct workload_user *user)
{
    return copy_or_move_begin(user, "COPY");
}

static bool move_begin(struct workload_user *user)
{
    if (!copy_or_move_begin(user, "MOVE")) {
        return false;
    }
    message_of(user)->removal_tried_at = ledger_now(user->workload->ledger);
    return true;
}

static bool take_copy(struct workload_user *user, enum client_end end)
{
    check_login(user);
    const bool is_copied = end == CLIENT_DONE &&
                           strstr(client_reply(&user->client, user->body_step), "COPYUID ") != NULL;
    if (is_copied) { /* else somebody had removed it before */
        message_of(user)->copies_acked++;
        take_uid(user, LEDGER_COPIES, "COPYUID ");
        user->workload->done++;
    }
    return is_copied;
}

static void copy_end(struct workload_user *user, enum client_end end)
{
    (void)take_copy(user, end);
}

static void move_end(struct workload_user *user, enum client_end end)
{
    if (take_copy(user, end)) {
        message_of(user)->removed_at = ledger_now(user->workload->ledger);
    }
}

/* ---- reading ---- */

/* Every FETCH is held against what was promised before the SELECT in front of it was said. */
static void read_on_answer(void *arg, unsigned step)
{
    struct workload_user *user = arg;
    struct ledger *ledger = user->workload->ledger;
    const unsigned first = user->body_step;
    if (step > first && (step - first) % 2 == 1) {
        ledger_parse(ledger, client_reply(&user->client, step - 1),
                     client_reply(&user->client, step), &user->listing);
        ledger_check(ledger, &user->listing);
        user->workload->reads++;
    }
    if (step + 1 >= first && (step + 1 - first) % 2 == 0) {
        ledger_begin(ledger, user->account, user->listing.box, &user->listing);
    }
}

static void script_list(struct workload_user *user, enum ledger_box box, unsigned rounds)
{
    script_login(user);
    user->listing.box = box;
    user->body_step = user->client.count;
    user->client.on_answer = read_on_answer;
    for (unsigned i = 0; i < rounds; i++) {
        /* SELECT takes \Recent, which is an entry of the log; EXAMINE only reads. */
        const char *open = sim_chance(user->workload->world, 700) ? "EXAMINE" : "SELECT";
        struct client_step *step = client_say(&user->client, "%s %s\r\n", open, ledger_boxes[box]);
        step->delay_ms = i == 0 ? 0 : 1 + sim_random(user->workload->world, THINK_MS);
        (void)client_say(&user->client,
                         "UID FETCH 1:* (UID FLAGS MODSEQ BODY.PEEK[HEADER.FIELDS (X-Sim)])\r\n");
    }
}

static bool read_begin(struct workload_user *user)
{
    choose_account(user);
    script_list(user, sim_chance(user->workload->world, 800) ? LEDGER_INBOX : LEDGER_COPIES,
                1 + (unsigned)sim_random(user->workload->world, READ_ROUNDS_MAX));
    return true;
}

static void read_end(struct workload_user *user, enum client_end end)
{
    check_login(user);
    user->workload->done += end == CLIENT_DONE;
}

/* ---- who must not get in ---- */

/* The password of an account that is deleted, or one that was changed. */
static bool intrude_begin(struct workload_user *user)
{
    struct workload *workload = user->workload;
    user->account = (unsigned)sim_random(workload->world, LEDGER_ACCOUNTS);
    const struct ledger_account *account = account_of(user);
    const bool is_deleted = account->deleted_at != 0 && !account->is_changing;
    if (!is_deleted && account->old_password[0] == '\0') {
        return false;
    }
    client_script(&user->client, CLIENT_WAIT_IMAP);
    (void)snprintf(user->password, sizeof(user->password), "%s",
                   is_deleted ? account->password : account->old_password);
    (void)client_say(&user->client, "LOGIN %s \"%s\"\r\n", account->address, user->password);
    user->began_at = ledger_now(workload->ledger);
    return true;
}

static void intrude_end(struct workload_user *user, enum client_end end)
{
    const struct ledger_account *account = account_of(user);
    const bool is_deleted =
        account->deleted_at != 0 && account->deleted_at <= user->began_at && !account->is_changing;
    const bool is_old = strcmp(account->password, user->password) != 0;
    SIM_CHECK(user->workload->world, end != CLIENT_DONE || (!is_deleted && !is_old),
              "user%u: %s opens it", user->account,
              is_old ? "a password that was changed" : "its password, though it is deleted,");
}

/* ---- the second mailbox ---- */

static void make_box_end(struct workload_user *user, enum client_end end)
{
    SIM_CHECK(user->workload->world, end == CLIENT_DONE, "user%u: no second mailbox: %s",
              user->account, client_reply(&user->client, user->client.at));
}

/* ---- who does what ---- */

#define OP_WEIGHTS 112U
enum { OP_SMTP, OP_LMTP };
/* clang-format off */
static const struct workload_op ops[] = {
    [OP_SMTP] = { "deliver", 24, smtp_begin, deliver_end, SIM_PORT_SMTP },
    [OP_LMTP] = { "lmtp",    12, lmtp_begin, deliver_end, SIM_PORT_LMTP },
    { "append",  16, append_begin,  append_end,  SIM_PORT_IMAP },
    { "store",   12, store_begin,   store_end,   SIM_PORT_IMAP },
    { "expunge",  6, expunge_begin, expunge_end, SIM_PORT_IMAP },
    { "copy",     6, copy_begin,    copy_end,    SIM_PORT_IMAP },
    { "move",     6, move_begin,    move_end,    SIM_PORT_IMAP },
    { "read",    24, read_begin,    read_end,    SIM_PORT_IMAP },
    { "intrude",  6, intrude_begin, intrude_end, SIM_PORT_IMAP },
};
/* clang-format on */
static const struct workload_op list_op = {"list", 0, read_begin, read_end, SIM_PORT_IMAP};
static const struct workload_op make_box_op = {"create", 0, NULL, make_box_end, SIM_PORT_IMAP};

static void on_end(void *arg, enum client_end end)
{
    static const char *const words[] = {"done", "refused", "cut", "late", "away"};
    struct workload_user *user = arg;
    const struct workload_op *op = user->op;
    if (user->workload->world->verbosity > 0) {
        const struct client *client = &user->client;
        const char *reply = client_reply(client, client->at);
        sim_say(user->workload->world, "client %u %s account %u token %u at %s: %s: %.*s",
                client->number, op->name, user->account, user->token, client->frontend->name,
                words[end], (int)strcspn(reply, "\r\n"), reply);
    }
    op->end(user, end);
    user->op = NULL;
    user->rests_until_ms = user->workload->world->now_ms + (end == CLIENT_AWAY ? AWAY_MS : 0);
}

static void begin(struct workload_user *user, const struct workload_op *op)
{
    struct sim_world *world = user->workload->world;
    struct sim_process *frontend =
        sim_frontend(world, (unsigned)sim_random(world, SIM_FRONTEND_COUNT));
    user->op = op;
    user->workload->tried++;
    user->client.patience_ms = LATE_MS;
    client_run(&user->client, frontend, op->port, on_end, user);
}

static const struct workload_op *choose_op(struct workload_user *user)
{
    if (user->wants_again) {
        return &ops[user->is_lmtp ? OP_LMTP : OP_SMTP];
    }
    uint64_t at = sim_random(user->workload->world, OP_WEIGHTS);
    const struct workload_op *op = ops;
    while (at >= op->weight) {
        at -= op->weight;
        op++;
    }
    return op;
}

static void on_turn(void *arg)
{
    struct workload_user *user = arg;
    struct workload *workload = user->workload;
    if (workload->world->is_ending) {
        return;
    }
    if (user->op == NULL && !workload->is_stopping &&
        workload->world->now_ms >= user->rests_until_ms) {
        const struct workload_op *op = choose_op(user);
        if (op->begin(user)) {
            begin(user, op);
        }
    }
    sim_at(workload->world, 1 + sim_random(workload->world, workload->pause_ms_max), NULL, on_turn,
           user);
}

void workload_make_box(struct workload *workload, unsigned account)
{
    struct workload_user *user = &workload->users[0];
    user->account = account;
    script_login(user);
    (void)client_say(&user->client, "CREATE %s\r\n", ledger_boxes[LEDGER_COPIES]);
    begin(user, &make_box_op);
}

void workload_list(struct workload *workload, unsigned account, enum ledger_box box)
{
    struct workload_user *user = &workload->users[0];
    VY_ASSERT(user->op == NULL);
    user->account = account;
    script_list(user, box, 1);
    begin(user, &list_op);
}

void workload_deliver_to_groups(struct workload *workload)
{
    struct workload_user *user = &workload->users[0];
    VY_ASSERT(user->op == NULL);
    workload->to_each_group = true;
    const bool has_begun = smtp_begin(user);
    VY_ASSERT(has_begun);
    begin(user, &ops[OP_SMTP]);
}

bool workload_wants_again(const struct workload *workload)
{
    const struct workload_user *user = &workload->users[0];
    return user->recipient_count > 0;
}

/* ---- life ---- */

struct workload *workload_new(struct sim_world *world, struct ledger *ledger)
{
    struct workload *workload = sim_alloc(sizeof(*workload));
    workload->world = world;
    workload->ledger = ledger;
    workload->pause_ms_max = 60;
    workload->hot_account = (unsigned)sim_random(world, LEDGER_ACCOUNTS);
    for (unsigned i = 0; i < WORKLOAD_USERS; i++) {
        workload->users[i].workload = workload;
        client_init(&workload->users[i].client, world, i);
        vy_buf_init(&workload->users[i].body, 2U * LARGE_BODY_BYTES);
    }
    return workload;
}

void workload_free(struct workload *workload)
{
    for (unsigned i = 0; i < WORKLOAD_USERS; i++) {
        client_deinit(&workload->users[i].client);
        vy_buf_deinit(&workload->users[i].body);
    }
    free(workload);
}

void workload_start(struct workload *workload)
{
    for (unsigned i = 0; i < WORKLOAD_USERS; i++) {
        sim_at(workload->world, i, NULL, on_turn, &workload->users[i]);
    }
}

bool workload_is_idle(const struct workload *workload)
{
    for (unsigned i = 0; i < WORKLOAD_USERS; i++) {
        if (workload->users[i].op != NULL) {
            return false;
        }
    }
    return true;
}

void workload_look(struct workload *workload, const struct sim_process *frontend)
{
    for (unsigned i = 0; i < WORKLOAD_USERS; i++) {
        struct client *client = &workload->users[i].client;
        if (client->fd >= 0 && client->frontend == frontend) {
            client_look(client);
        }
    }
}
