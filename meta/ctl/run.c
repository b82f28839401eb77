/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/ctl/run.h"

#include "base/assert.h"
#include "meta/ctl/prompt.h"
#include "meta/ctl/run_private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define REQUEST_BYTES_MAX (4U * 1024 * 1024)
#define OUTPUT_BYTES_MAX (256U * 1024 * 1024) /* of one page as text */
#define ARENA_BYTES_MAX (1024U * 1024 * 1024) /* a table holds all its rows */
#define PAGE_ROWS 1000U
#define TIMEOUT_S_DEFAULT 30U
#define TIMEOUT_S_MAX 3600U
#define SAID_CHARS_MAX 1000U
#define LOCAL_SOCKET "volary-data/admin.sock"
#define DEFAULT_SERVER "unix:/run/volary/admin.sock"

/* ---- saying what went wrong ---- */

void ctl_say_error(FILE *err, struct vy_bytes what, struct vy_bytes why, const char *command,
                   const char *code)
{
    struct vy_buf line;
    vy_buf_init(&line, 16U * 1024);
    vy_buf_append_cstr(&line, "error: ");
    ctl_append_clean(&line, what, SAID_CHARS_MAX);
    if (why.len > 0) {
        vy_buf_append_cstr(&line, "; ");
        ctl_append_clean(&line, why, SAID_CHARS_MAX);
    }
    if (command != NULL) {
        vy_buf_printf(&line, "; try: %s", command);
    }
    vy_buf_printf(&line, " (%s)\n", code);
    (void)fwrite(vy_buf_bytes(&line).data, 1, vy_buf_len(&line), err);
    (void)fflush(err);
    vy_buf_deinit(&line);
}

int ctl_work_fail_usage(struct ctl_work *work)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "volaryctl %s %s --help", work->command->noun,
                   work->command->verb);
    ctl_say_error(work->run->err, vy_buf_bytes(&work->problem), vy_bytes(NULL, 0), command,
                  "USAGE");
    return CTL_EXIT_USAGE;
}

int ctl_work_fail_err(struct ctl_work *work, struct vy_err err)
{
    ctl_say_error(work->run->err, vy_cstr(err.what == NULL ? "failed" : err.what),
                  vy_cstr(vy_code_text(err.code)), NULL, vy_code_name(err.code));
    return CTL_EXIT_FAILURE;
}

/* The noun whose list shows what there is: of things that belong to an account, the accounts. */
static const char *listed_noun(const struct ctl_command *command)
{
    const struct ctl_command *list = ctl_command_find(vy_cstr(command->noun), VY_LIT("list"));
    return list != NULL && list->params[0] == '\0' ? command->noun : "account";
}

#define STATUS_EXHAUSTED 8
#define STATUS_PRECONDITION 9
#define STATUS_UNAUTHENTICATED 16

/* False: what helps others helps here too. */
static bool hint_for_factor(const struct ctl_work *work, int status, char *out, size_t size)
{
    switch (status) {
    case STATUS_EXHAUSTED:
        (void)snprintf(out, size, "the same command after that time");
        return true;
    case STATUS_PRECONDITION:
        (void)snprintf(out, size, "volaryctl factor list %.*s",
                       VY_PRI(vy_bytes_slice(work->run->args->words[0], 0, 100)));
        return true;
    case STATUS_UNAUTHENTICATED:
        (void)snprintf(out, size, "the same command with the next code");
        return true;
    default:
        return false;
    }
}

/* Where one sees what there is. */
static void hint_for_missing(const struct ctl_work *work, int exit_code, char *out, size_t size)
{
    const bool is_create = strcmp(work->command->verb, "create") == 0;
    if (strcmp(work->command->noun, "account") == 0 && is_create && exit_code == 3) {
        (void)snprintf(out, size, "volaryctl domain list");
    } else if (strcmp(work->command->noun, "apppassword") == 0 &&
               strcmp(work->command->verb, "delete") == 0) {
        (void)snprintf(out, size, "volaryctl apppassword list %.*s",
                       VY_PRI(vy_bytes_slice(work->run->args->words[0], 0, 100)));
    } else {
        (void)snprintf(out, size, "volaryctl %s list", listed_noun(work->command));
    }
}

