/* SPDX-License-Identifier: Apache-2.0 */
/* volary: all roles in one process. */
#include "base/bytes.h"
#include "deploy/allinone/dev.h"
#include "frontend/role.h"
#include "meta/role.h"
#include "proto/program.h"
#include "proto/settings.h"
#include "shard/role.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USAGE_EXIT 2
#define REPORT_BYTES_MAX (64U * 1024U)

static const struct role_ops *const all_roles[] = {&meta_role, &shard_role, &frontend_role};

static int usage_error(const char *problem, const char *argument)
{
    fprintf(stderr, "error: %s '%.100s'; try: volary --help\n", problem, argument);
    return USAGE_EXIT;
}

/* ---- volary dev ---- */

static void print_dev_help(void)
{
    printf("Usage: volary dev [--data DIR] [--port-base N] [--listen ADDR]\n"
           "                  [--account NAME --password-file FILE] [--hints]\n"
           "\n"
           "A whole Volary on loopback, for trying out and for tests: sign-in without TLS is "
           "allowed,\n"
           "TLS has a self-signed certificate. The first start makes an account.\n"
           "\n"
           "  --data DIR            where everything is kept (volary-data)\n"
           "  --port-base N         SMTP listens on N+25, IMAP on N+143 and so on (10000)\n"
           "  --listen ADDR         a loopback address (127.0.0.1)\n"
           "  --account NAME        the first account (dev@dev.test)\n"
           "  --password-file FILE  its password, in a file that only you may read; without it one "
           "is\n"
           "                        generated and printed once on stderr\n"
           "  --hints               print lines to copy for a first mail\n"
           "\n"
           "When it serves, one line of JSON with the ports goes to stdout; logs go to stderr.\n"
           "Ctrl-C stops it; a second start finds the mail again.\n");
}

static int parse_dev(int argc, char **argv, struct dev_options *out, bool *is_help)
{
    struct {
        const char *name;
        const char **value;
    } texts[] = {
        {"--data",          &out->data         },
        {"--listen",        &out->listen       },
        {"--account",       &out->account      },
        {"--password-file", &out->password_file}
    };
    for (int i = 0; i < argc; i++) {
        bool is_known = false;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *is_help = true;
            return 0;
        }
        if (strcmp(argv[i], "--hints") == 0) {
            out->show_hints = true;
            continue;
        }
        if (i + 1 == argc) {
            return usage_error("unknown option or missing value:", argv[i]);
        }
        if (strcmp(argv[i], "--port-base") == 0) {
            if (!vy_parse_u64(vy_cstr(argv[++i]), &out->port_base) || out->port_base == 0 ||
                out->port_base > DEV_PORT_BASE_MAX) {
                return usage_error("--port-base wants a number from 1 to 64000, not", argv[i]);
            }
            continue;
        }
        for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
            if (strcmp(argv[i], texts[k].name) == 0) {
                *texts[k].value = argv[i + 1];
                is_known = true;
            }
        }
        if (!is_known) {
            return usage_error("unknown option", argv[i]);
        }
        i++;
    }
    return 0;
}

static int command_dev(int argc, char **argv)
{
    struct dev_options options = {.data = "volary-data",
                                  .listen = "127.0.0.1",
                                  .port_base = 10000,
                                  .account = "dev@dev.test"};
    bool is_help = false;
    const int usage = parse_dev(argc, argv, &options, &is_help);
    if (usage != 0) {
        return usage;
    }
    if (is_help) {
        print_dev_help();
        return 0;
    }
    struct vy_config *config = NULL;
    struct dev_account *account = NULL;
    if (vy_failed(dev_prepare(&options, &config))) {
        return 1;
    }
    int exit_code = 1;
    if (!vy_failed(dev_account_new(&options, &account))) {
        const struct program program = {.name = "volary",
                                        .roles = all_roles,
                                        .role_count = sizeof(all_roles) / sizeof(all_roles[0]),
                                        .config = config,
                                        .settings = SETTINGS_ALL,
                                        .on_ready = dev_account_make,
                                        .on_ready_arg = account};
        exit_code = program_run(&program);
    }
    dev_account_free(account);
    vy_config_free(config);
    return exit_code;
}

/* ---- volary serve ---- */

static void print_serve_help(void)
{
    printf("Usage: volary serve --config FILE [--check-config]\n"
           "\n"
           "All roles in one process for real use. deploy/conf/volary.yaml is a file to start "
           "from; every\n"
           "key can also be a variable: VOLARY_RAFT__ELECTION_TIMEOUT_MS.\n");
}

static int command_serve(int argc, char **argv)
{
    const char *path = NULL;
    bool check_only = false;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_serve_help();
            return 0;
        }
        if (strcmp(argv[i], "--check-config") == 0) {
            check_only = true;
        } else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            path = argv[++i];
        } else {
            return usage_error("unknown option or missing value:", argv[i]);
        }
    }
    struct vy_config *config = program_load_config(SETTINGS_ALL, path);
    if (config == NULL) {
        return 1;
    }
    int exit_code = 0;
    if (check_only) {
        printf("%s: ok\n", path == NULL ? "environment" : path);
    } else {
        const struct program program = {.name = "volary",
                                        .roles = all_roles,
                                        .role_count = sizeof(all_roles) / sizeof(all_roles[0]),
                                        .config = config,
                                        .config_path = path,
                                        .settings = SETTINGS_ALL};
        exit_code = program_run(&program);
    }
    vy_config_free(config);
    return exit_code;
}

/* ---- the table ---- */

static int command_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("volary %s\n", VOLARY_VERSION);
    return 0;
}

static int command_help(int argc, char **argv);

static const struct {
    const char *name;
    const char *help;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"dev",     "a whole Volary on loopback, with a first account",    command_dev    },
    {"serve",   "all roles in one process, from a configuration file", command_serve  },
    {"version", "print the version",                                   command_version},
    {"help",    "print this",                                          command_help   },
};

static int command_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("Usage: volary COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        printf("  %-8s  %s\n", commands[i].name, commands[i].help);
    }
    printf("\n`volary COMMAND --help` says more. `volaryctl` administers what runs.\n");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)command_help(0, NULL);
        return USAGE_EXIT;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = "help";
    } else if (strcmp(name, "--version") == 0) {
        name = "version";
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return commands[i].run(argc - 2, argv + 2);
        }
    }
    return usage_error("no such command:", name);
}
