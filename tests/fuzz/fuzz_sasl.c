/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SASL exchange. The first byte chooses the mechanism and what meta answers; lines of the rest
 * are what the client says, one that begins with "!" base64 as it is, others are encoded first.
 * Nobody is let in unless meta said OK, and never without TLS (A7, S33).
 */
#include "base/assert.h"
#include "base/codec.h"
#include "frontend/auth/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play {
    struct sasl_exchange *exchange;
    struct vy_bytes rest;
    unsigned answers;
    unsigned calls;
    bool has_accepted;
};

static struct vy_bytes next_line(struct play *p, struct vy_buf *scratch)
{
    const struct vy_bytes line = vy_bytes_cut(&p->rest, '\n');
    if (line.len > 0 && line.data[0] == '!') {
        return vy_bytes_from(line, 1);
    }
    vy_buf_reset(scratch);
    vy_base64_encode(scratch, line);
    return vy_buf_bytes(scratch);
}

static struct sasl_step answer(struct play *p)
{
    const enum login_result results[] = {LOGIN_RESULT_OK, LOGIN_RESULT_NEED_ARGON2,
                                         LOGIN_RESULT_SCRAM_CONTINUE, LOGIN_RESULT_REFUSED};
    const struct login_reply reply = {
        .result = results[(p->answers >> (2 * (p->calls & 1))) & 3],
        .salt = VY_LIT("0123456789abcdef"),
        .argon2_memory_kib = 64,
        .argon2_passes = 1,
        .argon2_lanes = 1,
        .challenge = VY_LIT("opaque"),
        .server_message = (p->answers & 16) != 0 ? VY_LIT("v=c2ln") : vy_bytes(NULL, 0),
    };
    struct vy_buf out;
    vy_buf_init(&out, 4096);
    const struct vy_err err = vy_pb_encode(&login_reply_desc, &reply, &out);
    VY_ASSERT(!vy_failed(err));
    p->calls++;
    p->has_accepted |= reply.result == LOGIN_RESULT_OK;
    const struct sasl_step step = sasl_answered(p->exchange, vy_ok(), vy_buf_bytes(&out), 0);
    vy_buf_deinit(&out);
    return step;
}

static struct sasl_step advance(struct play *p, const struct sasl_step *step,
                                struct vy_buf *scratch)
{
    switch (step->kind) {
    case SASL_STEP_CHALLENGE:
        return sasl_feed(p->exchange, next_line(p, scratch));
    case SASL_STEP_CALL:
        return answer(p);
    case SASL_STEP_HASH:
        return sasl_hashed(p->exchange, vy_ok(), VY_LIT("tag"));
    case SASL_STEP_DONE:
        break;
    }
    return *step;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};
    static const uint8_t exporter[32] = {1};
    if (size < 2) {
        return 0;
    }
    const struct sasl_peer peer = {.protocol = LOGIN_PROTOCOL_IMAP,
                                   .is_secured = (data[0] & 4) == 0,
                                   .tls = {.exporter = vy_bytes(exporter, sizeof(exporter))}};
    struct play p = {.rest = vy_bytes(data + 2, size - 2), .answers = data[1]};
    struct vy_buf scratch;
    vy_buf_init(&scratch, 1U << 20);
    if (vy_failed(sasl_new(&peer, &p.exchange))) {
        return 0;
    }
    struct sasl_step step;
    if ((data[0] & 8) != 0) {
        const struct vy_bytes name = vy_bytes_cut(&p.rest, '\n');
        step = sasl_start_login(p.exchange, name, p.rest);
    } else if ((data[0] & 16) != 0) {
        const struct vy_bytes initial = next_line(&p, &scratch);
        step = sasl_start(p.exchange, vy_cstr(names[data[0] & 3]), &initial);
    } else {
        step = sasl_start(p.exchange, vy_cstr(names[data[0] & 3]), NULL);
    }
    for (unsigned i = 0; i < 16 && step.kind != SASL_STEP_DONE; i++) {
        step = advance(&p, &step, &scratch);
    }
    VY_ASSERT(step.kind == SASL_STEP_DONE);
    VY_ASSERT(step.done.result != SASL_RESULT_OK || (p.has_accepted && peer.is_secured));
    sasl_free(p.exchange);
    vy_buf_deinit(&scratch);
    return 0;
}
