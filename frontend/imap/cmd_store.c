/* SPDX-License-Identifier: Apache-2.0 */
/* STORE and UID STORE (RFC 3501 section 6.4.6), with UNCHANGEDSINCE (RFC 7162 section 3.1.3). */
#include "base/assert.h"
#include "frontend/imap/commands.h"
#include "frontend/imap/fetch.h"

struct store_args {
    struct seqset set;
    enum store_mode mode;
    bool is_silent;
    bool has_unchanged_since;
    uint64_t unchanged_since;
    struct imap_flag_set flags;
};

/* SP "(" "UNCHANGEDSINCE" SP mod-sequence ")" */
static struct vy_err parse_modifiers(struct imap_session *s, struct imap_parser *p,
                                     struct store_args *args)
{
    if (!imap_parse_try(p, '(')) {
        return vy_ok();
    }
    if (!imap_parse_try_word(p, "UNCHANGEDSINCE")) {
        return vy_error(VY_CODE_SYNTAX, "unknown modifier");
    }
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_u64(p, &args->unchanged_since));
    VY_TRY(imap_parse_byte(p, ')', "modifiers do not end"));
    args->has_unchanged_since = true;
    s->enabled |= IMAP_ENABLED_CONDSTORE;
    return imap_parse_space(p);
}

static struct vy_err parse_mode(struct imap_parser *p, struct store_args *args)
{
    args->mode = STORE_MODE_REPLACE;
    if (imap_parse_try(p, '+')) {
        args->mode = STORE_MODE_ADD;
    } else if (imap_parse_try(p, '-')) {
        args->mode = STORE_MODE_REMOVE;
    }
    if (imap_parse_try_word(p, "FLAGS.SILENT")) {
        args->is_silent = true;
        return vy_ok();
    }
    return imap_parse_try_word(p, "FLAGS") ? vy_ok()
                                           : vy_error(VY_CODE_SYNTAX, "FLAGS is expected");
}

static struct vy_err store_parse(struct imap_session *s, struct imap_parser *p)
{
    struct store_args *const args = VY_ARENA_NEW(p->arena, struct store_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_set(p, &args->set));
    VY_TRY(imap_parse_space(p));
    VY_TRY(parse_modifiers(s, p, args));
    VY_TRY(parse_mode(p, args));
    VY_TRY(imap_parse_space(p));
    return imap_parse_flags(p, /* bare_allowed = */ true, &args->flags);
}

static bool tells_modseq(const struct imap_session *s)
{
    return (s->enabled & IMAP_ENABLED_CONDSTORE) != 0;
}

static void store_start(struct imap_session *s)
{
    const struct store_args *const args = s->run.args;
    struct vy_bytes uids = {.data = NULL};
    const struct vy_err err =
        imap_set_encode(s, &args->set, (s->run.row->traits & IMAP_BY_UID) != 0, &uids);
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    if (uids.len == 0) {
        imap_end_ok(s, NULL, "No messages");
        return;
    }
    const struct message_store_request request = {
        .actor = &s->account.actor,
        .mailbox_id = s->view->mailbox_id,
        .uids = uids,
        .mode = args->mode,
        .flags = args->flags.flags,
        .keywords_count = args->flags.keyword_count,
        .keywords = args->flags.keywords,
        .unchanged_since = args->unchanged_since,
        .has_unchanged_since = args->has_unchanged_since,
        .want_result = !args->is_silent || tells_modseq(s),
    };
    imap_call(s, METHOD_SHARD_MESSAGE_STORE, &request, true);
}

/* What the client is told of the new state: FLAGS unless SILENT, MODSEQ when it follows modseqs. */
static struct vy_err tell_result(struct imap_session *s, const struct message_store_reply *reply)
{
    const struct store_args *const args = s->run.args;
    struct imap_row_writer *const rows = VY_ARENA_NEW(&s->cmd_arena, struct imap_row_writer);
    if (rows == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    if (reply->keywords_count > s->view->keyword_count) {
        VY_TRY(imap_view_set_keywords(s->view, reply->keywords, reply->keywords_count));
        imap_write_flags_known(s);
    }
    rows->items = args->is_silent ? 0 : IMAP_ITEM_FLAGS;
    rows->items |= tells_modseq(s) ? IMAP_ITEM_MODSEQ : 0;
    if (rows->items == 0) {
        return vy_ok();
    }
    rows->items |= (s->run.row->traits & IMAP_BY_UID) != 0 ? IMAP_ITEM_UID : 0;
    return imap_write_blocks(s, rows, reply->blocks);
}

/* "MODIFIED 7,9" in the numbers of the command. NULL: nothing was refused, or no memory. */
static const char *modified_code(struct imap_session *s, const struct message_store_reply *reply)
{
    struct uidset uids;
    struct uidset places;
    struct vy_buf text;
    const char *code = NULL;
    uidset_init(&uids);
    uidset_init(&places);
    vy_buf_init(&text, IMAP_CMD_ARENA_BYTES_MAX / 2);
    vy_ignore(uidset_decode(reply->modified, &uids), "an empty set tells nothing");
    uidset_ranks(&s->view->uids, &uids, &places);
    if (!uidset_is_empty(&places)) {
        vy_buf_append_cstr(&text, "MODIFIED ");
        uidset_append_text(&text, (s->run.row->traits & IMAP_BY_UID) != 0 ? &uids : &places);
        code = vy_arena_cstr(&s->cmd_arena, vy_buf_bytes(&text));
    }
    vy_buf_deinit(&text);
    uidset_deinit(&uids);
    uidset_deinit(&places);
    return code;
}

static void store_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    const struct message_store_reply *const reply = message;
    if (!vy_failed(err)) {
        err = tell_result(s, reply);
    }
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    imap_view_note_own(s->view, reply->modseq, reply->previous_modseq,
                       !((const struct store_args *)s->run.args)->is_silent ||
                           reply->previous_modseq == 0);
    const char *const modified = modified_code(s, reply);
    if (modified != NULL) {
        imap_end_ok(s, modified, "Conditional STORE failed for some");
        return;
    }
    imap_end_ok(s, reply->missing.len > 0 ? "EXPUNGEISSUED" : NULL, "STORE completed");
}

/* clang-format off */
static const struct imap_command store_rows[] = {
    /* name        legal in           traits                          parse        start        resume */
    { "STORE",     IMAP_IN(SELECTED), IMAP_CHANGES | IMAP_USES_SEQ,   store_parse, store_start, store_resume },
    { "UID STORE", IMAP_IN(SELECTED), IMAP_CHANGES | IMAP_BY_UID,     store_parse, store_start, store_resume },
};
/* clang-format on */
const struct imap_extension imap_store_commands = {IMAP_COMMANDS(store_rows)};
