/* SPDX-License-Identifier: Apache-2.0 */
/* What people type as a code: a code of the app, a recovery code, or neither; never both (A9). */
#include "base/assert.h"
#include "meta/factor_code.h"
#include "meta/password.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct vy_bytes typed = vy_bytes(data, size);
    uint8_t letters[RECOVERY_LETTERS];
    uint32_t code = 0;
    const bool is_code = totp_parse_code(typed, &code);
    const bool is_recovery = recovery_code_parse(typed, letters);
    VY_ASSERT(!is_code || code < 1000000U);
    VY_ASSERT(!(is_code && is_recovery));
    for (size_t i = 0; is_recovery && i < RECOVERY_LETTERS; i++) {
        VY_ASSERT(vy_bytes_find_byte(VY_LIT(PASSWORD_ALPHABET), letters[i], 0) != SIZE_MAX);
    }
    if (is_code) {
        static const uint8_t secret[TOTP_SECRET_BYTES] = {1};
        uint64_t step = 0;
        const uint64_t now_ms = (uint64_t)code * TOTP_STEP_MS;
        if (totp_find_step(secret, code, now_ms, 0, &step)) {
            VY_ASSERT(totp_code(secret, step) == code);
        }
    }
    return 0;
}