/* What may help, by the kind of failure. */
static void hint_for(const struct ctl_work *work, int status, char *out, size_t size)
{
    if (strcmp(work->command->noun, "factor") == 0 && hint_for_factor(work, status, out, size)) {
        return;
    }
    switch (ctl_exit_code(status)) {
    case 2:
        (void)snprintf(out, size, "volaryctl %s %s --help", work->command->noun,
                       work->command->verb);
        break;
    case 3:
    case 4:
        hint_for_missing(work, ctl_exit_code(status), out, size);
        break;
    case 5:
        (void)snprintf(out, size,
                       "--server unix:PATH on the machine of a member, or "
                       "--tls-certificate of an administrator");
        break;
    case 6:
        (void)snprintf(out, size, "the same command again; it is safe to repeat");
        break;
    default:
        (void)snprintf(out, size, "volaryctl cluster status");
        break;
    }
}

int ctl_work_fail_answer(struct ctl_work *work, const struct ctl_answer *answer)
{
    const int exit_code = ctl_exit_code(answer->status);
    char what[128];
    char hint[160];
    (void)snprintf(what, sizeof(what), "%s %s failed", work->command->noun, work->command->verb);
    hint_for(work, answer->status, hint, sizeof(hint));
    ctl_say_error(work->run->err, vy_cstr(what), vy_buf_bytes(&answer->message), hint,
                  ctl_status_name(answer->status));
    return exit_code;
}

/* ---- stdout ---- */

int ctl_work_flush_text(struct ctl_work *work)
{
    const struct vy_bytes text = vy_buf_bytes(&work->text);
    const struct vy_err err = vy_buf_error(&work->text);
    if (vy_failed(err)) {
        return ctl_work_fail_err(work, err);
    }
    if (fwrite(text.data, 1, text.len, work->run->out) != text.len || fflush(work->run->out) != 0) {
        if (errno != EPIPE || ctl_command_writes(work->command)) {
            ctl_say_error(work->run->err, VY_LIT("standard output cannot be written"),
                          vy_cstr(strerror(errno)), NULL, "IO");
        }
        return CTL_EXIT_FAILURE;
    }
    vy_wipe(work->text.data, work->text.capacity); /* a password, perhaps */
    vy_buf_reset(&work->text);
    return CTL_EXIT_OK;
}

/* A secret that nobody can see must not be made (C11). */
static bool can_show(const struct ctl_run *run)
{
    const int flags = fcntl(fileno(run->out), F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) {
        return true;
    }
    ctl_say_error(run->err, VY_LIT("nothing was done"), VY_LIT("standard output is closed"), NULL,
                  "IO");
    return false;
}

/* ---- asking ---- */

/* Encodes the request anew (a page has moved on) and asks. */
static int ask(struct ctl_work *work, struct ctl_answer *answer)
{
    void *request = vy_arena_alloc(&work->page_arena, work->method->request->struct_bytes);
    struct vy_buf bytes;
    if (request == NULL) {
        return ctl_work_fail_err(work, vy_error(VY_CODE_NOMEM, "request"));
    }
    const struct vy_err built = work->command->build(&work->build, request);
    if (vy_failed(built)) {
        return built.code == VY_CODE_ARGUMENT ? ctl_work_fail_usage(work)
                                              : ctl_work_fail_err(work, built);
    }
    vy_buf_init(&bytes, REQUEST_BYTES_MAX);
    const struct vy_err err = vy_pb_encode(work->method->request, request, &bytes);
    if (!vy_failed(err)) {
        ctl_client_call(&work->client, work->method, vy_buf_bytes(&bytes), answer);
    }
    if (bytes.data != NULL) {
        vy_wipe(bytes.data, bytes.capacity);
    }
    vy_buf_deinit(&bytes);
    if (vy_failed(err)) {
        return ctl_work_fail_err(work, err);
    }
    return answer->status == 0 ? CTL_EXIT_OK : ctl_work_fail_answer(work, answer);
}

