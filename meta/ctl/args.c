/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/ctl/args.h"

#include "base/assert.h"
#include "base/codec.h"

#define SHOWN_CHARS_MAX 60U

/* clang-format off */
const struct ctl_option_row ctl_options[CTL_OPTION_COUNT] = {
    [CTL_OPTION_SERVER]          = {"--server",          "ADDR,..", "unix:PATH or HOST:PORT, several are tried in turn (VOLARY_SERVER)"},
    [CTL_OPTION_OUTPUT]          = {"--output",          "FORM",    "table or json (table)"},
    [CTL_OPTION_TIMEOUT]         = {"--timeout",         "SECONDS", "how long to try, over all servers (30)"},
    [CTL_OPTION_TLS_CA]          = {"--tls-ca",          "FILE",    "who may vouch for the server (VOLARY_TLS_CA)"},
    [CTL_OPTION_TLS_CERTIFICATE] = {"--tls-certificate", "FILE",    "your certificate, of role admin (VOLARY_TLS_CERTIFICATE)"},
    [CTL_OPTION_TLS_KEY]         = {"--tls-key",         "FILE",    "its key (VOLARY_TLS_KEY)"},
    [CTL_OPTION_YES]             = {"--yes",             NULL,      "do not ask before something is destroyed"},
    [CTL_OPTION_HELP]            = {"--help",            NULL,      "say what the command does"},
    [CTL_OPTION_DRY_RUN]         = {"--dry-run",         NULL,      "let the server check it, change nothing"},
    [CTL_OPTION_REASON]          = {"--reason",          "TEXT",    "why, for the audit record"},
    [CTL_OPTION_BYTES]           = {"--bytes",           NULL,      "sizes as plain numbers"},
    [CTL_OPTION_LIMIT]           = {"--limit",           "N",       "show at most N rows (all)"},
    [CTL_OPTION_PASSWORD_STDIN]  = {"--password-stdin",  NULL,      "read the password from standard input; asks on a terminal"},
    [CTL_OPTION_GENERATE]        = {"--generate",        NULL,      "make a password and print it once (this is the default)"},
    [CTL_OPTION_RELEASE_ADDRESS] = {"--release-address", NULL,      "take an address that a deletion keeps out of use"},
    [CTL_OPTION_QUOTA]           = {"--quota",           "BYTES",   "largest size of all mail, such as 10GiB; 0: no limit"},
    [CTL_OPTION_DOMAIN]          = {"--domain",          "NAME",    "of this domain only"},
    [CTL_OPTION_CATCH_ALL]       = {"--catch-all",       "ADDRESS", "who gets mail for unknown names of the domain; '' for nobody"},
    [CTL_OPTION_LABEL]           = {"--label",           "TEXT",    "what it is for, such as 'phone'"},
    [CTL_OPTION_PROTOCOLS]       = {"--protocols",       "LIST",    "what it opens: imap,smtp,.. (all)"},
    [CTL_OPTION_EXPIRES_DAYS]    = {"--expires-days",    "N",       "end its life after N days (never)"},
    [CTL_OPTION_TEXT]            = {"--text",            "TEXT",    "what the owner is told"},
    [CTL_OPTION_FROM]            = {"--from",            "SEQUENCE", "begin with this record (the first)"},
    [CTL_OPTION_SOFT]            = {"--soft",            NULL,      "keep it restorable for delete.retention_s"},
    [CTL_OPTION_WAIT]            = {"--wait",            NULL,      "return when the work is complete"},
    [CTL_OPTION_CASCADE]         = {"--cascade",         NULL,      "account: take it out of the aliases and the catch-all that name it; domain: erase its accounts and aliases first"},
    [CTL_OPTION_NO_QR]           = {"--no-qr",           NULL,      "print no QR code, only the secret and its address"},
    [CTL_OPTION_NETWORKS]        = {"--networks",        "LIST",    "where it works from: 192.0.2.0/24,2001:db8::/32,.. (anywhere)"},
    [CTL_OPTION_OVERRIDE]        = {"--override",        NULL,      "without a code, as an administrator; wants --reason"},
    [CTL_OPTION_GROUP]           = {"--group",           "GROUP",   "meta, or the number of a group of shards"},
    [CTL_OPTION_LINK]            = {"--link",            "ADDR",    "where others call the new process: tcp://HOST:PORT (its ports.link)"},
    [CTL_OPTION_RAFT]            = {"--raft",            "ADDR",    "where its group's members do: tcp://HOST:PORT (its ports.raft)"},
    [CTL_OPTION_WITH]            = {"--with",            "NODE",    "name of the new process"},
    [CTL_OPTION_TICKET]          = {"--ticket",          "FILE",    "write the ticket there, readable by its owner only (standard output)"},
    [CTL_OPTION_KEEP_APP_PASSWORDS] = {"--keep-app-passwords", NULL, "leave the app passwords as they are (they are revoked too)"},
    [CTL_OPTION_RESULT]          = {"--result",          "RESULT",  "only these: ok, badpassword, baduser, limited, needapp, .."},
    [CTL_OPTION_SINCE]           = {"--since",           "TIME",    "not before: 2026-11-27, 2026-11-27T09:00:00Z, or so long ago: 90s, 15m, 2h, 7d"},
    [CTL_OPTION_IP]              = {"--ip",              "ADDRESS", "only from this address or network, such as 192.0.2.0/24"},
    [CTL_OPTION_KEY]             = {"--key",             "FILE",    "ask no server: the cluster's key as 'certificate key' shows it, a file or the digits"},
};
/* clang-format on */

