/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/imap/search_keys.h"
#include "base/assert.h"
#include "base/codec.h"
#include "mail/flags.h"

#define OBJECT_ID_BYTES 16U

enum key_argument {
    KEY_NONE,
    KEY_TEXT, /* astring */
    KEY_DATE,
    KEY_NUMBER,
    KEY_KEYWORD, /* atom */
    KEY_HEADER,  /* field name and text */
    KEY_UID_SET,
    KEY_MODSEQ,
    KEY_OBJECT_ID,
    KEY_RECENT /* what this session shows as \Recent: `number` says how, see key_recent() */
};

struct search_key {
    const char *word;
    enum key_argument argument;
    enum search_op op;
    uint64_t number;   /* flag bits */
    const char *field; /* header keys with a name of their own */
    bool is_negated;
};

enum recent_form { RECENT_YES, RECENT_OLD, RECENT_NEW };

/* clang-format off */
static const struct search_key keys[] = {
    { "ALL",        KEY_NONE,    SEARCH_OP_ALL,         0, NULL, false },
    { "ANSWERED",   KEY_NONE,    SEARCH_OP_FLAGS_SET,   MAIL_FLAG_ANSWERED, NULL, false },
    { "BCC",        KEY_TEXT,    SEARCH_OP_HEADER,      0, "bcc", false },
    { "BEFORE",     KEY_DATE,    SEARCH_OP_BEFORE,      0, NULL, false },
    { "BODY",       KEY_TEXT,    SEARCH_OP_BODY,        0, NULL, false },
    { "CC",         KEY_TEXT,    SEARCH_OP_HEADER,      0, "cc", false },
    { "DELETED",    KEY_NONE,    SEARCH_OP_FLAGS_SET,   MAIL_FLAG_DELETED, NULL, false },
    { "DRAFT",      KEY_NONE,    SEARCH_OP_FLAGS_SET,   MAIL_FLAG_DRAFT, NULL, false },
    { "EMAILID",    KEY_OBJECT_ID, SEARCH_OP_EMAILID,     0, NULL, false },
    { "FLAGGED",    KEY_NONE,    SEARCH_OP_FLAGS_SET,   MAIL_FLAG_FLAGGED, NULL, false },
    { "FROM",       KEY_TEXT,    SEARCH_OP_HEADER,      0, "from", false },
    { "HEADER",     KEY_HEADER,  SEARCH_OP_HEADER,      0, NULL, false },
    { "KEYWORD",    KEY_KEYWORD, SEARCH_OP_KEYWORD,     0, NULL, false },
    { "LARGER",     KEY_NUMBER,  SEARCH_OP_LARGER,      0, NULL, false },
    { "MODSEQ",     KEY_MODSEQ,  SEARCH_OP_MODSEQ,      0, NULL, false },
    { "NEW",        KEY_RECENT,  SEARCH_OP_UIDS,        RECENT_NEW, NULL, false },
    { "OLD",        KEY_RECENT,  SEARCH_OP_UIDS,        RECENT_OLD, NULL, false },
    { "OLDER",      KEY_NUMBER,  SEARCH_OP_OLDER,       0, NULL, false },
    { "ON",         KEY_DATE,    SEARCH_OP_ON,          0, NULL, false },
    { "RECENT",     KEY_RECENT,  SEARCH_OP_UIDS,        RECENT_YES, NULL, false },
    { "SEEN",       KEY_NONE,    SEARCH_OP_FLAGS_SET,   MAIL_FLAG_SEEN, NULL, false },
    { "SENTBEFORE", KEY_DATE,    SEARCH_OP_SENT_BEFORE, 0, NULL, false },
    { "SENTON",     KEY_DATE,    SEARCH_OP_SENT_ON,     0, NULL, false },
    { "SENTSINCE",  KEY_DATE,    SEARCH_OP_SENT_SINCE,  0, NULL, false },
    { "SINCE",      KEY_DATE,    SEARCH_OP_SINCE,       0, NULL, false },
    { "SMALLER",    KEY_NUMBER,  SEARCH_OP_SMALLER,     0, NULL, false },
    { "SUBJECT",    KEY_TEXT,    SEARCH_OP_HEADER,      0, "subject", false },
    { "TEXT",       KEY_TEXT,    SEARCH_OP_TEXT,        0, NULL, false },
    { "THREADID",   KEY_OBJECT_ID, SEARCH_OP_THREADID,    0, NULL, false },
    { "TO",         KEY_TEXT,    SEARCH_OP_HEADER,      0, "to", false },
    { "UID",        KEY_UID_SET, SEARCH_OP_UIDS,        0, NULL, false },
    { "UNANSWERED", KEY_NONE,    SEARCH_OP_FLAGS_CLEAR, MAIL_FLAG_ANSWERED, NULL, false },
    { "UNDELETED",  KEY_NONE,    SEARCH_OP_FLAGS_CLEAR, MAIL_FLAG_DELETED, NULL, false },
    { "UNDRAFT",    KEY_NONE,    SEARCH_OP_FLAGS_CLEAR, MAIL_FLAG_DRAFT, NULL, false },
    { "UNFLAGGED",  KEY_NONE,    SEARCH_OP_FLAGS_CLEAR, MAIL_FLAG_FLAGGED, NULL, false },
    { "UNKEYWORD",  KEY_KEYWORD, SEARCH_OP_KEYWORD,     0, NULL, true },
    { "UNSEEN",     KEY_NONE,    SEARCH_OP_FLAGS_CLEAR, MAIL_FLAG_SEEN, NULL, false },
    { "YOUNGER",    KEY_NUMBER,  SEARCH_OP_YOUNGER,     0, NULL, false },
};
/* clang-format on */

