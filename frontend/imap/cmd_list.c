/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIST and LSUB (RFC 3501 section 6.3.8, 6.3.9), with LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC
 * 5819), CHILDREN (RFC 3348) and SPECIAL-USE (RFC 6154). One call brings every mailbox of the
 * account; patterns are matched here.
 */
#include "base/assert.h"
#include "base/map.h"
#include "frontend/imap/commands.h"
#include "frontend/imap/roles.h"
#include "frontend/imap/status.h"
#include "mail/mutf7.h"
#include "mail/wildcard.h"
#include <stdlib.h>

#define PATTERNS_MAX 16U /* of one LIST */
#define PATTERN_WIRE_BYTES_MAX 4096U

enum list_option {
    LIST_SELECT_SUBSCRIBED = 1,
    LIST_SELECT_REMOTE = 2,
    LIST_SELECT_RECURSIVE = 4,
    LIST_SELECT_SPECIAL_USE = 8,
    LIST_RETURN_SUBSCRIBED = 16,
    LIST_RETURN_CHILDREN = 32,
    LIST_RETURN_SPECIAL_USE = 64,
    LIST_RETURN_STATUS = 128,
    LIST_IS_LSUB = 256,
    LIST_IS_EXTENDED = 512
};

struct list_args {
    uint32_t options; /* enum list_option */
    uint32_t status_items;
    struct vy_bytes reference;
    struct vy_bytes texts[PATTERNS_MAX];
    size_t pattern_count;
    struct vy_bytes patterns[PATTERNS_MAX]; /* UTF-8, reference in front */
};

struct list_entry {
    struct vy_bytes name;
    const struct mailbox_info *info; /* NULL: only a level above others */
    bool has_children;
    bool has_subscribed_child;
    bool has_special_child;
};

struct list_table {
    struct list_entry *items; /* in cmd_arena, by name */
    size_t count;
};

/* ---- arguments ---- */

static const struct {
    const char *word;
    uint32_t option;
} select_words[] =
    {
        {"SUBSCRIBED",     LIST_SELECT_SUBSCRIBED },
        {"REMOTE",         LIST_SELECT_REMOTE     },
        {"RECURSIVEMATCH", LIST_SELECT_RECURSIVE  },
        {"SPECIAL-USE",    LIST_SELECT_SPECIAL_USE},
},
  return_words[] = {
      {"SUBSCRIBED", LIST_RETURN_SUBSCRIBED},
      {"CHILDREN", LIST_RETURN_CHILDREN},
      {"SPECIAL-USE", LIST_RETURN_SPECIAL_USE},
};

/* "(" [option *(SP option)] ")" in front of the reference name. */
static struct vy_err parse_selection(struct imap_parser *p, struct list_args *args)
{
    args->options |= LIST_IS_EXTENDED;
    while (!imap_parse_try(p, ')')) {
        uint32_t option = 0;
        for (size_t i = 0; i < VY_COUNT_OF(select_words) && option == 0; i++) {
            option = imap_parse_try_word(p, select_words[i].word) ? select_words[i].option : 0;
        }
        if (option == 0) {
            return vy_error(VY_CODE_SYNTAX, "unknown selection option");
        }
        args->options |= option;
        (void)imap_parse_try(p, ' ');
    }
    const uint32_t base = LIST_SELECT_SUBSCRIBED | LIST_SELECT_SPECIAL_USE;
    if ((args->options & LIST_SELECT_RECURSIVE) != 0 && (args->options & base) == 0) {
        return vy_error(VY_CODE_SYNTAX, "RECURSIVEMATCH needs another selection option");
    }
    return imap_parse_space(p);
}

static struct vy_err parse_returns(struct imap_session *s, struct imap_parser *p,
                                   struct list_args *args)
{
    if (!imap_parse_try(p, ' ')) {
        return vy_ok();
    }
    args->options |= LIST_IS_EXTENDED;
    if (!imap_parse_try_word(p, "RETURN") || !imap_parse_try(p, ' ') || !imap_parse_try(p, '(')) {
        return vy_error(VY_CODE_SYNTAX, "RETURN is expected");
    }
    while (!imap_parse_try(p, ')')) {
        uint32_t option = 0;
        for (size_t i = 0; i < VY_COUNT_OF(return_words) && option == 0; i++) {
            option = imap_parse_try_word(p, return_words[i].word) ? return_words[i].option : 0;
        }
        if (option == 0 && imap_parse_try_word(p, "STATUS")) {
            VY_TRY(imap_parse_space(p));
            VY_TRY(imap_parse_status_items(s, p, &args->status_items));
            option = LIST_RETURN_STATUS;
        }
        if (option == 0) {
            return vy_error(VY_CODE_SYNTAX, "unknown return option");
        }
        args->options |= option;
        (void)imap_parse_try(p, ' ');
    }
    return vy_ok();
}

