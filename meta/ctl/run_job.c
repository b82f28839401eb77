/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that take more than one call: deleting with its confirmation, following a job. */
#include "base/assert.h"
#include "meta/ctl/run_private.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define FILE_BYTES_MAX 65536U
#define LOOK_MS 100           /* between two looks at a job */
#define WAIT_MS (600U * 1000) /* without --timeout */

/* ---- a file ---- */

static struct vy_err read_all(struct ctl_work *work, int fd, struct vy_bytes *out)
{
    uint8_t *bytes = vy_arena_alloc(&work->arena, FILE_BYTES_MAX);
    size_t len = 0;
    ssize_t got = 1;
    if (bytes == NULL) {
        return vy_error(VY_CODE_NOMEM, "file");
    }
    while (got != 0 && len < FILE_BYTES_MAX) {
        got = read(fd, bytes + len, FILE_BYTES_MAX - len);
        if (got < 0 && errno != EINTR) {
            return vy_error_sys(VY_CODE_IO, errno, "the file cannot be read");
        }
        len += got > 0 ? (size_t)got : 0;
    }
    *out = vy_bytes(bytes, len);
    return len < FILE_BYTES_MAX ? vy_ok() : vy_error(VY_CODE_LIMIT, "the file is too long");
}

int ctl_work_read_file(struct ctl_work *work)
{
    return ctl_work_read_path(work, work->run->args->words[0], &work->build.file);
}

int ctl_work_read_path(struct ctl_work *work, struct vy_bytes name, struct vy_bytes *out)
{
    const char *path = vy_arena_cstr(&work->arena, name);
    const int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        ctl_say_error(work->run->err, name, vy_cstr(strerror(errno)), NULL, "IO");
        return CTL_EXIT_FAILURE;
    }
    const struct vy_err err = read_all(work, fd, out);
    (void)close(fd);
    return vy_failed(err) ? ctl_work_fail_err(work, err) : CTL_EXIT_OK;
}

/* ---- another method on the way ---- */

int ctl_work_ask_other(struct ctl_work *work, const struct vy_pb_method *method,
                       const void *request, struct ctl_answer *answer, void *reply)
{
    struct vy_buf bytes;
    vy_buf_init(&bytes, FILE_BYTES_MAX);
    struct vy_err err = vy_pb_encode(method->request, request, &bytes);
    if (!vy_failed(err)) {
        ctl_client_call(&work->client, method, vy_buf_bytes(&bytes), answer);
    }
    vy_buf_deinit(&bytes);
    if (!vy_failed(err) && answer->status != 0) {
        return ctl_work_fail_answer(work, answer);
    }
    if (!vy_failed(err)) {
        err = vy_pb_decode(method->reply, &work->page_arena, vy_buf_bytes(&answer->reply), reply);
    }
    return vy_failed(err) ? ctl_work_fail_err(work, err) : CTL_EXIT_OK;
}

const struct vy_pb_method *ctl_work_find_method(const char *method)
{
    for (size_t i = 0; i < admin_method_count; i++) {
        if (strcmp(admin_methods[i].method, method) == 0) {
            return &admin_methods[i];
        }
    }
    return NULL;
}

/* ---- following a job ---- */

static int fail_late(struct ctl_work *work, const char *id)
{
    char hint[64];
    (void)snprintf(hint, sizeof(hint), "volaryctl job watch %s", id);
    ctl_say_error(work->run->err, VY_LIT("the work is not complete yet"),
                  VY_LIT("it goes on by itself"), hint, "DEADLINE_EXCEEDED");
    return ctl_exit_code(4); /* of that code */
}

static uint64_t wait_ms(const struct ctl_work *work)
{
    return work->run->args->has[CTL_OPTION_TIMEOUT] ? work->client.config.timeout_ms : WAIT_MS;
}

