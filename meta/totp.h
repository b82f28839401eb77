/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Codes by time (RFC 6238): HMAC-SHA-1 over the 30 s step, six digits, as every authenticator app
 * does them. Pure; knows neither accounts nor which steps were used.
 */
#include "base/buf.h"

#define TOTP_SECRET_BYTES 20U /* 160 bits: RFC 4226 section 4, R6 */
#define TOTP_STEP_MS 30000U
#define TOTP_DIGITS 6U
#define TOTP_WINDOW_STEPS 1U /* before and behind now: a clock half a minute off, a slow typist */

/* The code of a step: less than 1,000,000. */
uint32_t totp_code(const uint8_t secret[TOTP_SECRET_BYTES], uint64_t step);

/* Six digits as apps show them, "123 456" too. False: it is no code. */
bool totp_parse_code(struct vy_bytes typed, uint32_t *out);

/* The first step behind `after_step`, within the window around now, whose code this is. Looks at
 * the whole window whatever it finds. False: none. */
bool totp_find_step(const uint8_t secret[TOTP_SECRET_BYTES], uint32_t code, uint64_t now_ms,
                    uint64_t after_step, uint64_t *out_step);

/* "otpauth://totp/ISSUER:ACCOUNT?secret=...&issuer=ISSUER&...": what a QR code shows to an app. */
void totp_append_uri(struct vy_buf *out, struct vy_bytes issuer, struct vy_bytes account,
                     const uint8_t secret[TOTP_SECRET_BYTES]);