static struct vy_err parse_patterns(struct imap_parser *p, struct list_args *args)
{
    if (!imap_parse_try(p, '(')) {
        args->pattern_count = 1;
        return imap_parse_pattern(p, &args->texts[0]);
    }
    args->options |= LIST_IS_EXTENDED;
    do {
        if (args->pattern_count == PATTERNS_MAX) {
            return vy_error(VY_CODE_LIMIT, "too many patterns");
        }
        VY_TRY(imap_parse_pattern(p, &args->texts[args->pattern_count++]));
    } while (imap_parse_try(p, ' '));
    return imap_parse_byte(p, ')', "patterns do not end");
}

/* Reference and pattern put together, as UTF-8. */
static struct vy_err join_pattern(struct vy_arena *arena, const struct list_args *args,
                                  struct vy_bytes text, struct vy_bytes *out)
{
    struct vy_buf joined;
    vy_buf_init(&joined, PATTERN_WIRE_BYTES_MAX);
    vy_buf_append(&joined, args->reference);
    vy_buf_append(&joined, text);
    struct vy_err err = vy_buf_error(&joined);
    if (!vy_failed(err)) {
        err = mutf7_decode(arena, vy_buf_bytes(&joined), out);
    }
    vy_buf_deinit(&joined);
    return vy_failed(err) ? err : wildcard_check(*out);
}

static struct vy_err new_args(struct imap_session *s, struct imap_parser *p, struct list_args **out)
{
    struct list_args *const args = VY_ARENA_NEW(p->arena, struct list_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    *out = args;
    return imap_parse_space(p);
}

static struct vy_err join_patterns(struct imap_parser *p, struct list_args *args)
{
    for (size_t i = 0; i < args->pattern_count; i++) {
        VY_TRY(join_pattern(p->arena, args, args->texts[i], &args->patterns[i]));
    }
    return vy_ok();
}

static struct vy_err list_parse(struct imap_session *s, struct imap_parser *p)
{
    struct list_args *args = NULL;
    VY_TRY(new_args(s, p, &args));
    if (imap_parse_try(p, '(')) {
        VY_TRY(parse_selection(p, args));
    }
    VY_TRY(imap_parse_astring(p, &args->reference));
    VY_TRY(imap_parse_space(p));
    VY_TRY(parse_patterns(p, args));
    VY_TRY(parse_returns(s, p, args));
    return join_patterns(p, args);
}

static struct vy_err lsub_parse(struct imap_session *s, struct imap_parser *p)
{
    struct list_args *args = NULL;
    VY_TRY(new_args(s, p, &args));
    args->options = LIST_IS_LSUB | LIST_SELECT_SUBSCRIBED;
    args->pattern_count = 1;
    VY_TRY(imap_parse_astring(p, &args->reference));
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_pattern(p, &args->texts[0]));
    return join_patterns(p, args);
}

/* ---- the table of names ---- */

static int compare_entries(const void *a, const void *b)
{
    const struct list_entry *const x = a;
    const struct list_entry *const y = b;
    return vy_bytes_compare(x->name, y->name);
}

static size_t count_levels(const struct mailbox_list_reply *reply)
{
    size_t count = 0;
    for (size_t i = 0; i < reply->mailboxes_count; i++) {
        const struct vy_bytes name = reply->mailboxes[i].name;
        count++;
        for (size_t at = vy_bytes_find_byte(name, '/', 0); at != SIZE_MAX;
             at = vy_bytes_find_byte(name, '/', at + 1)) {
            count++;
        }
    }
    return count;
}

/* The entry of a name, made when it is new. NULL: no memory. */
static struct list_entry *entry_of(struct list_table *table, struct vy_strmap *names,
                                   struct vy_bytes name)
{
    struct list_entry *entry = vy_strmap_get(names, name);
    if (entry == NULL) {
        entry = &table->items[table->count];
        if (vy_failed(vy_strmap_put(names, name, entry))) {
            return NULL;
        }
        entry->name = name;
        table->count++;
    }
    return entry;
}