/* *out lives in the page's arena and the answer. */
static int follow(struct ctl_work *work, const char *id, struct ctl_answer *answer,
                  struct admin_job *out)
{
    const struct admin_get_job_request request = {.id = vy_cstr(id)};
    const uint64_t end_ms = vy_clock_mono_ms(work->run->clock) + wait_ms(work);
    for (;;) {
        ctl_answer_deinit(answer);
        ctl_answer_init(answer);
        vy_arena_reset(&work->page_arena);
        const int exit_code =
            ctl_work_ask_other(work, ctl_work_find_method("GetJob"), &request, answer, out);
        if (exit_code != CTL_EXIT_OK || vy_bytes_equal(out->state, VY_LIT("done"))) {
            return exit_code;
        }
        if (vy_clock_mono_ms(work->run->clock) >= end_ms) {
            return fail_late(work, id);
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
}

int ctl_work_watch(struct ctl_work *work)
{
    const char *id = vy_arena_cstr(&work->arena, work->run->args->words[0]);
    struct ctl_answer answer;
    struct admin_job job;
    if (id == NULL) {
        return ctl_work_fail_err(work, vy_error(VY_CODE_NOMEM, "id"));
    }
    ctl_answer_init(&answer);
    int exit_code = follow(work, id, &answer, &job);
    if (exit_code == CTL_EXIT_OK) {
        exit_code = ctl_work_show_one(work, &job);
    }
    ctl_answer_deinit(&answer);
    return exit_code;
}

/* ---- deleting: the server says what would go, and confirms with its token (DEL-3) ---- */

static int confirm(struct ctl_work *work)
{
    const struct admin_prepare_delete_request request = {.account = work->run->args->words[0]};
    struct admin_prepare_delete_reply reply;
    struct ctl_answer answer;
    struct vy_err err = vy_ok();
    ctl_answer_init(&answer);
    const int exit_code =
        ctl_work_ask_other(work, ctl_work_find_method("PrepareDelete"), &request, &answer, &reply);
    if (exit_code == CTL_EXIT_OK) {
        err = vy_arena_dup(&work->arena, reply.token, &work->build.token);
    }
    ctl_answer_deinit(&answer);
    return vy_failed(err) ? ctl_work_fail_err(work, err) : exit_code;
}

static void say_empty_aliases(struct ctl_work *work, const struct admin_delete_account_reply *reply)
{
    for (size_t i = 0; i < reply->empty_aliases_count; i++) {
        fprintf(work->run->err, "note: alias %.*s has no target any more\n",
                VY_PRI(reply->empty_aliases[i]));
    }
}

static void say_second_admin(struct ctl_work *work, bool waits)
{
    if (waits) {
        fprintf(work->run->err,
                "note: nothing is deleted yet; another administrator has to run the "
                "same command within 24 hours (delete.second_admin)\n");
    }
}

static void say_pending(struct ctl_work *work, const char *id, const struct admin_job *job)
{
    if (job->pending_members > 0) {
        fprintf(
            work->run->err,
            "note: %u members (of a domain: accounts) are pending; another certificate follows: "
            "volaryctl job show %s\n",
            job->pending_members, id);
    }
}

static int wait_for_certificate(struct ctl_work *work, const char *id)
{
    struct ctl_answer answer;
    struct admin_job job;
    ctl_answer_init(&answer);
    int exit_code = follow(work, id, &answer, &job);
    if (exit_code == CTL_EXIT_OK) {
        vy_buf_append(&work->text, job.certificate);
        say_pending(work, id, &job);
        exit_code = ctl_work_flush_text(work);
    }
    ctl_answer_deinit(&answer);
    return exit_code;
}

static int finish_delete(struct ctl_work *work, const struct admin_delete_account_reply *reply)
{
    const bool waits = work->run->args->has[CTL_OPTION_WAIT] && reply->intent.len > 0;
    const char *id = vy_arena_cstr(&work->arena, reply->intent);
    if (id == NULL) {
        return ctl_work_fail_err(work, vy_error(VY_CODE_NOMEM, "id"));
    }
    say_empty_aliases(work, reply);
    say_second_admin(work, reply->waits_for_second_admin);
    (void)ctl_work_was_checked(work);
    return waits ? wait_for_certificate(work, id) : ctl_work_show_one(work, reply);
}

int ctl_work_delete(struct ctl_work *work)
{
    struct ctl_answer answer;
    void *reply = NULL;
    int exit_code = work->run->args->has[CTL_OPTION_SOFT] ? CTL_EXIT_OK : confirm(work);
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    ctl_answer_init(&answer);
    exit_code = ctl_work_ask_decoded(work, &answer, &reply);
    if (exit_code == CTL_EXIT_OK) {
        exit_code = finish_delete(work, reply);
    }
    ctl_answer_deinit(&answer);
    return exit_code;
}

/* ---- a domain with all that it has (DEL-9) ---- */

static int confirm_domain(struct ctl_work *work)
{
    const struct admin_prepare_delete_domain_request request = {.name = work->run->args->words[0]};
    struct admin_prepare_delete_domain_reply reply;
    struct ctl_answer answer;
    struct vy_err err = vy_ok();
    ctl_answer_init(&answer);
    const int exit_code = ctl_work_ask_other(work, ctl_work_find_method("PrepareDeleteDomain"),
                                             &request, &answer, &reply);
    if (exit_code == CTL_EXIT_OK) {
        err = vy_arena_dup(&work->arena, reply.token, &work->build.token);
    }
    ctl_answer_deinit(&answer);
    return vy_failed(err) ? ctl_work_fail_err(work, err) : exit_code;
}

static int finish_domain(struct ctl_work *work, const struct admin_delete_domain_reply *reply)
{
    const char *id = vy_arena_cstr(&work->arena, reply->intent);
    if (id == NULL) {
        return ctl_work_fail_err(work, vy_error(VY_CODE_NOMEM, "id"));
    }
    (void)ctl_work_was_checked(work);
    say_second_admin(work, reply->waits_for_second_admin);
    if (reply->intent.len > 0 && work->run->args->has[CTL_OPTION_WAIT]) {
        return wait_for_certificate(work, id);
    }
    if (reply->intent.len > 0 || work->is_json) {
        return ctl_work_show_one(work, reply);
    }
    return CTL_EXIT_OK;
}

int ctl_work_delete_domain(struct ctl_work *work)
{
    struct ctl_answer answer;
    void *reply = NULL;
    int exit_code = work->run->args->has[CTL_OPTION_CASCADE] ? confirm_domain(work) : CTL_EXIT_OK;
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    ctl_answer_init(&answer);
    exit_code = ctl_work_ask_decoded(work, &answer, &reply);
    if (exit_code == CTL_EXIT_OK) {
        exit_code = finish_domain(work, reply);
    }
    ctl_answer_deinit(&answer);
    return exit_code;
}
