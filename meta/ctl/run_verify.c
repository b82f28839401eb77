/* SPDX-License-Identifier: Apache-2.0 */
/* Checking a certificate of erasure without a server: with a public key that was kept apart. */
#include "meta/certificate_check.h"
#include "meta/ctl/run_private.h"

#define KEY_DIGITS ((size_t)2 * CERTIFICATE_KEY_BYTES)

/* The first run of as many hex digits as a key has: also in what 'certificate key' shows. */
static struct vy_bytes find_digits(struct vy_bytes text)
{
    size_t begin = 0;
    for (size_t at = 0; at <= text.len; at++) {
        if (at < text.len && vy_ascii_hex_value(text.data[at]) >= 0) {
            continue;
        }
        if (at - begin == KEY_DIGITS) {
            return vy_bytes_slice(text, begin, KEY_DIGITS);
        }
        begin = at + 1;
    }
    return vy_bytes(NULL, 0);
}

/* --key: the digits themselves, or a file with them. */
int ctl_work_read_key(struct ctl_work *work, uint8_t out[CERTIFICATE_KEY_BYTES])
{
    const struct vy_bytes given = work->run->args->values[CTL_OPTION_KEY];
    struct vy_bytes digits = find_digits(given);
    if (digits.len == 0) {
        struct vy_bytes text = {.len = 0};
        const int exit_code = ctl_work_read_path(work, given, &text);
        if (exit_code != CTL_EXIT_OK) {
            return exit_code;
        }
        digits = find_digits(text);
    }
    if (digits.len == 0) {
        vy_buf_append_cstr(&work->problem, "--key wants a public key of 64 hex digits, or a file "
                                           "with one, as 'volaryctl certificate key' shows it");
        return ctl_work_fail_usage(work);
    }
    for (size_t i = 0; i < CERTIFICATE_KEY_BYTES; i++) {
        out[i] = (uint8_t)(vy_ascii_hex_value(digits.data[2 * i]) << 4 |
                           vy_ascii_hex_value(digits.data[2 * i + 1]));
    }
    return CTL_EXIT_OK;
}

int ctl_work_verify_here(struct ctl_work *work)
{
    uint8_t key[CERTIFICATE_KEY_BYTES];
    struct certificate_claims claims = {.job_id = {.len = 0}};
    const int exit_code = ctl_work_read_key(work, key);
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    const struct vy_err err =
        certificate_check(vy_bytes(key, sizeof(key)), work->build.file, &claims);
    const struct admin_verify_certificate_reply reply = {
        .valid = !vy_failed(err),
        .reason = vy_failed(err) ? vy_cstr(err.what) : vy_bytes(NULL, 0),
        .intent = claims.job_id,
        .account_id = claims.account_id,
        .serial = claims.serial,
        .pending_members = claims.pending};
    return ctl_work_show_one(work, &reply);
}
