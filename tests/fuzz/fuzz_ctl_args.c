/* SPDX-License-Identifier: Apache-2.0 */
/* volaryctl's command line (C11): arguments with NUL between them. Parsed, refused with words that
 * cannot command a terminal, or turned into the request of their command. */
#include "base/assert.h"
#include "base/codec.h"
#include "meta/ctl/args.h"
#include "meta/ctl/json.h"
#include <stdlib.h>

#define ARGUMENTS_MAX 64U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_words(struct vy_bytes text)
{
    VY_ASSERT(text.len > 0 && vy_utf8_is_valid(text));
    for (size_t i = 0; i < text.len; i++) {
        VY_ASSERT(text.data[i] >= 0x20 && text.data[i] != 0x7F);
    }
}

static void build(const struct ctl_args *args, struct vy_buf *problem)
{
    const struct vy_pb_method *method = ctl_command_method(args->command);
    const struct admin_write_options write = {.validate_only = true};
    struct vy_arena arena;
    struct vy_buf bytes;
    if (method == NULL) {
        return;
    }
    vy_arena_init(&arena, 1024U * 1024);
    vy_buf_init(&bytes, 1024U * 1024);
    struct ctl_build with = {
        .args = args, .arena = &arena, .write = &write, .now_ms = 1, .problem = problem};
    void *request = vy_arena_alloc(&arena, method->request->struct_bytes);
    VY_ASSERT(request != NULL);
    if (vy_failed(args->command->build(&with, request))) {
        check_words(vy_buf_bytes(problem));
    } else {
        VY_ASSERT(!vy_failed(vy_pb_encode(method->request, request, &bytes)));
        struct ctl_json json;
        vy_buf_reset(&bytes);
        ctl_json_init(&json, &bytes, /* is_compact = */ true);
        ctl_json_message(&json, method->request, request);
        check_words(vy_buf_bytes(&bytes));
    }
    vy_buf_deinit(&bytes);
    vy_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ctl_args args;
    char *argv[ARGUMENTS_MAX + 1];
    int argc = 1;
    struct vy_buf problem;
    char *text = calloc(1, size + 1);
    VY_ASSERT(text != NULL);
    memcpy(text, data, size);
    argv[0] = text;
    for (size_t at = 0; at < size && argc < (int)ARGUMENTS_MAX; at += strlen(text + at) + 1) {
        argv[argc++] = text + at;
    }
    vy_buf_init(&problem, 4096);
    if (vy_failed(ctl_args_parse(argc, argv, &args, &problem))) {
        check_words(vy_buf_bytes(&problem));
    } else if (args.ask == CTL_ASK_RUN) {
        build(&args, &problem);
    } else {
        struct vy_buf help;
        vy_buf_init(&help, 256U * 1024);
        ctl_args_write_help(&args, &help);
        VY_ASSERT(vy_buf_len(&help) > 0 && !vy_failed(vy_buf_error(&help)));
        vy_buf_deinit(&help);
    }
    vy_buf_deinit(&problem);
    free(text);
    return 0;
}
