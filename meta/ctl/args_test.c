/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of volaryctl (C11), and whether the table of commands is sound. */
#include "base/assert.h"
#include "meta/ctl/args.h"
#include "meta/ctl/client.h"
#include "meta/ctl/json.h"
#include "tests/lib/test.h"
#include <stdlib.h>

#define ARGV_MAX 16

struct fixture {
    struct ctl_args args;
    struct vy_buf problem;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    vy_buf_init(&fixture.problem, 4096);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vy_buf_deinit(&f->problem);
    return 0;
}

/* NULL ends the list; the parser writes to none of them. */
static struct vy_err parse(struct fixture *f, const char *const *words)
{
    char program[] = "volaryctl";
    char *argv[ARGV_MAX] = {program};
    int argc = 1;
    vy_buf_reset(&f->problem);
    for (; words[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    }
    const struct vy_err err = ctl_args_parse(argc, argv, &f->args, &f->problem);
    vy_buf_append_byte(&f->problem, 0);
    return err;
}
#define PARSE(f, ...) parse((f), (const char *const[]){__VA_ARGS__, NULL})

static const char *problem_of(const struct fixture *f)
{
    return (const char *)vy_buf_bytes(&f->problem).data;
}

static void options_may_stand_anywhere(void **state)
{
    struct fixture *f = *state;
    static const char *const forms[][8] = {
        {"--output", "json",          "account",  "list",      "--limit", "5", NULL },
        {"account",  "--output=json", "list",     "--limit=5", NULL     },
        {"account", "list",             "--limit", "5",      "--output",      "json",    NULL},
    };
    for (size_t i = 0; i < VY_COUNT_OF(forms); i++) {
        assert_false(vy_failed(parse(f, forms[i])));
        assert_string_equal(f->args.command->method, "ListAccounts");
        assert_true(ctl_args_is_json(&f->args));
        assert_true(vy_bytes_equal(f->args.values[CTL_OPTION_LIMIT], VY_LIT("5")));
        assert_int_equal(f->args.word_count, 0);
    }
}

static void names_may_look_like_options_behind_two_dashes(void **state)
{
    struct fixture *f = *state;
    assert_false(vy_failed(PARSE(f, "account", "show", "--", "-rf")));
    assert_int_equal(f->args.word_count, 1);
    assert_true(vy_bytes_equal(f->args.words[0], VY_LIT("-rf")));
    assert_false(vy_failed(PARSE(f, "account", "show", "gr\xc3\xbc\xc3\x9f@example.org")));
    assert_false(vy_failed(PARSE(f, "account", "show", "-")));
}

static void what_is_wrong_is_said_with_what_to_try(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *words[8];
        const char *problem;
    } rows[] = {
        {{NULL},                                                             "a noun and a verb are wanted; try: volaryctl --help"                 },
        {{"account", NULL},                                                  "a verb is wanted; try: volaryctl account --help"                     },
        {{"bogus", NULL},                                                    "'bogus' is not something that volaryctl knows; try: volaryctl --help"},
        {{"account", "bogus", NULL},
         "'bogus' is not something to do with 'account'; try: volaryctl account --help"                                                            },
        {{"-rf", NULL},                                                      "'-rf' is not an option; try: volaryctl --help"                       },
        {{"account", "show", NULL},                                          "account show wants NAME; try: volaryctl account show --help"         },
        {{"account", "show", "a", "b", NULL},
         "'b' is one argument too many; try: volaryctl account show --help"                                                                        },
        {{"account", "show", "", NULL},
         "'' is empty where a name is wanted; try: volaryctl account show --help"                                                                  },
        {{"alias", "create", "a", NULL},
         "alias create wants ALIAS TARGET...; try: volaryctl alias create --help"                                                                  },
        {{"account", "list", "--limit", NULL},
         "'--limit' needs a value; try: volaryctl account list --help"                                                                             },
        {{"account", "list", "--yes=1", NULL},
         "'--yes=1' takes no value; try: volaryctl account list --help"                                                                            },
        {{"account", "list", "--label", "x", NULL},
         "'--label' is no option of this command; try: volaryctl account list --help"                                                              },
        {{"account", "list", "--dry-run", NULL},
         "'--dry-run' is no option of this command; try: volaryctl account list --help"                                                            },
        {{"account", "list", "--limit=1", "--limit=2", NULL},
         "'--limit' is given twice; try: volaryctl account list --help"                                                                            },
        {{"account", "list", "--output", "xml", NULL},
         "'xml' is no form of output: table or json; try: volaryctl account list --help"                                                           },
        {{"account", "show", "a\xff", NULL},
         "'a\xef\xbf\xbd' is not UTF-8; try: volaryctl account show --help"                                                                        },
        {{"\x1b[2J", NULL},                                                  "'?[2J' is not something that volaryctl knows; try: volaryctl --help" },
        {{"account", "create", "a", "--generate", "--password-stdin", NULL},
         "'--generate' contradicts --password-stdin; try: volaryctl account create --help"                                                         },
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        assert_int_equal(parse(f, rows[i].words).code, VY_CODE_ARGUMENT);
        assert_string_equal(problem_of(f), rows[i].problem);
    }
}