/* *out lives in the page's arena and the answer. */
int ctl_work_ask_decoded(struct ctl_work *work, struct ctl_answer *answer, void **out)
{
    vy_arena_reset(&work->page_arena);
    const int exit_code = ask(work, answer);
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    void *reply = vy_arena_alloc(&work->page_arena, work->method->reply->struct_bytes);
    const struct vy_err err = reply == NULL ? vy_error(VY_CODE_NOMEM, "answer")
                                            : vy_pb_decode(work->method->reply, &work->page_arena,
                                                           vy_buf_bytes(&answer->reply), reply);
    if (vy_failed(err)) {
        return ctl_work_fail_err(work, err);
    }
    *out = reply;
    return CTL_EXIT_OK;
}

/* ---- showing ---- */

static int ctl_work_show_record(struct ctl_work *work, const void *reply)
{
    const struct vy_pb_desc *desc = work->method->reply;
    if (work->is_json) {
        ctl_json_message(&work->json, desc, reply);
        vy_buf_append_byte(&work->text, '\n');
        return ctl_work_flush_text(work);
    }
    const struct vy_err err = ctl_table_add(&work->table, desc, reply);
    if (vy_failed(err)) {
        return ctl_work_fail_err(work, err);
    }
    ctl_table_write_record(&work->table, &work->text);
    return ctl_work_flush_text(work);
}

static struct vy_err add_line(struct ctl_work *work, const struct vy_pb_desc *desc, const void *row)
{
    const struct vy_pb_field *sequence = ctl_field_find(desc, "sequence");
    const size_t start = vy_buf_len(&work->text);
    struct ctl_json line;
    ctl_json_init(&line, &work->text, /* is_compact = */ true);
    ctl_json_message(&line, desc, row);
    vy_buf_append_byte(&work->text, '\n');
    VY_TRY(vy_buf_error(&work->text));
    if (sequence != NULL) {
        ctl_work_add_line(work, vy_bytes_from(vy_buf_bytes(&work->text), start),
                          ctl_field_u64(sequence, row));
    }
    return vy_ok();
}

static struct vy_err add_row(struct ctl_work *work, const struct vy_pb_desc *desc, const void *row)
{
    work->row_count++;
    if (work->command->shape == CTL_LINES && !work->is_json) {
        return add_line(work, desc, row);
    }
    if (work->is_json) {
        ctl_json_message(&work->json, desc, row);
        return vy_ok();
    }
    return ctl_table_add(&work->table, desc, row);
}

static int add_rows(struct ctl_work *work, const void *reply)
{
    const struct vy_pb_field *list = ctl_field_find(work->method->reply, work->command->list);
    VY_ASSERT(list != NULL && list->repeated);
    const size_t count = ctl_field_count(list, reply);
    for (size_t i = 0; i < count && work->rows_left > 0; i++) {
        const struct vy_err err = add_row(work, list->desc, ctl_field_item(list, reply, i));
        if (vy_failed(err)) {
            return ctl_work_fail_err(work, err);
        }
        work->rows_left--;
    }
    /* Tables are written at the end: their widths are not known before. */
    return vy_buf_len(&work->text) > 0 ? ctl_work_flush_text(work) : CTL_EXIT_OK;
}

/* Moves build.page behind this answer. False: there is no more. */
static bool go_on(struct ctl_work *work, const void *reply)
{
    const struct vy_pb_field *next = ctl_field_find(work->method->reply, "next");
    const struct vy_pb_field *sequence = ctl_field_find(work->method->reply, "next_sequence");
    if (work->rows_left == 0) {
        return false;
    }
    if (next != NULL) {
        const struct vy_bytes after = ctl_field_bytes(next, reply);
        return after.len > 0 &&
               !vy_failed(vy_arena_dup(&work->arena, after, &work->build.page.after));
    }
    const uint64_t from = sequence == NULL ? 0 : ctl_field_u64(sequence, reply);
    const bool is_more = from > work->build.from_sequence;
    work->build.from_sequence = from;
    return is_more;
}

static int end_list(struct ctl_work *work)
{
    if (work->is_json) {
        ctl_json_end_array(&work->json);
        vy_buf_append_byte(&work->text, '\n');
    } else if (work->command->shape != CTL_LINES) {
        ctl_table_write(&work->table, &work->text);
    } else {
        return ctl_work_end_export(work);
    }
    return ctl_work_flush_text(work);
}

