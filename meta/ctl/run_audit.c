/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an export of the audit chain, and checking one where no server is. */
#include "meta/audit_file.h"
#include "meta/certificate_check.h"
#include "meta/ctl/run_private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- writing ---- */

void ctl_work_add_line(struct ctl_work *work, struct vy_bytes line, uint64_t sequence)
{
    if (work->lines == NULL) {
        work->lines = EVP_MD_CTX_new();
        work->lines_failed =
            work->lines == NULL || EVP_DigestInit_ex(work->lines, EVP_sha256(), NULL) != 1;
    }
    work->lines_failed =
        work->lines_failed || EVP_DigestUpdate(work->lines, line.data, line.len) != 1;
    work->last_sequence = sequence;
}

int ctl_work_end_export(struct ctl_work *work)
{
    uint8_t hash[32];
    unsigned len = 0;
    struct ctl_answer answer;
    struct admin_audit_checkpoint checkpoint;
    const struct vy_pb_method *method = ctl_work_find_method("GetCheckpoint");
    if (work->lines == NULL) {
        return CTL_EXIT_OK; /* nothing was exported */
    }
    if (work->lines_failed || EVP_DigestFinal_ex(work->lines, hash, &len) != 1) {
        return ctl_work_fail_err(work, vy_error(VY_CODE_NOMEM, "hash of the export"));
    }
    const struct admin_get_checkpoint_request request = {
        .sequence = work->last_sequence, .export_sha256 = vy_bytes(hash, sizeof(hash))};
    ctl_answer_init(&answer);
    int exit_code = ctl_work_ask_other(work, method, &request, &answer, &checkpoint);
    if (exit_code == CTL_EXIT_OK) {
        vy_buf_append(&work->text, checkpoint.text);
        exit_code = ctl_work_flush_text(work);
    }
    ctl_answer_deinit(&answer);
    return exit_code;
}

/* ---- checking ---- */

static const char *signature_text(enum audit_file_signature signature)
{
    switch (signature) {
    case AUDIT_FILE_SIGNATURE_ABSENT:
        return "absent";
    case AUDIT_FILE_SIGNATURE_NOT_CHECKED:
        return "not checked (give --key)";
    case AUDIT_FILE_SIGNATURE_BAD:
        return "bad";
    case AUDIT_FILE_SIGNATURE_GOOD:
        return "good";
    }
    return "";
}

static struct vy_err read_lines(FILE *in, struct audit_file *file)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len = getline(&line, &capacity, in);
    struct vy_err err = vy_ok();
    while (len >= 0 && !vy_failed(err)) {
        len -= len > 0 && line[len - 1] == '\n' ? 1 : 0;
        len -= len > 0 && line[len - 1] == '\r' ? 1 : 0;
        if ((size_t)len > AUDIT_FILE_LINE_BYTES_MAX) {
            err = vy_error(VY_CODE_LIMIT, "the file has a line that no export has");
            break;
        }
        audit_file_line(file, vy_bytes(line, (size_t)len));
        len = getline(&line, &capacity, in);
    }
    if (!vy_failed(err) && ferror(in) != 0) {
        err = vy_error_sys(VY_CODE_IO, errno, "the file cannot be read");
    }
    free(line);
    return err;
}

static int show_result(struct ctl_work *work, const struct audit_file_result *result)
{
    const struct admin_verify_audit_reply reply = {
        .intact = result->is_intact,
        .record_count = result->record_count,
        .first_bad_sequence = result->bad_sequence,
        .reason = result->reason == NULL ? vy_bytes(NULL, 0) : vy_cstr(result->reason),
        .first_sequence = result->first_sequence,
        .last_sequence = result->last_sequence,
        .signature = vy_cstr(signature_text(result->signature))};
    return ctl_work_show_one(work, &reply);
}

static int check_file(struct ctl_work *work, FILE *in, struct vy_bytes key)
{
    struct audit_file *file = NULL;
    struct audit_file_result result;
    struct vy_err err = audit_file_new(&file);
    if (!vy_failed(err)) {
        err = read_lines(in, file);
    }
    if (vy_failed(err)) {
        audit_file_free(file);
        return ctl_work_fail_err(work, err);
    }
    audit_file_finish(file, key, &result);
    audit_file_free(file);
    return show_result(work, &result);
}

int ctl_work_verify_export(struct ctl_work *work)
{
    uint8_t key[CERTIFICATE_KEY_BYTES];
    const bool has_key = work->run->args->has[CTL_OPTION_KEY];
    const struct vy_bytes name = work->run->args->words[0];
    int exit_code = has_key ? ctl_work_read_key(work, key) : CTL_EXIT_OK;
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    const bool is_stdin = vy_bytes_equal(name, VY_LIT("-"));
    const char *path = vy_arena_cstr(&work->arena, name);
    const int fd = is_stdin       ? dup(work->run->in)
                   : path == NULL ? -1
                                  : open(path, O_RDONLY | O_CLOEXEC);
    FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
    if (in == NULL) {
        ctl_say_error(work->run->err, name, vy_cstr(strerror(errno)), NULL, "IO");
        return CTL_EXIT_FAILURE;
    }
    exit_code = check_file(work, in, vy_bytes(key, has_key ? sizeof(key) : 0));
    (void)fclose(in);
    return exit_code;
}
