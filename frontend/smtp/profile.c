/* SPDX-License-Identifier: Apache-2.0 */
/* What the three services and their limits are unless the configuration says otherwise. */
#include "base/assert.h"
#include "frontend/smtp/smtp_session.h"

#define MX_GREET_DELAY_MS 20U /* hardly felt by anyone who waits for the banner (S14, PIPE-4) */

bool smtp_pipelining_policy_parse(struct vy_bytes text, enum smtp_pipelining_policy *out)
{
    static const char *const names[] = {
        [SMTP_PIPELINING_IGNORE] = "ignore",
        [SMTP_PIPELINING_REJECT_AT_DATA] = "reject_at_data",
        [SMTP_PIPELINING_DISCONNECT] = "disconnect",
    };
    for (size_t i = 0; i < VY_COUNT_OF(names); i++) {
        if (vy_bytes_equal(text, vy_cstr(names[i]))) {
            *out = (enum smtp_pipelining_policy)i;
            return true;
        }
    }
    return false;
}

struct smtp_limits smtp_limits_default(void)
{
    return (struct smtp_limits){
        .message_bytes_max = 50ULL * 1024 * 1024,
        .recipients_max = 100,
        .targets_max = 2000,
        .idle_ms = 5U * 60U * 1000U,
        .transaction_ms = 10U * 60U * 1000U,
        .commit_ms = 60U * 1000U,
        .lookup_ms = 15U * 1000U,
        .body_rate_min = 16,
        .junk_slow_count = 10,
        .junk_max = 20,
        .rcpt_slow_count = 10,
        .tarpit_ms = 1000,
        .auth_delay_ms = 1000,
        .auth_failures_max = 10,
    };
}

struct smtp_profile smtp_profile_default(enum smtp_service service)
{
    struct smtp_profile profile = {.service = service,
                                   .pipelining_policy = SMTP_PIPELINING_DISCONNECT};
    if (service == SMTP_SERVICE_LMTP) {
        profile.pipelining_policy = SMTP_PIPELINING_IGNORE; /* only listed neighbours speak it */
    }
    if (service == SMTP_SERVICE_MX) {
        profile.greet_delay_ms = MX_GREET_DELAY_MS;
    }
    return profile;
}
