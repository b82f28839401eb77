/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown once: the secret of a second factor, for an app to scan, and recovery codes. */
#include "base/assert.h"
#include "meta/ctl/qr.h"
#include "meta/ctl/run_private.h"
#include <unistd.h>

/* ---- the secret ---- */

static struct vy_err append_qr(struct ctl_work *work, struct vy_bytes uri)
{
    const bool is_terminal = isatty(fileno(work->run->out)) != 0;
    if (work->run->args->has[CTL_OPTION_NO_QR]) {
        return vy_ok();
    }
    VY_TRY(ctl_qr_append(&work->text, uri, is_terminal ? CTL_QR_COLOURS : CTL_QR_PLAIN));
    vy_buf_append_byte(&work->text, '\n');
    return vy_ok();
}

static int show_secret(struct ctl_work *work, const struct admin_enroll_factor_reply *reply)
{
    if (work->is_json) {
        return ctl_work_show_one(work, reply);
    }
    const struct vy_err err = append_qr(work, reply->uri);
    if (vy_failed(err)) {
        return ctl_work_fail_err(work, err);
    }
    const int exit_code = ctl_work_show_one(work, reply);
    if (exit_code == CTL_EXIT_OK) {
        fprintf(
            work->run->err,
            "Scan it with an authenticator app, or type the secret there. Then, within an hour:\n"
            "  volaryctl factor confirm %.*s CODE\n"
            "Until then nothing has changed for the account.\n",
            VY_PRI(reply->account));
    }
    return exit_code;
}

int ctl_work_enroll(struct ctl_work *work)
{
    struct ctl_answer answer;
    void *reply = NULL;
    ctl_answer_init(&answer);
    int exit_code = ctl_work_ask_decoded(work, &answer, &reply);
    if (exit_code == CTL_EXIT_OK && !ctl_work_was_checked(work)) {
        exit_code = show_secret(work, reply);
    }
    ctl_answer_deinit(&answer);
    return exit_code;
}

/* ---- recovery codes ---- */

static int show_codes(struct ctl_work *work, const struct admin_recovery_codes_reply *reply)
{
    if (work->is_json) {
        return ctl_work_show_one(work, reply);
    }
    for (size_t i = 0; i < reply->recovery_codes_count; i++) {
        vy_buf_printf(&work->text, "%.*s\n", VY_PRI(reply->recovery_codes[i]));
    }
    const int exit_code = ctl_work_flush_text(work);
    if (exit_code == CTL_EXIT_OK) {
        fprintf(
            work->run->err,
            "These recovery codes are shown this once. Each stands in for the app one time: keep "
            "them where\nthe app is not.\n");
    }
    return exit_code;
}

/* What a first code changes for those who read their mail now. */
static void say_confirmed(struct ctl_work *work, const struct admin_recovery_codes_reply *reply)
{
    if (strcmp(work->command->verb, "confirm") == 0) {
        fprintf(work->run->err,
                "The second factor is active. Mail programs need app passwords from now on:\n"
                "  volaryctl apppassword create %.*s --label phone\n",
                VY_PRI(reply->account));
    }
}

int ctl_work_show_codes(struct ctl_work *work)
{
    struct ctl_answer answer;
    void *reply = NULL;
    ctl_answer_init(&answer);
    int exit_code = ctl_work_ask_decoded(work, &answer, &reply);
    if (exit_code == CTL_EXIT_OK && !ctl_work_was_checked(work)) {
        exit_code = show_codes(work, reply);
        say_confirmed(work, reply);
    }
    ctl_answer_deinit(&answer);
    return exit_code;
}
