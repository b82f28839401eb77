/* SPDX-License-Identifier: Apache-2.0 */
/* SEARCH and UID SEARCH (RFC 3501 section 6.4.4), with RETURN options (ESEARCH, RFC 4731). */
#include "base/assert.h"
#include "base/codec.h"
#include "frontend/imap/commands.h"
#include "frontend/imap/search_keys.h"
#include "mail/imap_string.h"

enum search_return {
    SEARCH_RETURN_MIN = 1,
    SEARCH_RETURN_MAX = 2,
    SEARCH_RETURN_ALL = 4,
    SEARCH_RETURN_COUNT = 8
};

struct search_args {
    struct imap_search_program program;
    uint32_t returns;
    bool is_extended; /* RETURN was there */
    bool is_bad_charset;
};

struct search_state {
    struct uidset found; /* UIDs, or places for SEARCH by number */
    uint32_t written;
    uint64_t highest_modseq;
};

static const struct {
    const char *word;
    uint32_t bit;
} return_words[] = {
    {"MIN",   SEARCH_RETURN_MIN  },
    {"MAX",   SEARCH_RETURN_MAX  },
    {"ALL",   SEARCH_RETURN_ALL  },
    {"COUNT", SEARCH_RETURN_COUNT},
};

/* ---- arguments ---- */

static struct vy_err parse_returns(struct imap_parser *p, struct search_args *args)
{
    if (!imap_parse_try_word(p, "RETURN")) {
        return vy_ok();
    }
    args->is_extended = true;
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_byte(p, '(', "return options are missing"));
    while (!imap_parse_try(p, ')')) {
        uint32_t bit = 0;
        for (size_t i = 0; i < VY_COUNT_OF(return_words) && bit == 0; i++) {
            bit = imap_parse_try_word(p, return_words[i].word) ? return_words[i].bit : 0;
        }
        if (bit == 0) {
            return vy_error(VY_CODE_SYNTAX, "unknown return option");
        }
        args->returns |= bit;
        (void)imap_parse_try(p, ' ');
    }
    args->returns = args->returns == 0 ? SEARCH_RETURN_ALL : args->returns;
    return imap_parse_space(p);
}

static struct vy_err parse_charset(struct imap_parser *p, struct search_args *args)
{
    struct vy_bytes name = {.data = NULL};
    if (!imap_parse_try_word(p, "CHARSET")) {
        return vy_ok();
    }
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_astring(p, &name));
    args->is_bad_charset = !vy_bytes_equal_nocase(name, VY_LIT("US-ASCII")) &&
                           !vy_bytes_equal_nocase(name, VY_LIT("UTF-8"));
    return imap_parse_space(p);
}

static bool is_text_valid(const struct imap_search_program *program)
{
    for (size_t i = 0; i < program->step_count; i++) {
        const struct search_step *const step = &program->steps[i];
        const bool is_text = step->op == SEARCH_OP_HEADER || step->op == SEARCH_OP_BODY ||
                             step->op == SEARCH_OP_TEXT;
        if (is_text && (!vy_utf8_is_valid(step->text) || !vy_utf8_is_valid(step->field))) {
            return false;
        }
    }
    return true;
}