/* Tells every level above a mailbox what stands below it. */
static bool note_parents(struct list_table *table, struct vy_strmap *names,
                         const struct mailbox_info *info)
{
    for (size_t at = vy_bytes_find_byte(info->name, '/', 0); at != SIZE_MAX;
         at = vy_bytes_find_byte(info->name, '/', at + 1)) {
        struct list_entry *const parent = entry_of(table, names, vy_bytes_slice(info->name, 0, at));
        if (parent == NULL) {
            return false;
        }
        parent->has_children = parent->has_children || info->mailbox_id != 0;
        parent->has_subscribed_child = parent->has_subscribed_child || info->subscribed;
        parent->has_special_child =
            parent->has_special_child || imap_role_attribute(info->role) != NULL;
    }
    return true;
}

static bool fill_table(struct list_table *table, struct vy_strmap *names,
                       const struct mailbox_list_reply *reply)
{
    for (size_t i = 0; i < reply->mailboxes_count; i++) {
        struct list_entry *const entry = entry_of(table, names, reply->mailboxes[i].name);
        if (entry == NULL || !note_parents(table, names, &reply->mailboxes[i])) {
            return false;
        }
        entry->info = &reply->mailboxes[i];
    }
    return true;
}

static bool build_table(struct imap_session *s, const struct mailbox_list_reply *reply,
                        struct list_table *table)
{
    struct vy_strmap names;
    table->items = VY_ARENA_ARRAY(&s->cmd_arena, count_levels(reply) + 1, struct list_entry);
    if (table->items == NULL) {
        return false;
    }
    vy_strmap_init(&names, imap_session_random(s));
    const bool is_fine = fill_table(table, &names, reply);
    vy_strmap_deinit(&names);
    if (is_fine) {
        qsort(table->items, table->count, sizeof(*table->items), compare_entries);
    }
    return is_fine;
}

/* ---- what is shown ---- */

static bool is_there(const struct list_entry *entry)
{
    return entry->info != NULL && entry->info->mailbox_id != 0;
}

static bool is_subscribed(const struct list_entry *entry)
{
    return entry->info != NULL && entry->info->subscribed;
}

static bool is_special(const struct list_entry *entry)
{
    return entry->info != NULL && imap_role_attribute(entry->info->role) != NULL;
}

static bool is_selected(const struct list_args *args, const struct list_entry *entry)
{
    const bool wants_subscribed = (args->options & LIST_SELECT_SUBSCRIBED) != 0;
    const bool wants_special = (args->options & LIST_SELECT_SPECIAL_USE) != 0;
    if (!wants_subscribed && !wants_special) {
        return is_there(entry) || entry->has_children;
    }
    return (!wants_subscribed || is_subscribed(entry)) && (!wants_special || is_special(entry));
}

/* Shown for what stands below it: RECURSIVEMATCH, and LSUB with '%'. */
static bool is_selected_for_children(const struct list_args *args, const struct list_entry *entry)
{
    if ((args->options & LIST_IS_LSUB) != 0) {
        return entry->has_subscribed_child && vy_bytes_ends_with(args->texts[0], VY_LIT("%"));
    }
    if ((args->options & LIST_SELECT_RECURSIVE) == 0) {
        return false;
    }
    return ((args->options & LIST_SELECT_SUBSCRIBED) != 0 && entry->has_subscribed_child) ||
           ((args->options & LIST_SELECT_SPECIAL_USE) != 0 && entry->has_special_child);
}

static bool matches_any(const struct list_args *args, struct vy_bytes name)
{
    for (size_t i = 0; i < args->pattern_count; i++) {
        if (wildcard_matches(args->patterns[i], name)) {
            return true;
        }
    }
    return false;
}

static void write_attribute(struct vy_buf *out, const char **separator, const char *attribute)
{
    vy_buf_append_cstr(out, *separator);
    vy_buf_append_cstr(out, attribute);
    *separator = " ";
}

