/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/totp.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/secret.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#define CODE_BOUND 1000000U /* TOTP_DIGITS digits */

uint32_t totp_code(const uint8_t secret[TOTP_SECRET_BYTES], uint64_t step)
{
    uint8_t counter[8];
    uint8_t mac[SHA_DIGEST_LENGTH] = {0};
    unsigned len = 0;
    vy_put_be64(counter, step);
    const bool done = HMAC(EVP_sha1(), secret, (int)TOTP_SECRET_BYTES, counter, sizeof(counter),
                           mac, &len) != NULL;
    VY_ASSERT(done && len == sizeof(mac));              /* needs no memory that grows */
    const size_t offset = mac[sizeof(mac) - 1] & 0x0fU; /* RFC 4226 section 5.3 */
    const uint32_t code = (vy_get_be32(mac + offset) & 0x7fffffffU) % CODE_BOUND;
    vy_wipe(mac, sizeof(mac));
    return code;
}

bool totp_parse_code(struct vy_bytes typed, uint32_t *out)
{
    uint32_t code = 0;
    size_t digits = 0;
    for (size_t i = 0; i < typed.len; i++) {
        if (typed.data[i] == ' ') {
            continue;
        }
        if (!vy_ascii_is_digit(typed.data[i]) || digits == TOTP_DIGITS) {
            return false;
        }
        code = code * 10 + (uint32_t)(typed.data[i] - '0');
        digits++;
    }
    *out = code;
    return digits == TOTP_DIGITS;
}

bool totp_find_step(const uint8_t secret[TOTP_SECRET_BYTES], uint32_t code, uint64_t now_ms,
                    uint64_t after_step, uint64_t *out_step)
{
    const uint64_t now = now_ms / TOTP_STEP_MS;
    const uint64_t first = now > TOTP_WINDOW_STEPS ? now - TOTP_WINDOW_STEPS : 0;
    bool is_found = false;
    for (uint64_t step = now + TOTP_WINDOW_STEPS; step + 1 > first; step--) {
        const bool is_equal = totp_code(secret, step) == code;
        if (is_equal && step > after_step) {
            *out_step = step;
            is_found = true;
        }
        if (step == 0) {
            break;
        }
    }
    return is_found;
}

/* RFC 3986 section 2.3: what needs no escape. */
static bool is_unreserved(uint8_t c)
{
    return vy_ascii_is_digit(c) || vy_ascii_is_upper(c) || (c >= 'a' && c <= 'z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void append_escaped(struct vy_buf *out, struct vy_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (is_unreserved(text.data[i]) || text.data[i] == '@') {
            vy_buf_append_byte(out, text.data[i]);
        } else {
            vy_buf_printf(out, "%%%02X", text.data[i]);
        }
    }
}

void totp_append_uri(struct vy_buf *out, struct vy_bytes issuer, struct vy_bytes account,
                     const uint8_t secret[TOTP_SECRET_BYTES])
{
    vy_buf_append_cstr(out, "otpauth://totp/");
    append_escaped(out, issuer);
    vy_buf_append_byte(out, ':');
    append_escaped(out, account);
    vy_buf_append_cstr(out, "?secret=");
    vy_base32_encode(out, vy_bytes(secret, TOTP_SECRET_BYTES));
    vy_buf_append_cstr(out, "&issuer=");
    append_escaped(out, issuer);
    vy_buf_printf(out, "&algorithm=SHA1&digits=%u&period=%u", TOTP_DIGITS, TOTP_STEP_MS / 1000);
}