static int run_list(struct ctl_work *work)
{
    bool is_more = true;
    int exit_code = CTL_EXIT_OK;
    if (work->is_json) {
        ctl_json_begin_array(&work->json);
    }
    while (is_more && exit_code == CTL_EXIT_OK) {
        struct ctl_answer answer;
        void *reply = NULL;
        ctl_answer_init(&answer);
        work->build.page.limit = (uint32_t)VY_MIN(work->rows_left, PAGE_ROWS);
        exit_code = ctl_work_ask_decoded(work, &answer, &reply);
        if (exit_code == CTL_EXIT_OK) {
            exit_code = add_rows(work, reply);
            is_more = go_on(work, reply);
        }
        ctl_answer_deinit(&answer);
    }
    return exit_code == CTL_EXIT_OK ? end_list(work) : exit_code;
}

/* What an object has in a list of its own: the members of a cluster, the steps of a job. */
static int show_rows_below(struct ctl_work *work, const void *reply)
{
    const struct ctl_command *member_list = ctl_command_find(VY_LIT("member"), VY_LIT("list"));
    const struct vy_pb_field *list = ctl_field_find(work->method->reply, work->command->list);
    struct ctl_table table;
    ctl_table_init(&table,
                   list->desc == &admin_job_step_desc ? ctl_step_columns : member_list->columns,
                   false, &work->page_arena);
    for (size_t i = 0; i < ctl_field_count(list, reply); i++) {
        const struct vy_err err = ctl_table_add(&table, list->desc, ctl_field_item(list, reply, i));
        if (vy_failed(err)) {
            return ctl_work_fail_err(work, err);
        }
    }
    vy_buf_append_byte(&work->text, '\n');
    ctl_table_write(&table, &work->text);
    return ctl_work_flush_text(work);
}

int ctl_work_show_one(struct ctl_work *work, const void *reply)
{
    const struct vy_pb_field *intact = ctl_field_find(work->method->reply, "intact");
    const struct vy_pb_field *valid = ctl_field_find(work->method->reply, "valid");
    int exit_code = ctl_work_show_record(work, reply);
    if (exit_code == CTL_EXIT_OK && work->command->list != NULL && !work->is_json) {
        exit_code = show_rows_below(work, reply);
    }
    if (exit_code == CTL_EXIT_OK && intact != NULL && ctl_field_u64(intact, reply) == 0) {
        const struct vy_pb_field *reason = ctl_field_find(work->method->reply, "reason");
        ctl_say_error(work->run->err, VY_LIT("the audit chain is broken"),
                      reason == NULL ? vy_bytes(NULL, 0) : ctl_field_bytes(reason, reply), NULL,
                      "DATA_LOSS");
        exit_code = CTL_EXIT_CHECK;
    }
    if (exit_code == CTL_EXIT_OK && valid != NULL && ctl_field_u64(valid, reply) == 0) {
        const struct vy_pb_field *reason = ctl_field_find(work->method->reply, "reason");
        const bool is_code = work->method->reply == &admin_verify_factor_reply_desc;
        ctl_say_error(
            work->run->err,
            is_code ? VY_LIT("the code does not hold") : VY_LIT("the certificate does not hold"),
            ctl_field_bytes(reason, reply), NULL, is_code ? "UNAUTHENTICATED" : "DATA_LOSS");
        exit_code = CTL_EXIT_CHECK;
    }
    return exit_code;
}

bool ctl_work_was_checked(const struct ctl_work *work)
{
    if (work->write.validate_only) {
        fprintf(work->run->err, "checked: this would be done; nothing was changed\n");
    }
    return work->write.validate_only;
}

static int run_one(struct ctl_work *work)
{
    struct ctl_answer answer;
    void *reply = NULL;
    ctl_answer_init(&answer);
    int exit_code = ctl_work_ask_decoded(work, &answer, &reply);
    if (exit_code == CTL_EXIT_OK) {
        (void)ctl_work_was_checked(work);
    }
    if (exit_code == CTL_EXIT_OK && work->command->shape != CTL_NOTHING) {
        exit_code = ctl_work_show_one(work, reply);
    } else if (exit_code == CTL_EXIT_OK && work->is_json) {
        vy_buf_append_cstr(&work->text, "{}\n");
        exit_code = ctl_work_flush_text(work);
    }
    ctl_answer_deinit(&answer);
    return exit_code;
}

