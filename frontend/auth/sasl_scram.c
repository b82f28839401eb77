/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCRAM-SHA-256 and -PLUS (RFC 5802, 7677; bindings RFC 5929, 9266). Meta holds the keys and checks
 * the proof; here stands what only this end of the TLS connection can know: the channel binding and
 * whether -PLUS was offered (A7).
 */
#include "base/assert.h"
#include "base/codec.h"
#include "frontend/auth/sasl_private.h"

#define SCRAM_PROOF_BYTES 32U

struct scram_first {
    struct vy_bytes gs2_header; /* with its last comma */
    struct vy_bytes flag;       /* "n", "y" or "p=name" */
    struct vy_bytes authzid;    /* as sent, still escaped */
    struct vy_bytes name;       /* as sent, still escaped */
};

/* gs2-header = flag "," [ "a=" saslname ] ","; then "n=" saslname ",r=" nonce */
static bool scram_parse_first(struct vy_bytes message, struct scram_first *out)
{
    struct vy_bytes rest = message;
    out->flag = vy_bytes_cut(&rest, ',');
    const struct vy_bytes authzid = vy_bytes_cut(&rest, ',');
    out->gs2_header = vy_bytes_slice(message, 0, message.len - rest.len);
    out->name = vy_bytes_cut(&rest, ',');
    if (authzid.len > 0 && !vy_bytes_starts_with(authzid, VY_LIT("a="))) {
        return false;
    }
    out->authzid = vy_bytes_from(authzid, VY_MIN(authzid.len, 2U));
    if (!vy_bytes_starts_with(out->name, VY_LIT("n=")) ||
        !vy_bytes_starts_with(rest, VY_LIT("r="))) {
        return false; /* "m=": an extension that must be understood */
    }
    out->name = vy_bytes_from(out->name, 2);
    return true;
}

/* Undoes "=2C" and "=3D"; any other "=" is bad. */
static struct vy_err scram_unescape(struct sasl_exchange *x, struct vy_bytes in,
                                    struct vy_bytes *out)
{
    uint8_t *text = vy_arena_alloc(&x->arena, in.len + 1);
    size_t len = 0;
    if (text == NULL) {
        return vy_error(VY_CODE_LIMIT, "SCRAM name");
    }
    for (size_t at = 0; at < in.len; at++) {
        text[len] = in.data[at];
        if (in.data[at] == '=') {
            const struct vy_bytes escape = vy_bytes_slice(in, at, 3);
            const bool is_comma = vy_bytes_equal(escape, VY_LIT("=2C"));
            if (!is_comma && !vy_bytes_equal(escape, VY_LIT("=3D"))) {
                return vy_error(VY_CODE_SYNTAX, "SCRAM name");
            }
            text[len] = is_comma ? ',' : '=';
            at += 2;
        }
        len++;
    }
    *out = vy_bytes(text, len);
    return vy_ok();
}

/* The binding of the flag, or doom: a client that supports bindings but saw none offered ("y")
 * while they are means someone in between took -PLUS out of the list. Meta is given the data
 * whenever -PLUS was offered, and so sees that too. */
static void scram_bind(struct sasl_exchange *x, struct vy_bytes flag)
{
    const struct session_tls *tls = &x->peer.tls;
    const bool is_offered = sasl_has_binding(&x->peer);
    if (!x->mechanism->needs_binding) {
        const bool is_downgraded = vy_bytes_equal(flag, VY_LIT("y")) && is_offered;
        x->is_doomed |= is_downgraded || vy_bytes_starts_with(flag, VY_LIT("p="));
    } else if (vy_bytes_equal(flag, VY_LIT("p=tls-exporter"))) {
        x->scram.binding = tls->exporter;
    } else if (vy_bytes_equal(flag, VY_LIT("p=tls-server-end-point"))) {
        x->scram.binding = tls->end_point;
    }
    x->is_doomed |= x->mechanism->needs_binding && x->scram.binding.len == 0;
    x->request.channel_binding = x->scram.binding;
    if (is_offered && x->scram.binding.len == 0) {
        x->request.channel_binding = tls->exporter.len > 0 ? tls->exporter : tls->end_point;
    }
}