static struct vy_err search_parse(struct imap_session *s, struct imap_parser *p)
{
    struct search_args *const args = VY_ARENA_NEW(p->arena, struct search_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    VY_TRY(imap_parse_space(p));
    VY_TRY(parse_returns(p, args));
    VY_TRY(parse_charset(p, args));
    if (args->is_bad_charset) {
        p->at = p->in.len; /* its keys cannot be read */
        return vy_ok();
    }
    VY_TRY(imap_search_parse_keys(s, p, &args->program));
    return is_text_valid(&args->program) ? vy_ok() : vy_error(VY_CODE_SYNTAX, "text is not UTF-8");
}

/* ---- run ---- */

static void search_free(struct imap_session *s)
{
    struct search_state *const state = s->run.state;
    uidset_deinit(&state->found);
}

static void search_start(struct imap_session *s)
{
    const struct search_args *const args = s->run.args;
    struct search_state *const state = IMAP_NEW(s, struct search_state);
    if (state == NULL) {
        return;
    }
    s->run.state = state;
    s->run.on_free = search_free;
    if (args->is_bad_charset) {
        imap_end_no(s, "BADCHARSET (US-ASCII UTF-8)", "Charset is not known");
        return;
    }
    const struct message_search_request request = {
        .actor = &s->account.actor,
        .mailbox_id = s->view->mailbox_id,
        .view_id = s->view->view_id,
        .steps_count = args->program.step_count,
        .steps = args->program.steps,
    };
    imap_call(s, METHOD_SHARD_MESSAGE_SEARCH, &request, false);
}

/* ---- results ---- */

static void write_modseq(struct imap_session *s, const char *before, const char *after)
{
    const struct search_args *const args = s->run.args;
    const struct search_state *const state = s->run.state;
    if (args->program.uses_modseq && state->found.count > 0) {
        vy_buf_append_cstr(&s->out, before);
        vy_buf_append_u64(&s->out, state->highest_modseq);
        vy_buf_append_cstr(&s->out, after);
    }
}

/* Numbers one by one, a window at a time: a mailbox has millions. */
static void produce_numbers(struct imap_session *s)
{
    struct search_state *const state = s->run.state;
    const uint32_t total = uidset_count(&state->found);
    while (state->written < total && !imap_session_is_full(s)) {
        char text[24] = " ";
        char *const end = imap_put_u64(text + 1, uidset_nth(&state->found, ++state->written));
        vy_buf_append(&s->out, vy_bytes(text, (size_t)(end - text)));
    }
    if (state->written == total) {
        write_modseq(s, " (MODSEQ ", ")");
        vy_buf_append_cstr(&s->out, "\r\n");
        imap_end_ok(s, NULL, "SEARCH completed");
    }
}

static void write_esearch(struct imap_session *s)
{
    const struct search_args *const args = s->run.args;
    const struct search_state *const state = s->run.state;
    const uint32_t total = uidset_count(&state->found);
    vy_buf_append_cstr(&s->out, "* ESEARCH (TAG ");
    imap_string_append(&s->out, s->run.tag);
    vy_buf_append_byte(&s->out, ')');
    vy_buf_append_cstr(&s->out, (s->run.row->traits & IMAP_BY_UID) != 0 ? " UID" : "");
    if ((args->returns & SEARCH_RETURN_MIN) != 0 && total > 0) {
        vy_buf_printf(&s->out, " MIN %u", uidset_nth(&state->found, 1));
    }
    if ((args->returns & SEARCH_RETURN_MAX) != 0 && total > 0) {
        vy_buf_printf(&s->out, " MAX %u", uidset_nth(&state->found, total));
    }
    if ((args->returns & SEARCH_RETURN_COUNT) != 0) {
        vy_buf_printf(&s->out, " COUNT %u", total);
    }
    if ((args->returns & SEARCH_RETURN_ALL) != 0 && total > 0) {
        vy_buf_append_cstr(&s->out, " ALL ");
        uidset_append_text(&s->out, &state->found);
    }
    write_modseq(s, " MODSEQ ", "");
    vy_buf_append_cstr(&s->out, "\r\n");
    imap_end_ok(s, NULL, "SEARCH completed");
}

/* What of the found UIDs this session has been told of, in the numbers of the command. */
static struct vy_err keep_found(struct imap_session *s, struct vy_bytes encoded)
{
    struct search_state *const state = s->run.state;
    struct uidset uids;
    uidset_init(&uids);
    const struct vy_err err = uidset_decode(encoded, &uids);
    if (!vy_failed(err) && (s->run.row->traits & IMAP_BY_UID) != 0) {
        uidset_intersect(&s->view->uids, &uids, &state->found);
    } else if (!vy_failed(err)) {
        uidset_ranks(&s->view->uids, &uids, &state->found);
    }
    uidset_deinit(&uids);
    return vy_failed(err) ? err : uidset_error(&state->found);
}

static void search_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    const struct message_search_reply *const reply = message;
    const struct search_args *const args = s->run.args;
    struct search_state *const state = s->run.state;
    if (!vy_failed(err)) {
        state->highest_modseq = reply->highest_modseq;
        err = keep_found(s, reply->uids);
    }
    if (vy_failed(err)) {
        imap_end_error(s, err);
    } else if (args->is_extended) {
        write_esearch(s);
    } else {
        vy_buf_append_cstr(&s->out, "* SEARCH");
        s->run.produce = produce_numbers;
    }
}

/* clang-format off */
static const struct imap_command search_rows[] = {
    /* name         legal in           traits         parse         start         resume */
    { "SEARCH",     IMAP_IN(SELECTED), IMAP_USES_SEQ, search_parse, search_start, search_resume },
    { "UID SEARCH", IMAP_IN(SELECTED), IMAP_BY_UID,   search_parse, search_start, search_resume },
};
/* clang-format on */
const struct imap_extension imap_search_commands = {IMAP_COMMANDS(search_rows)};