/* There is no option that takes a password: it would be seen by every user of the machine. */
static void secrets_are_no_arguments(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(PARSE(f, "account", "create", "a@b.test", "--password", "x").code,
                     VY_CODE_ARGUMENT);
    for (size_t i = 0; i < CTL_OPTION_COUNT; i++) {
        const bool is_about_one = strstr(ctl_options[i].name, "password") != NULL;
        assert_false(is_about_one && ctl_options[i].value != NULL);
    }
}

static void a_hundred_thousand_arguments_are_refused_at_the_limit(void **state)
{
    struct fixture *f = *state;
    const int count = 100000;
    char **argv = calloc((size_t)count, sizeof(*argv));
    char words[][12] = {"volaryctl", "alias", "create", "a@b.test"};
    assert_non_null(argv);
    for (int i = 0; i < count; i++) {
        argv[i] = words[i < 3 ? i : 3];
    }
    assert_int_equal(ctl_args_parse(count, argv, &f->args, &f->problem).code, VY_CODE_ARGUMENT);
    assert_int_equal(f->args.word_count, CTL_WORDS_MAX);
    vy_buf_reset(&f->problem);
    assert_false(vy_failed(ctl_args_parse((int)CTL_WORDS_MAX + 3, argv, &f->args, &f->problem)));
    assert_int_equal(ctl_args_parse((int)CTL_WORDS_MAX + 4, argv, &f->args, &f->problem).code,
                     VY_CODE_ARGUMENT);
    free(argv);
}

static void help_is_given_at_every_depth(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *words[4];
        const char *expected;
    } rows[] = {
        {{"--help", NULL},                "Usage: volaryctl NOUN VERB"          },
        {{"help", NULL},                  "Usage: volaryctl NOUN VERB"          },
        {{"account", "-h", NULL},         "Usage: volaryctl account VERB"       },
        {{"account", "create", "--help"}, "Usage: volaryctl account create NAME"},
        {{"member", "add", "--help"},     "Usage: volaryctl member add NODE"    },
        {{"help", "account", "create"},   "volaryctl account create ada@example"},
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct vy_buf help;
        vy_buf_init(&help, 256U * 1024);
        assert_false(vy_failed(parse(f, rows[i].words)));
        assert_int_equal(f->args.ask, CTL_ASK_HELP);
        ctl_args_write_help(&f->args, &help);
        vy_buf_append_byte(&help, 0);
        assert_non_null(strstr((const char *)vy_buf_bytes(&help).data, rows[i].expected));
        vy_buf_deinit(&help);
    }
    assert_false(vy_failed(PARSE(f, "--version")));
    assert_int_equal(f->args.ask, CTL_ASK_VERSION);
}

/* Whoever adds a row and mistypes a method or a field finds out here. */
static void every_row_of_the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < ctl_command_count; i++) {
        const struct ctl_command *command = &ctl_commands[i];
        const struct vy_pb_method *method = ctl_command_method(command);
        assert_ptr_equal(ctl_command_find(vy_cstr(command->noun), vy_cstr(command->verb)), command);
        assert_true(strlen(command->examples) > 0 && strlen(command->summary) > 0);
        assert_int_equal(method == NULL, command->service == NULL);
        if (method == NULL) {
            continue;
        }
        const struct vy_pb_desc *desc = method->reply;
        assert_non_null(command->build);
        if (command->list != NULL) {
            assert_non_null(ctl_field_find(desc, command->list));
        }
        if (command->shape != CTL_RECORD && command->list != NULL) {
            desc = ctl_field_find(desc, command->list)->desc;
        }
        for (size_t k = 0; command->columns != NULL && command->columns[k].field != NULL; k++) {
            assert_non_null(ctl_field_find(desc, command->columns[k].field));
        }
    }
    /* Every method of the API has a command. */
    for (size_t i = 0; i < admin_method_count; i++) {
        bool is_used = strncmp(admin_methods[i].method, "PrepareDelete", 13) == 0 || /* DELETION */
                       strcmp(admin_methods[i].method, "GetCheckpoint") == 0;        /* LINES */
        for (size_t k = 0; k < ctl_command_count; k++) {
            is_used = is_used || ctl_command_method(&ctl_commands[k]) == &admin_methods[i];
        }
        assert_true(is_used);
    }
}

