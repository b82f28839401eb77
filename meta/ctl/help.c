/* SPDX-License-Identifier: Apache-2.0 */
/* Help, made from the table of commands. */
#include "meta/ctl/args.h"

#include <stdio.h>

#define COMMAND_COLUMN 44U
#define OPTION_COLUMN 28U

static void append_entry(struct vy_buf *out, const char *name, const char *value, const char *help,
                         size_t column)
{
    const size_t start = vy_buf_len(out);
    vy_buf_printf(out, "  %s%s%s", name, value == NULL || value[0] == '\0' ? "" : " ",
                  value == NULL ? "" : value);
    do {
        vy_buf_append_byte(out, ' ');
    } while (vy_buf_len(out) - start < column && !out->failed);
    vy_buf_printf(out, " %s\n", help);
}

static void write_options(uint64_t options, struct vy_buf *out)
{
    for (size_t i = 0; i < CTL_OPTION_COUNT; i++) {
        if ((options & 1ULL << i) != 0) {
            append_entry(out, ctl_options[i].name, ctl_options[i].value, ctl_options[i].help,
                         OPTION_COLUMN);
        }
    }
}

static void write_commands(struct vy_bytes noun, struct vy_buf *out)
{
    for (size_t i = 0; i < ctl_command_count; i++) {
        const struct ctl_command *command = &ctl_commands[i];
        char name[64];
        if (noun.len > 0 && !vy_bytes_equal(noun, vy_cstr(command->noun))) {
            continue;
        }
        (void)snprintf(name, sizeof(name), "%s %s", command->noun, command->verb);
        append_entry(out, name, command->params, command->summary, COMMAND_COLUMN);
    }
}

static void write_program(struct vy_buf *out)
{
    vy_buf_append_cstr(out, "Usage: volaryctl NOUN VERB [NAME...] [OPTIONS]\n\n"
                            "Administers a Volary cluster.\n\n");
    write_commands(vy_bytes(NULL, 0), out);
    vy_buf_append_cstr(out, "\nOptions of every command:\n");
    write_options(CTL_OPTIONS_GLOBAL, out);
    vy_buf_append_cstr(
        out,
        "\nWithout --server the socket ./volary-data/admin.sock is used when it is there, else\n"
        "/run/volary/admin.sock. Whoever may open it administers; elsewhere a certificate does.\n"
        "\nExamples:\n"
        "  volaryctl domain create example.org\n"
        "  volaryctl account create ada@example.org\n"
        "  volaryctl account list --output json\n"
        "\nExit codes: 0 ok, 1 failed, 2 wrong usage, 3 not found, 4 exists or state forbids it,\n"
        "5 not permitted, 6 not reachable (repeat it), 8 refused at the prompt, 9 a check failed.\n"
        "`volaryctl NOUN VERB --help` says more.\n");
}

static void write_noun(struct vy_bytes noun, struct vy_buf *out)
{
    vy_buf_printf(out, "Usage: volaryctl %.*s VERB [NAME...] [OPTIONS]\n\n", VY_PRI(noun));
    write_commands(noun, out);
    vy_buf_append_cstr(out, "\nExamples:\n");
    for (size_t i = 0; i < ctl_command_count; i++) {
        if (vy_bytes_equal(noun, vy_cstr(ctl_commands[i].noun))) {
            vy_buf_append_cstr(out, ctl_commands[i].examples);
        }
    }
    vy_buf_printf(out, "\n`volaryctl %.*s VERB --help` says more.\n", VY_PRI(noun));
}

static void write_command(const struct ctl_command *command, struct vy_buf *out)
{
    vy_buf_printf(out, "Usage: volaryctl %s %s%s%s [OPTIONS]\n\n%s.\n", command->noun,
                  command->verb, command->params[0] == '\0' ? "" : " ", command->params,
                  command->summary);
    if (ctl_command_method(command) == NULL) {
        vy_buf_append_cstr(out, "It is not in this version.\n");
    }
    const uint64_t own = command->options | (ctl_command_writes(command) ? CTL_OPTIONS_WRITE : 0);
    if (own != 0) {
        vy_buf_append_cstr(out, "\nOptions:\n");
        write_options(own, out);
    }
    vy_buf_append_cstr(out, "\nOptions of every command:\n");
    write_options(CTL_OPTIONS_GLOBAL, out);
    vy_buf_printf(out, "\nExamples:\n%s", command->examples);
}

void ctl_args_write_help(const struct ctl_args *args, struct vy_buf *out)
{
    if (args->command != NULL) {
        write_command(args->command, out);
    } else if (args->noun.len > 0) {
        write_noun(args->noun, out);
    } else {
        write_program(out);
    }
}