enum frame_kind { FRAME_LIST, FRAME_NOT, FRAME_OR };
struct frame {
    enum frame_kind kind;
    uint32_t count; /* operands complete */
};

/* The keys being parsed: what is open, innermost last. frames[0] is the whole command. */
struct key_parser {
    struct imap_session *s;
    struct imap_parser *p;
    struct imap_search_program *program;
    struct frame *frames;
    size_t depth;
};

static struct vy_err emit(struct key_parser *k, struct search_step step)
{
    if (k->program->step_count == IMAP_SEARCH_STEPS_MAX) {
        return vy_error(VY_CODE_LIMIT, "too many search keys");
    }
    k->program->steps[k->program->step_count++] = step;
    return vy_ok();
}

static struct vy_err push(struct key_parser *k, enum frame_kind kind)
{
    if (k->depth == IMAP_SEARCH_DEPTH_MAX) {
        return vy_error(VY_CODE_LIMIT, "search keys too deep");
    }
    k->frames[k->depth++] = (struct frame){.kind = kind};
    return vy_ok();
}

/* ---- single keys ---- */

static struct vy_err emit_uids(struct key_parser *k, const struct uidset *uids)
{
    struct search_step step = {.op = SEARCH_OP_NONE_MATCH};
    VY_TRY(uidset_error(uids));
    if (uids->count > 0) {
        step.op = SEARCH_OP_UIDS;
        VY_TRY(imap_uids_encode(k->p->arena, uids, &step.text));
    }
    return emit(k, step);
}

static struct vy_err key_set(struct key_parser *k, bool by_uid)
{
    struct seqset set;
    struct uidset uids = {.ranges = NULL};
    VY_TRY(imap_parse_set(k->p, &set));
    struct vy_err err = imap_set_resolve(&set, k->s->view, by_uid, &uids);
    if (!vy_failed(err)) {
        err = emit_uids(k, &uids);
    }
    uidset_deinit(&uids);
    return err;
}

/* \Recent is a fact of this session, which the shard does not know. */
static struct vy_err key_recent(struct key_parser *k, uint64_t form)
{
    VY_TRY(emit_uids(k, &k->s->view->recent));
    if (form == RECENT_OLD) {
        return emit(k, (struct search_step){.op = SEARCH_OP_NOT});
    }
    if (form == RECENT_NEW) {
        VY_TRY(
            emit(k, (struct search_step){.op = SEARCH_OP_FLAGS_CLEAR, .number = MAIL_FLAG_SEEN}));
        return emit(k, (struct search_step){.op = SEARCH_OP_AND, .number = 2});
    }
    return vy_ok();
}

/* MODSEQ [SP "/flags/..." SP ("priv" / "shared" / "all")] SP number: flags have one modseq together
 * here. */
static struct vy_err key_modseq(struct key_parser *k, struct search_step step)
{
    if (imap_parser_peek(k->p) == '"') {
        struct vy_bytes entry = {.data = NULL};
        VY_TRY(imap_parse_string(k->p, &entry));
        VY_TRY(imap_parse_space(k->p));
        VY_TRY(imap_parse_atom(k->p, &entry));
        VY_TRY(imap_parse_space(k->p));
    }
    VY_TRY(imap_parse_u64(k->p, &step.number));
    k->program->uses_modseq = true;
    k->s->enabled |= IMAP_ENABLED_CONDSTORE;
    return emit(k, step);
}

/* An objectid as this server writes it, back to its bytes; of any other there is no message. */
static struct vy_err key_object_id(struct key_parser *k, struct search_step step)
{
    const char kind = step.op == SEARCH_OP_EMAILID ? 'M' : 'T';
    struct vy_bytes id = {.data = NULL};
    VY_TRY(imap_parse_atom(k->p, &id));
    if (id.len != 1 + 2 * OBJECT_ID_BYTES || id.data[0] != (uint8_t)kind ||
        vy_failed(vy_hex_decode(k->p->arena, vy_bytes_from(id, 1), &step.text))) {
        step = (struct search_step){.op = SEARCH_OP_NONE_MATCH};
    }
    return emit(k, step);
}