static struct vy_err scram_take_first(struct sasl_exchange *x, struct vy_bytes message)
{
    struct scram_first first;
    struct vy_bytes name = {.data = NULL};
    struct vy_bytes authzid = {.data = NULL};
    VY_TRY(vy_arena_dup(&x->arena, message, &x->request.scram_client_first));
    if (!scram_parse_first(x->request.scram_client_first, &first)) {
        return vy_error(VY_CODE_SYNTAX, "SCRAM client-first-message");
    }
    const bool is_flag_known = vy_bytes_equal(first.flag, VY_LIT("n")) ||
                               vy_bytes_equal(first.flag, VY_LIT("y")) ||
                               vy_bytes_starts_with(first.flag, VY_LIT("p="));
    if (!is_flag_known) {
        return vy_error(VY_CODE_SYNTAX, "SCRAM channel binding flag");
    }
    VY_TRY(scram_unescape(x, first.name, &name));
    VY_TRY(scram_unescape(x, first.authzid, &authzid));
    VY_TRY(sasl_set_name(x, name));
    VY_TRY(sasl_set_authzid(x, authzid));
    x->scram.gs2_header = first.gs2_header;
    x->scram.has_first = true;
    scram_bind(x, first.flag);
    return vy_ok();
}

/* c= must be the gs2 header as sent, and the binding of this very connection behind it. */
static bool scram_binding_matches(struct sasl_exchange *x, struct vy_bytes encoded)
{
    struct vy_bytes sent = {.data = NULL};
    const size_t header_len = x->scram.gs2_header.len;
    if (vy_failed(vy_base64_decode(&x->arena, encoded, &sent))) {
        return false;
    }
    return vy_bytes_equal(vy_bytes_slice(sent, 0, header_len), x->scram.gs2_header) &&
           vy_bytes_equal_secret(vy_bytes_from(sent, VY_MIN(header_len, sent.len)),
                                 x->scram.binding);
}

/* The same message with a proof that cannot be right: for exchanges that are lost already. */
static struct vy_err scram_spoil(struct sasl_exchange *x, struct vy_bytes without_proof)
{
    static const uint8_t zeros[SCRAM_PROOF_BYTES];
    struct vy_buf spoilt;
    vy_buf_init(&spoilt, SASL_LINE_BYTES_MAX);
    vy_buf_append(&spoilt, without_proof);
    vy_buf_append(&spoilt, VY_LIT(",p="));
    vy_base64_encode(&spoilt, vy_bytes(zeros, sizeof(zeros)));
    struct vy_err err = vy_buf_error(&spoilt);
    if (!vy_failed(err)) {
        err = vy_arena_dup(&x->arena, vy_buf_bytes(&spoilt), &x->request.scram_client_final);
    }
    vy_buf_deinit(&spoilt);
    return err;
}

/* "c=" base64 ",r=" nonce [",ext"] ",p=" base64 */
static struct vy_err scram_take_final(struct sasl_exchange *x, struct vy_bytes message)
{
    const size_t proof_at = vy_bytes_find(message, VY_LIT(",p="), 0);
    struct vy_bytes rest = message;
    const struct vy_bytes binding = vy_bytes_cut(&rest, ',');
    if (proof_at == SIZE_MAX || !vy_bytes_starts_with(binding, VY_LIT("c=")) ||
        !vy_bytes_starts_with(rest, VY_LIT("r="))) {
        return vy_error(VY_CODE_SYNTAX, "SCRAM client-final-message");
    }
    x->is_doomed |= !scram_binding_matches(x, vy_bytes_from(binding, 2));
    x->request.scram_client_first = vy_bytes(NULL, 0);
    x->request.channel_binding = x->scram.binding;
    if (x->is_doomed) {
        return scram_spoil(x, vy_bytes_slice(message, 0, proof_at));
    }
    return vy_arena_dup(&x->arena, message, &x->request.scram_client_final);
}

static struct sasl_step scram_receive(struct sasl_exchange *x, struct vy_bytes message)
{
    const struct vy_err err =
        x->scram.has_first ? scram_take_final(x, message) : scram_take_first(x, message);
    if (vy_failed(err)) {
        return sasl_step_done(x, err.code == VY_CODE_SYNTAX ? SASL_RESULT_SYNTAX
                                                            : SASL_RESULT_UNAVAILABLE);
    }
    return sasl_step_call(x);
}

static struct sasl_step scram_resume(struct sasl_exchange *x, const struct login_reply *reply)
{
    if (reply->result != LOGIN_RESULT_SCRAM_CONTINUE || x->request.scram_client_final.len > 0) {
        return sasl_step_done(x, SASL_RESULT_UNAVAILABLE);
    }
    x->request.challenge = reply->challenge;
    return sasl_step_challenge(x, reply->server_message);
}

const struct sasl_mechanism sasl_scram_sha_256 = {
    .name = "SCRAM-SHA-256",
    .id = LOGIN_MECHANISM_SCRAM_SHA_256,
    .first_question = "",
    .receive = scram_receive,
    .resume = scram_resume,
};

const struct sasl_mechanism sasl_scram_sha_256_plus = {
    .name = "SCRAM-SHA-256-PLUS",
    .id = LOGIN_MECHANISM_SCRAM_SHA_256_PLUS,
    .needs_binding = true,
    .first_question = "",
    .receive = scram_receive,
    .resume = scram_resume,
};