/* ---- preparing ---- */

/* An option, else a variable, else the default. */
static struct vy_bytes setting(const struct ctl_work *work, enum ctl_option option,
                               const char *variable)
{
    const char *from_environment = getenv(variable);
    if (work->run->args->has[option]) {
        return work->run->args->values[option];
    }
    return from_environment == NULL ? vy_bytes(NULL, 0) : vy_cstr(from_environment);
}

static const char *path_setting(struct ctl_work *work, enum ctl_option option, const char *variable)
{
    const struct vy_bytes text = setting(work, option, variable);
    return text.len == 0 ? NULL : vy_arena_cstr(&work->arena, text);
}

static struct vy_bytes servers_of(const struct ctl_work *work)
{
    const struct vy_bytes named = setting(work, CTL_OPTION_SERVER, "VOLARY_SERVER");
    if (named.len > 0) {
        return named;
    }
    return access(LOCAL_SOCKET, F_OK) == 0 ? VY_LIT("unix:" LOCAL_SOCKET) : VY_LIT(DEFAULT_SERVER);
}

static struct vy_err read_number(struct ctl_work *work, enum ctl_option option, uint64_t max,
                                 uint64_t *out)
{
    const struct vy_bytes text = work->run->args->values[option];
    uint64_t value = 0;
    if (!work->run->args->has[option]) {
        return vy_ok();
    }
    if (!vy_parse_u64(text, &value) || value == 0 || value > max) {
        vy_buf_printf(&work->problem, "%s wants a number from 1 to %llu, not '",
                      ctl_options[option].name, (unsigned long long)max);
        ctl_append_clean(&work->problem, text, 40);
        vy_buf_append_byte(&work->problem, '\'');
        return vy_error(VY_CODE_ARGUMENT, "number");
    }
    *out = value;
    return vy_ok();
}

static struct vy_err prepare_client(struct ctl_work *work)
{
    uint64_t timeout_s = TIMEOUT_S_DEFAULT;
    VY_TRY(read_number(work, CTL_OPTION_TIMEOUT, TIMEOUT_S_MAX, &timeout_s));
    const struct ctl_client_config config = {
        .servers = servers_of(work),
        .tls_ca = path_setting(work, CTL_OPTION_TLS_CA, "VOLARY_TLS_CA"),
        .tls_certificate = path_setting(work, CTL_OPTION_TLS_CERTIFICATE, "VOLARY_TLS_CERTIFICATE"),
        .tls_key = path_setting(work, CTL_OPTION_TLS_KEY, "VOLARY_TLS_KEY"),
        .timeout_ms = (uint32_t)timeout_s * 1000,
        .clock = work->run->clock};
    const struct vy_err err = ctl_client_init(&work->client, &config, &work->arena);
    if (err.code == VY_CODE_ARGUMENT) {
        vy_buf_append_cstr(&work->problem, err.what);
    }
    return err;
}

/* From the command line, or as a line of standard input: a code there is nobody else's to see. */
static struct vy_err read_code(struct ctl_work *work)
{
    const struct ctl_args *args = work->run->args;
    if (strstr(work->command->params, "[CODE]") == NULL || args->has[CTL_OPTION_OVERRIDE]) {
        return vy_ok();
    }
    if (args->word_count > 1) {
        work->build.code = args->words[1];
        return vy_ok();
    }
    VY_TRY(ctl_prompt_code(work->run, &work->code));
    work->build.code = vy_secret_bytes(work->code);
    return vy_ok();
}