static void write_attributes(struct vy_buf *out, const struct list_args *args,
                             const struct list_entry *entry, bool only_for_children)
{
    const uint32_t shows_subscribed = LIST_SELECT_SUBSCRIBED | LIST_RETURN_SUBSCRIBED;
    const bool is_lsub = (args->options & LIST_IS_LSUB) != 0;
    const char *separator = "";
    if (!is_there(entry) && !is_lsub && (args->options & LIST_IS_EXTENDED) != 0) {
        write_attribute(out, &separator, "\\NonExistent");
    } else if (!is_there(entry) || entry->info->no_select || (is_lsub && only_for_children)) {
        write_attribute(out, &separator, "\\Noselect");
    }
    if (!is_lsub && (args->options & shows_subscribed) != 0 && is_subscribed(entry)) {
        write_attribute(out, &separator, "\\Subscribed");
    }
    if (!is_lsub) {
        write_attribute(out, &separator, entry->has_children ? "\\HasChildren" : "\\HasNoChildren");
    }
    if (!is_lsub && is_special(entry)) {
        write_attribute(out, &separator, imap_role_attribute(entry->info->role));
    }
}

static void write_child_info(struct vy_buf *out, const struct list_args *args,
                             const struct list_entry *entry)
{
    const bool subscribed =
        (args->options & LIST_SELECT_SUBSCRIBED) != 0 && entry->has_subscribed_child;
    const bool special = (args->options & LIST_SELECT_SPECIAL_USE) != 0 && entry->has_special_child;
    if ((args->options & LIST_SELECT_RECURSIVE) == 0 || (!subscribed && !special)) {
        return;
    }
    vy_buf_append_cstr(out, " (CHILDINFO (");
    vy_buf_append_cstr(out, subscribed ? "\"SUBSCRIBED\"" : "");
    vy_buf_append_cstr(out, subscribed && special ? " " : "");
    vy_buf_append_cstr(out, special ? "\"SPECIAL-USE\"" : "");
    vy_buf_append_cstr(out, "))");
}

static void write_entry(struct imap_session *s, const struct list_args *args,
                        const struct list_entry *entry)
{
    const bool selected = is_selected(args, entry);
    if ((!selected && !is_selected_for_children(args, entry)) || !matches_any(args, entry->name)) {
        return;
    }
    vy_buf_append_cstr(&s->out, (args->options & LIST_IS_LSUB) != 0 ? "* LSUB (" : "* LIST (");
    write_attributes(&s->out, args, entry, !selected);
    vy_buf_append_cstr(&s->out, ") \"/\" ");
    imap_write_mailbox(&s->out, entry->name);
    write_child_info(&s->out, args, entry);
    vy_buf_append_cstr(&s->out, "\r\n");
    if ((args->options & LIST_RETURN_STATUS) != 0 && is_there(entry) && !entry->info->no_select) {
        imap_write_status(s, entry->info, args->status_items);
    }
}

static bool asks_for_separator(const struct list_args *args)
{
    return (args->options & LIST_IS_EXTENDED) == 0 && args->pattern_count == 1 &&
           args->texts[0].len == 0;
}

static void list_start(struct imap_session *s)
{
    const struct list_args *const args = s->run.args;
    if (asks_for_separator(args)) {
        vy_buf_append_cstr(&s->out, (args->options & LIST_IS_LSUB) != 0
                                        ? "* LSUB (\\Noselect) \"/\" \"\"\r\n"
                                        : "* LIST (\\Noselect) \"/\" \"\"\r\n");
        imap_end_ok(s, NULL, "Done");
        return;
    }
    const struct mailbox_list_request request = {
        .actor = &s->account.actor,
        .with_status = (args->options & LIST_RETURN_STATUS) != 0,
        .subscribed_names = (args->options & LIST_SELECT_SUBSCRIBED) != 0,
    };
    imap_call(s, METHOD_SHARD_MAILBOX_LIST, &request, false);
}

static void list_resume(struct imap_session *s, struct vy_err err, const void *message)
{
    struct list_table table = {.count = 0};
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return;
    }
    if (!build_table(s, message, &table)) {
        imap_end_no(s, "LIMIT", "Too many mailboxes");
        return;
    }
    for (size_t i = 0; i < table.count; i++) {
        write_entry(s, s->run.args, &table.items[i]);
    }
    imap_end_ok(s, NULL, "Done");
}

/* clang-format off */
static const struct imap_command list_rows[] = {
    /* name   legal in         traits parse       start       resume */
    { "LIST", IMAP_IN_ACCOUNT, 0,     list_parse, list_start, list_resume },
    { "LSUB", IMAP_IN_ACCOUNT, 0,     lsub_parse, list_start, list_resume },
};
/* clang-format on */
const struct imap_extension imap_list_commands = {IMAP_COMMANDS(list_rows)};