static void say_text(struct vy_buf *problem, struct vy_bytes text)
{
    vy_buf_append_byte(problem, '\'');
    ctl_append_clean(problem, text, SHOWN_CHARS_MAX);
    vy_buf_append_byte(problem, '\'');
}

/* "'--bogus' is not an option; try: volaryctl account create --help" */
static struct vy_err refuse(const struct ctl_args *args, struct vy_buf *problem,
                            struct vy_bytes text, const char *why)
{
    say_text(problem, text);
    vy_buf_printf(problem, " %s; try: volaryctl ", why);
    if (args->command != NULL) {
        vy_buf_printf(problem, "%s %s ", args->command->noun, args->command->verb);
    }
    vy_buf_append_cstr(problem, "--help");
    return vy_error(VY_CODE_ARGUMENT, "command line");
}

/* ---- options ---- */

static size_t find_option(struct vy_bytes name)
{
    size_t i = 0;
    if (vy_bytes_equal(name, VY_LIT("-h"))) {
        return CTL_OPTION_HELP;
    }
    while (i < CTL_OPTION_COUNT && !vy_bytes_equal(name, vy_cstr(ctl_options[i].name))) {
        i++;
    }
    return i;
}

/* text: "--name" or "--name=value"; next: what follows it, or NULL. */
static struct vy_err parse_option(struct ctl_args *args, struct vy_bytes text, const char *next,
                                  bool *took_next, struct vy_buf *problem)
{
    const bool has_inline = vy_bytes_find_byte(text, '=', 0) != SIZE_MAX;
    struct vy_bytes value = text;
    const struct vy_bytes name = vy_bytes_cut(&value, '=');
    *took_next = false;
    if (vy_bytes_equal(text, VY_LIT("--version"))) {
        args->ask = CTL_ASK_VERSION;
        return vy_ok();
    }
    const size_t option = find_option(name);
    if (option == CTL_OPTION_COUNT) {
        return refuse(args, problem, name, "is not an option");
    }
    if (args->has[option] && ctl_options[option].value != NULL) {
        return refuse(args, problem, name, "is given twice");
    }
    if (ctl_options[option].value == NULL && has_inline) {
        return refuse(args, problem, text, "takes no value");
    }
    if (ctl_options[option].value != NULL && !has_inline) {
        if (next == NULL) {
            return refuse(args, problem, name, "needs a value");
        }
        value = vy_cstr(next);
        *took_next = true;
    }
    args->has[option] = true;
    args->values[option] = value;
    if (option == CTL_OPTION_HELP) {
        args->ask = args->ask == CTL_ASK_RUN ? CTL_ASK_HELP : args->ask;
    }
    return vy_ok();
}

/* ---- words ---- */

static struct vy_err take_verb(struct ctl_args *args, struct vy_bytes word, struct vy_buf *problem)
{
    args->verb = word;
    args->command = ctl_command_find(args->noun, word);
    if (args->command == NULL || word.len == 0) {
        args->command = NULL;
        say_text(problem, word);
        vy_buf_append_cstr(problem, " is not something to do with ");
        say_text(problem, args->noun);
        vy_buf_append_cstr(problem, "; try: volaryctl ");
        vy_buf_append(problem, args->noun);
        vy_buf_append_cstr(problem, " --help");
        return vy_error(VY_CODE_ARGUMENT, "verb");
    }
    return vy_ok();
}

static struct vy_err take_word(struct ctl_args *args, struct vy_bytes word, struct vy_buf *problem)
{
    if (args->noun.data == NULL) {
        if (vy_bytes_equal(word, VY_LIT("version"))) {
            args->ask = CTL_ASK_VERSION;
            return vy_ok();
        }
        if (vy_bytes_equal(word, VY_LIT("help"))) {
            args->ask = CTL_ASK_HELP;
            return vy_ok();
        }
        args->noun = word;
        return ctl_command_find(word, vy_bytes(NULL, 0)) != NULL && word.len > 0
                   ? vy_ok()
                   : refuse(args, problem, word, "is not something that volaryctl knows");
    }
    if (args->verb.data == NULL) {
        return take_verb(args, word, problem);
    }
    if (args->word_count == CTL_WORDS_MAX) {
        return refuse(args, problem, word, "is one name too many: 1,000 are the most");
    }
    args->words[args->word_count++] = word;
    return vy_ok();
}