static struct vy_err prepare(struct ctl_work *work)
{
    const struct ctl_args *args = work->run->args;
    VY_TRY(prepare_client(work));
    work->rows_left = UINT64_MAX;
    VY_TRY(read_number(work, CTL_OPTION_LIMIT, UINT64_MAX, &work->rows_left));
    VY_TRY(read_number(work, CTL_OPTION_FROM, UINT64_MAX, &work->build.from_sequence));
    vy_rng_fill(work->run->rng, work->operation_id, sizeof(work->operation_id));
    work->write = (struct admin_write_options){
        .operation_id = vy_bytes(work->operation_id, sizeof(work->operation_id)),
        .validate_only = args->has[CTL_OPTION_DRY_RUN],
        .reason = args->values[CTL_OPTION_REASON]};
    work->build.args = args;
    work->build.arena = &work->arena;
    work->build.write = &work->write;
    work->build.now_ms = vy_clock_wall_ms(work->run->clock);
    work->build.problem = &work->problem;
    if (args->has[CTL_OPTION_PASSWORD_STDIN]) {
        VY_TRY(ctl_prompt_password(work->run, &work->password, &work->problem));
        work->build.password = vy_secret_bytes(work->password);
    }
    VY_TRY(read_code(work));
    if (work->command->columns != NULL) {
        ctl_table_init(&work->table, work->command->columns, args->has[CTL_OPTION_BYTES],
                       &work->arena);
    }
    ctl_json_init(&work->json, &work->text, /* is_compact = */ false);
    return vy_ok();
}

static int run_work(struct ctl_work *work)
{
    const struct vy_err err = prepare(work);
    int exit_code = CTL_EXIT_OK;
    if (vy_failed(err)) {
        return err.code == VY_CODE_ARGUMENT ? ctl_work_fail_usage(work)
                                            : ctl_work_fail_err(work, err);
    }
    switch (work->command->shape) {
    case CTL_LIST:
    case CTL_LINES:
    case CTL_PART:
        return run_list(work);
    case CTL_RECORD:
    case CTL_NOTHING:
        return run_one(work);
    case CTL_CHAIN:
        return work->run->args->word_count > 0 ? ctl_work_verify_export(work) : run_one(work);
    case CTL_CHECK:
        exit_code = ctl_work_read_file(work);
        if (exit_code == CTL_EXIT_OK) {
            exit_code =
                work->run->args->has[CTL_OPTION_KEY] ? ctl_work_verify_here(work) : run_one(work);
        }
        return exit_code;
    case CTL_DELETION:
        return ctl_work_delete(work);
    case CTL_DOMAIN_DELETION:
        return ctl_work_delete_domain(work);
    case CTL_JOB:
        return ctl_work_watch(work);
    case CTL_SECRET:
        return ctl_work_enroll(work);
    case CTL_CODES:
        return ctl_work_show_codes(work);
    case CTL_MEMBER:
        return ctl_work_member(work);
    }
    return CTL_EXIT_FAILURE;
}

int ctl_run(const struct ctl_run *run)
{
    struct ctl_work work = {.run = run,
                            .command = run->args->command,
                            .method = ctl_command_method(run->args->command),
                            .is_json = ctl_args_is_json(run->args)};
    if (work.method == NULL) {
        char what[96];
        (void)snprintf(what, sizeof(what), "%s %s is not in this version", work.command->noun,
                       work.command->verb);
        ctl_say_error(run->err, vy_cstr(what), VY_LIT("nothing was done"), "volaryctl --help",
                      "UNIMPLEMENTED");
        return CTL_EXIT_FAILURE;
    }
    if (!can_show(run)) {
        return CTL_EXIT_FAILURE;
    }
    if (!ctl_prompt_confirm(run)) {
        return CTL_EXIT_REFUSED;
    }
    vy_arena_init(&work.arena, ARENA_BYTES_MAX);
    vy_arena_init(&work.page_arena, ARENA_BYTES_MAX);
    vy_buf_init(&work.problem, 4096);
    vy_buf_init(&work.text, OUTPUT_BYTES_MAX);
    const int exit_code = run_work(&work);
    ctl_client_deinit(&work.client);
    EVP_MD_CTX_free(work.lines);
    vy_secret_free(work.password);
    vy_secret_free(work.code);
    vy_buf_deinit(&work.text);
    vy_buf_deinit(&work.problem);
    vy_arena_deinit(&work.page_arena);
    vy_arena_deinit(&work.arena);
    return exit_code;
}