static void sizes_have_binary_units(void **state)
{
    (void)state;
    static const struct {
        struct vy_bytes text;
        bool is_good;
        uint64_t bytes;
    } rows[] = {
        {VY_LIT("0"),           true,  0                },
        {VY_LIT("1536"),        true,  1536             },
        {VY_LIT("7B"),          true,  7                },
        {VY_LIT("10GiB"),       true,  10ULL << 30      },
        {VY_LIT("16777215TiB"), true,  16777215ULL << 40},
        {VY_LIT("16777216TiB"), false, 0                },
        {VY_LIT("10GB"),        false, 0                },
        {VY_LIT("-1"),          false, 0                },
        {VY_LIT("1.5GiB"),      false, 0                },
        {VY_LIT(""),            false, 0                },
        {VY_LIT("GiB"),         false, 0                },
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        uint64_t bytes = 0;
        assert_int_equal(ctl_parse_size(rows[i].text, &bytes), rows[i].is_good);
        assert_true(bytes == rows[i].bytes);
    }
}

static void exit_codes_are_those_of_the_convention(void **state)
{
    (void)state;
    static const struct {
        enum vy_code code;
        int exit_code;
    } rows[] = {
        {VY_CODE_OK,           0},
        {VY_CODE_ARGUMENT,     2},
        {VY_CODE_NOT_FOUND,    3},
        {VY_CODE_EXISTS,       4},
        {VY_CODE_PRECONDITION, 4},
        {VY_CODE_DENIED,       5},
        {VY_CODE_AUTH,         5},
        {VY_CODE_UNAVAILABLE,  6},
        {VY_CODE_NOT_LEADER,   6},
        {VY_CODE_UNKNOWN,      6},
        {VY_CODE_INTERNAL,     1},
        {VY_CODE_UNSUPPORTED,  1},
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        assert_int_equal(ctl_exit_code(vy_code_grpc_status(rows[i].code)), rows[i].exit_code);
    }
    assert_int_equal(ctl_exit_code(17), 1);
    assert_int_equal(ctl_exit_code(-1), 1);
}

static void times_are_dates_or_spans(void **state)
{
    static const uint64_t now_ms = 1795771713000; /* 2026-11-27T09:28:33Z */
    static const struct {
        const char *text;
        uint64_t ms; /* 0: none */
    } rows[] = {
        {"90s",                  now_ms - 90000    },
        {"15m",                  now_ms - 900000   },
        {"2h",                   now_ms - 7200000  },
        {"7d",                   now_ms - 604800000},
        {"2026-11-27",           1795737600000     },
        {"2026-11-27T09:28:33Z", now_ms            },
        {"2024-02-29T00:00:00Z", 1709164800000     },
        {"2000-03-01",           951868800000      },
        {"",                     0                 },
        {"2",                    0                 },
        {"h",                    0                 },
        {"-2h",                  0                 },
        {"2w",                   0                 },
        {"2026-13-01",           0                 },
        {"2026-11-27T09:28",     0                 },
        {"2026-11-27T24:00:00Z", 0                 },
        {"2026/11/27",           0                 },
        {"yesterday",            0                 },
    };
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        uint64_t ms = 0;
        assert_int_equal(ctl_parse_since(vy_cstr(rows[i].text), now_ms, &ms), rows[i].ms != 0);
        assert_int_equal(ms, rows[i].ms);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_dates_or_spans),
        TEST(options_may_stand_anywhere),
        TEST(names_may_look_like_options_behind_two_dashes),
        TEST(what_is_wrong_is_said_with_what_to_try),
        TEST(secrets_are_no_arguments),
        TEST(a_hundred_thousand_arguments_are_refused_at_the_limit),
        TEST(help_is_given_at_every_depth),
        TEST(every_row_of_the_table_is_sound),
        TEST(sizes_have_binary_units),
        TEST(exit_codes_are_those_of_the_convention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
