/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SMTP core as a client may treat it. The first byte chooses the service, the policy and how
 * the input is cut; a byte 0xFE in the input lets time pass, 0xFF tells of the handshake if one was
 * asked for. Whatever comes, the session keeps its invariants (asserted inside) and stored messages
 * hold no bare CR or LF.
 */
#include "base/assert.h"
#include "tests/transcript/smtp_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_copies(const struct smtp_backend *backend)
{
    for (size_t i = 0; i < backend->copies_count; i++) {
        const struct vy_bytes body = backend->copies[i].body;
        for (size_t at = 0; at < body.len; at++) {
            if (body.data[at] == '\n') {
                VY_ASSERT(at > 0 && body.data[at - 1] == '\r');
            }
            if (body.data[at] == '\r') {
                VY_ASSERT(at + 1 < body.len && body.data[at + 1] == '\n');
            }
        }
    }
}

static void control(struct smtp_driver *d, uint8_t byte)
{
    if (byte == 0xFE) {
        smtp_driver_pass(d, 45000);
    } else if (d->wants_tls) {
        smtp_driver_tls(d);
    }
}

static size_t piece_length(struct vy_bytes rest, size_t cut)
{
    size_t len = 0;
    while (len < rest.len && len < cut && rest.data[len] < 0xFE) {
        len++;
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct smtp_driver d;
    smtp_driver_init(&d, (enum smtp_service)(data[0] % 3));
    d.profile.pipelining_policy = (enum smtp_pipelining_policy)(data[0] / 3 % 3);
    d.limits.message_bytes_max = 4096;
    d.credit_bytes = 512;
    smtp_driver_start(&d);
    const size_t cut = (data[1] & 0x0F) == 0 ? size : (size_t)(data[1] & 0x0F);
    d.failures = data[1] >> 6;
    d.failure_code = VY_CODE_UNKNOWN;
    struct vy_bytes rest = vy_bytes(data + 2, size - 2);
    while (rest.len > 0 && !d.is_closed) {
        const size_t len = piece_length(rest, cut);
        if (len == 0) {
            control(&d, rest.data[0]);
            rest = vy_bytes_from(rest, 1);
        } else {
            smtp_driver_receive(&d, vy_bytes_slice(rest, 0, len));
            rest = vy_bytes_from(rest, len);
        }
    }
    if (!d.is_closed) {
        d.session->ops->closed(d.session);
        smtp_driver_settle(&d);
    }
    smtp_driver_pass(&d, 100000);
    check_copies(d.backend);
    smtp_driver_deinit(&d);
    return 0;
}
