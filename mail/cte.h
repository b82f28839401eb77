/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Content transfer encodings (RFC 2045 section 6): streaming decoders, any split of the input,
 * linear (M12). Forgiving: bytes outside the alphabet are skipped in base64, a bad "=XY" stands as
 * it is in quoted-printable.
 */
#include "base/buf.h"

/* On disk (summary parts table): append only. */
enum cte {
    CTE_7BIT = 0, /* also when the field is absent */
    CTE_8BIT = 1,
    CTE_BINARY = 2,
    CTE_QUOTED_PRINTABLE = 3,
    CTE_BASE64 = 4,
    CTE_UNKNOWN = 5 /* the bytes as they are; BINARY answers UNKNOWN-CTE (I15) */
};
enum cte cte_find(struct vy_bytes name); /* white space around and ASCII case do not matter */
const char *cte_name(enum cte encoding); /* "7bit" ...; "x-unknown" */

#define CTE_HELD_BYTES_MAX 256U

/* No memory of its own: needs no deinit. */
struct cte_decoder {
    enum cte encoding;
    uint32_t bits;     /* base64: bits gathered */
    uint8_t digits;    /* base64: how many characters of 4 */
    uint16_t held_len; /* quoted-printable: the undecided end of the input so far */
    uint8_t held[CTE_HELD_BYTES_MAX];
};
void cte_decoder_init(struct cte_decoder *decoder, enum cte encoding);
/* Appends what can be decoded. Output is never longer than input and what was held back; `out`
 * needs room for that. */
void cte_decoder_feed(struct cte_decoder *decoder, struct vy_bytes in, struct vy_buf *out);
/* The input ended: appends what was held back. */
void cte_decoder_finish(struct cte_decoder *decoder, struct vy_buf *out);
/* All at once. */
void cte_decode(enum cte encoding, struct vy_bytes in, struct vy_buf *out);