/* ---- what the row allows ---- */

/* least: without those in brackets. */
static size_t count_params(const char *params, size_t *least, bool *is_open)
{
    struct vy_bytes rest = vy_cstr(params);
    size_t count = 0;
    *least = 0;
    while (rest.len > 0) {
        const struct vy_bytes param = vy_bytes_cut(&rest, ' ');
        *least += param.data[0] == '[' ? 0 : 1;
        count++;
    }
    *is_open = vy_bytes_ends_with(vy_cstr(params), VY_LIT("..."));
    return count;
}

static struct vy_err check_words(const struct ctl_args *args, struct vy_buf *problem)
{
    const struct ctl_command *command = args->command;
    bool is_open = false;
    size_t least = 0;
    const size_t wanted = count_params(command->params, &least, &is_open);
    if (args->word_count < least) {
        vy_buf_printf(problem, "%s %s wants %s; try: volaryctl %s %s --help", command->noun,
                      command->verb, command->params, command->noun, command->verb);
        return vy_error(VY_CODE_ARGUMENT, "missing name");
    }
    if (args->word_count > wanted && !is_open) {
        return refuse(args, problem, args->words[wanted], "is one argument too many");
    }
    for (size_t i = 0; i < args->word_count; i++) {
        if (args->words[i].len == 0) {
            return refuse(args, problem, args->words[i], "is empty where a name is wanted");
        }
    }
    return vy_ok();
}

static struct vy_err check_options(const struct ctl_args *args, struct vy_buf *problem)
{
    const uint64_t allowed = args->command->options | CTL_OPTIONS_GLOBAL |
                             (ctl_command_writes(args->command) ? CTL_OPTIONS_WRITE : 0);
    for (size_t i = 0; i < CTL_OPTION_COUNT; i++) {
        if (args->has[i] && (allowed & 1ULL << i) == 0) {
            return refuse(args, problem, vy_cstr(ctl_options[i].name),
                          "is no option of this command");
        }
    }
    const struct vy_bytes output = args->values[CTL_OPTION_OUTPUT];
    if (args->has[CTL_OPTION_OUTPUT] && !vy_bytes_equal(output, VY_LIT("table")) &&
        !vy_bytes_equal(output, VY_LIT("json"))) {
        return refuse(args, problem, output, "is no form of output: table or json");
    }
    if (args->has[CTL_OPTION_OVERRIDE] && args->values[CTL_OPTION_REASON].len == 0) {
        return refuse(args, problem, VY_LIT("--override"), "wants its --reason TEXT");
    }
    if (args->has[CTL_OPTION_PASSWORD_STDIN] && args->has[CTL_OPTION_GENERATE]) {
        return refuse(args, problem, VY_LIT("--generate"), "contradicts --password-stdin");
    }
    return vy_ok();
}

static struct vy_err check(struct ctl_args *args, struct vy_buf *problem)
{
    if (args->ask == CTL_ASK_RUN && args->command == NULL) {
        args->ask = CTL_ASK_HELP;
        vy_buf_printf(problem, "%s wanted; try: volaryctl %.*s%s--help",
                      args->noun.data == NULL ? "a noun and a verb are" : "a verb is",
                      VY_PRI(args->noun), args->noun.data == NULL ? "" : " ");
        return vy_error(VY_CODE_ARGUMENT, "command");
    }
    if (args->ask != CTL_ASK_RUN) {
        return vy_ok();
    }
    VY_TRY(check_options(args, problem));
    return check_words(args, problem);
}

struct vy_err ctl_args_parse(int argc, char *const *argv, struct ctl_args *out,
                             struct vy_buf *problem)
{
    bool is_over = false; /* "--" was seen */
    *out = (struct ctl_args){.ask = CTL_ASK_RUN};
    for (int i = 1; i < argc; i++) {
        const struct vy_bytes text = vy_cstr(argv[i]);
        bool took_next = false;
        if (text.len > CTL_WORD_BYTES_MAX) {
            return refuse(out, problem, text, "is too long");
        }
        if (!vy_utf8_is_valid(text)) {
            return refuse(out, problem, text, "is not UTF-8");
        }
        if (!is_over && vy_bytes_equal(text, VY_LIT("--"))) {
            is_over = true;
            continue;
        }
        if (!is_over && text.len > 1 && text.data[0] == '-') {
            VY_TRY(parse_option(out, text, i + 1 < argc ? argv[i + 1] : NULL, &took_next, problem));
            i += took_next ? 1 : 0;
            continue;
        }
        VY_TRY(take_word(out, text, problem));
    }
    return check(out, problem);
}

bool ctl_args_is_json(const struct ctl_args *args)
{
    return vy_bytes_equal(args->values[CTL_OPTION_OUTPUT], VY_LIT("json"));
}