static struct vy_err key_argument(struct key_parser *k, const struct search_key *key,
                                  struct search_step *step)
{
    switch (key->argument) {
    case KEY_TEXT:
        return imap_parse_astring(k->p, &step->text);
    case KEY_KEYWORD:
        return imap_parse_atom(k->p, &step->text);
    case KEY_HEADER:
        VY_TRY(imap_parse_astring(k->p, &step->field));
        VY_TRY(imap_parse_space(k->p));
        return imap_parse_astring(k->p, &step->text);
    case KEY_DATE:
        return imap_parse_date(k->p, &step->number);
    case KEY_NUMBER:
        return imap_parse_u64(k->p, &step->number);
    case KEY_NONE:
    case KEY_UID_SET:
    case KEY_MODSEQ:
    case KEY_OBJECT_ID:
    case KEY_RECENT:
        break;
    }
    return vy_ok();
}

static struct vy_err parse_known_key(struct key_parser *k, const struct search_key *key)
{
    struct search_step step = {.op = key->op, .number = key->number};
    if (key->field != NULL) {
        step.field = vy_cstr(key->field);
    }
    if (key->argument == KEY_RECENT) {
        return key_recent(k, key->number);
    }
    if (key->argument != KEY_NONE) {
        VY_TRY(imap_parse_space(k->p));
    }
    if (key->argument == KEY_UID_SET) {
        return key_set(k, /* by_uid = */ true);
    }
    if (key->argument == KEY_MODSEQ) {
        return key_modseq(k, step);
    }
    if (key->argument == KEY_OBJECT_ID) {
        return key_object_id(k, step);
    }
    VY_TRY(key_argument(k, key, &step));
    VY_TRY(emit(k, step));
    return key->is_negated ? emit(k, (struct search_step){.op = SEARCH_OP_NOT}) : vy_ok();
}

static struct vy_err parse_single_key(struct key_parser *k)
{
    const uint8_t c = imap_parser_peek(k->p);
    if (vy_ascii_is_digit(c) || c == '*') {
        return key_set(k, /* by_uid = */ false);
    }
    for (size_t i = 0; i < VY_COUNT_OF(keys); i++) {
        if (imap_parse_try_word(k->p, keys[i].word)) {
            return parse_known_key(k, &keys[i]);
        }
    }
    return vy_error(VY_CODE_SYNTAX, "unknown search key");
}

/* ---- nesting ---- */

/* Opens what stands in front of a single key: "(", NOT, OR. */
static struct vy_err parse_openers(struct key_parser *k)
{
    for (;;) {
        if (imap_parse_try(k->p, '(')) {
            VY_TRY(push(k, FRAME_LIST));
        } else if (imap_parse_try_word(k->p, "NOT")) {
            VY_TRY(imap_parse_space(k->p));
            VY_TRY(push(k, FRAME_NOT));
        } else if (imap_parse_try_word(k->p, "OR")) {
            VY_TRY(imap_parse_space(k->p));
            VY_TRY(push(k, FRAME_OR));
        } else {
            return vy_ok();
        }
    }
}

static struct vy_err end_list(struct key_parser *k, uint32_t count)
{
    k->depth--;
    return count > 1 ? emit(k, (struct search_step){.op = SEARCH_OP_AND, .number = count})
                     : vy_ok();
}

/* An operand is complete: closes what it completes. Then a next key is due, or nothing is open any
 * more. */
static struct vy_err close_frames(struct key_parser *k)
{
    while (k->depth > 0) {
        struct frame *const top = &k->frames[k->depth - 1];
        top->count++;
        if (top->kind == FRAME_NOT) {
            k->depth--;
            VY_TRY(emit(k, (struct search_step){.op = SEARCH_OP_NOT}));
            continue;
        }
        if (top->kind == FRAME_OR && top->count == 1) {
            return imap_parse_space(k->p);
        }
        if (top->kind == FRAME_OR) {
            k->depth--;
            VY_TRY(emit(k, (struct search_step){.op = SEARCH_OP_OR, .number = 2}));
            continue;
        }
        const bool is_command = k->depth == 1;
        if (is_command ? imap_parser_is_at_end(k->p) : imap_parse_try(k->p, ')')) {
            VY_TRY(end_list(k, top->count));
            continue;
        }
        return imap_parse_space(k->p);
    }
    return vy_ok();
}

struct vy_err imap_search_parse_keys(struct imap_session *s, struct imap_parser *p,
                                     struct imap_search_program *out)
{
    struct key_parser k = {.s = s, .p = p, .program = out};
    *out = (struct imap_search_program){.step_count = 0};
    out->steps = VY_ARENA_ARRAY(p->arena, IMAP_SEARCH_STEPS_MAX, struct search_step);
    k.frames = VY_ARENA_ARRAY(p->arena, IMAP_SEARCH_DEPTH_MAX, struct frame);
    if (out->steps == NULL || k.frames == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    VY_TRY(push(&k, FRAME_LIST));
    while (k.depth > 0) {
        VY_TRY(parse_openers(&k));
        VY_TRY(parse_single_key(&k));
        VY_TRY(close_frames(&k));
    }
    return vy_ok();
}
