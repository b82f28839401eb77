/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files that run a command share. The functions return exit codes. */
#include "base/secret.h"
#include "meta/ctl/client.h"
#include "meta/ctl/json.h"
#include "meta/ctl/run.h"
#include <openssl/evp.h>

#define OPERATION_ID_BYTES 16U

/* One command on its way. */
struct ctl_work {
    const struct ctl_run *run;
    const struct ctl_command *command;
    const struct vy_pb_method *method;
    struct vy_arena arena;      /* to the end */
    struct vy_arena page_arena; /* of one answer */
    struct ctl_client client;
    struct ctl_build build;
    struct admin_write_options write;
    uint8_t operation_id[OPERATION_ID_BYTES];
    struct vy_secret *password; /* owned; may be NULL */
    struct vy_secret *code;     /* owned; may be NULL */
    struct vy_buf problem;
    struct vy_buf text; /* of stdout */
    struct ctl_table table;
    struct ctl_json json;
    uint64_t rows_left; /* of --limit */
    uint64_t row_count;
    EVP_MD_CTX *lines; /* owned; SHA-256 of the lines of an export, NULL: none yet */
    uint64_t last_sequence;
    bool lines_failed;
    bool is_json;
};

int ctl_work_fail_usage(struct ctl_work *work); /* says work->problem */
int ctl_work_fail_err(struct ctl_work *work, struct vy_err err);
int ctl_work_fail_answer(struct ctl_work *work, const struct ctl_answer *answer);
int ctl_work_flush_text(struct ctl_work *work);
/* One call of work->method. *out lives in the page's arena and the answer. */
int ctl_work_ask_decoded(struct ctl_work *work, struct ctl_answer *answer, void **out);
int ctl_work_show_one(struct ctl_work *work, const void *reply);
/* With --dry-run: says that nothing was changed. */
bool ctl_work_was_checked(const struct ctl_work *work);
/* Another method on the way; reply lives in the page's arena and the answer. */
const struct vy_pb_method *ctl_work_find_method(const char *method);
int ctl_work_ask_other(struct ctl_work *work, const struct vy_pb_method *method,
                       const void *request, struct ctl_answer *answer, void *reply);

/* ---- second factors (run_factor.c) ---- */

int ctl_work_enroll(struct ctl_work *work);
int ctl_work_show_codes(struct ctl_work *work);

/* ---- the audit chain (run_audit.c) ---- */

/* Of an export, as it was written, with its end. */
void ctl_work_add_line(struct ctl_work *work, struct vy_bytes line, uint64_t sequence);
int ctl_work_end_export(struct ctl_work *work); /* its signed last line */
int ctl_work_verify_export(struct ctl_work *work);

/* ---- members of groups (run_member.c) ---- */

int ctl_work_member(struct ctl_work *work);

/* ---- jobs (run_job.c) ---- */

int ctl_work_read_path(struct ctl_work *work, struct vy_bytes name, struct vy_bytes *out);
int ctl_work_read_file(struct ctl_work *work); /* the first word names it; into build.file */
int ctl_work_verify_here(
    struct ctl_work *work); /* build.file, with the key of --key (run_verify.c) */
int ctl_work_read_key(struct ctl_work *work, uint8_t out[32]); /* of --key (run_verify.c) */
int ctl_work_delete(struct ctl_work *work);
int ctl_work_delete_domain(struct ctl_work *work);
int ctl_work_watch(struct ctl_work *work);
