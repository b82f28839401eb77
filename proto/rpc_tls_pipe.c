/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS as a pipe over a pipe: OpenSSL works on two memory BIOs, the inner pipe carries what is in
 * them. nng's own TLS layer is not used: no peer names, TLS 1.2 only, and a receive that may never
 * end when the peer dies.
 */
#include "base/assert.h"
#include "base/secret.h"
#include "proto/rpc_tls_private.h"
#include <openssl/err.h>
#include <stdlib.h>

#define PLAIN_BYTES (16U * 1024U) /* one TLS record */

struct tls_pipe {
    struct rpc_pipe pipe;
    struct rpc_pipe *inner;          /* owned */
    const struct rpc_config *config; /* borrowed */
    SSL *ssl;                        /* owned, and with it the BIOs */
    BIO *in;
    BIO *out;
    bool is_established; /* handshake done and the peer's identity good */
    bool is_inner_busy;
    bool owes_sent; /* on_sent, once all is on its way */
    bool is_closed;
    bool is_closed_told;
    unsigned hold_count;
    uint8_t plain[PLAIN_BYTES];
};

static void tls_free(struct tls_pipe *tls)
{
    SSL_free(tls->ssl);
    vy_wipe(tls->plain, sizeof(tls->plain));
    free(tls);
}

static void tls_release(struct tls_pipe *tls)
{
    tls->hold_count--;
    if (tls->hold_count == 0 && tls->is_closed) {
        tls_free(tls);
    }
}

static void tell_closed(struct tls_pipe *tls, struct vy_err why)
{
    if (!tls->is_closed && !tls->is_closed_told) {
        tls->is_closed_told = true;
        tls->pipe.events->on_closed(tls->pipe.arg, why);
    }
}

/* What OpenSSL has for the peer goes out, one send at a time. */
static void pump_out(struct tls_pipe *tls)
{
    const size_t pending = BIO_ctrl_pending(tls->out);
    if (tls->is_closed || tls->is_inner_busy || pending == 0) {
        return;
    }
    const size_t size = VY_MIN(pending, 1U << 20);
    struct rpc_block *block = rpc_block_new(0, size);
    if (block == NULL) {
        return; /* the watchdog ends a link that has no memory to speak */
    }
    const int got = BIO_read(tls->out, block->data, (int)size);
    VY_ASSERT(got > 0);
    block->end = (uint32_t)got;
    struct rpc_block_list list = {.first = NULL};
    rpc_block_list_push(&list, block);
    tls->is_inner_busy = true;
    rpc_pipe_send(tls->inner, &list);
}

/* A peer that cannot prove who it is, or does not accept us: said once, with OpenSSL's reason. */
static struct vy_err refuse(struct tls_pipe *tls, struct vy_err why)
{
    const long verify = SSL_get_verify_result(tls->ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    if (verify != X509_V_OK) {
        reason = X509_verify_cert_error_string(verify);
    }
    vy_log(tls->config->log, VY_LOG_WARN, "rpc.tls.refused",
           VY_CSTR("rpc.reason", reason == NULL ? "" : reason), VY_LOG_ERR(why));
    ERR_clear_error();
    return why;
}

/* ---- incoming ---- */

static struct vy_err shake_hands(struct tls_pipe *tls)
{
    ERR_clear_error();
    const int result = SSL_do_handshake(tls->ssl);
    if (result == 1) {
        struct rpc_pipe_peer peer = {.is_authenticated = false};
        const struct vy_err err = rpc_tls_read_identity(tls->ssl, tls->config->cluster, &peer);
        if (vy_failed(err)) {
            return refuse(tls, err);
        }
        tls->is_established = true;
        tls->pipe.events->on_open(tls->pipe.arg, &peer);
        return vy_ok();
    }
    const int error = SSL_get_error(tls->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        return vy_ok();
    }
    return refuse(tls, vy_error(VY_CODE_AUTH, "tls handshake"));
}

/* What ended the stream, when it is not just out of input. */
static struct vy_err read_error(struct tls_pipe *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return vy_ok();
    case SSL_ERROR_ZERO_RETURN:
        return vy_error(VY_CODE_CLOSED, "tls closed");
    default:
        /* With TLS 1.3 the dialler learns only here that its certificate was not liked. */
        return refuse(tls, vy_error(VY_CODE_AUTH, "tls record"));
    }
}

static struct vy_err read_plain(struct tls_pipe *tls)
{
    while (!tls->is_closed) {
        ERR_clear_error();
        const int got = SSL_read(tls->ssl, tls->plain, sizeof(tls->plain));
        if (got <= 0) {
            return read_error(tls, got);
        }
        tls->pipe.events->on_data(tls->pipe.arg, vy_bytes(tls->plain, (size_t)got));
    }
    return vy_ok();
}

static struct vy_err take_input(struct tls_pipe *tls, struct vy_bytes bytes)
{
    if (bytes.len > 0 && BIO_write(tls->in, bytes.data, (int)bytes.len) != (int)bytes.len) {
        return vy_error(VY_CODE_NOMEM, "tls input");
    }
    if (!tls->is_established) {
        VY_TRY(shake_hands(tls));
    }
    return tls->is_established ? read_plain(tls) : vy_ok();
}

static void advance(struct tls_pipe *tls, struct vy_bytes bytes)
{
    if (tls->is_closed_told) {
        return;
    }
    tls->hold_count++;
    const struct vy_err err = take_input(tls, bytes);
    pump_out(tls); /* an alert tells the peer why */
    if (vy_failed(err)) {
        tell_closed(tls, err);
    }
    tls_release(tls);
}

static void inner_on_open(void *arg, const struct rpc_pipe_peer *peer)
{
    (void)peer;
    advance(arg, vy_bytes(NULL, 0));
}

static void inner_on_data(void *arg, struct vy_bytes bytes)
{
    advance(arg, bytes);
}

static void inner_on_sent(void *arg)
{
    struct tls_pipe *tls = arg;
    tls->is_inner_busy = false;
    tls->hold_count++;
    pump_out(tls);
    if (!tls->is_inner_busy && tls->owes_sent) {
        tls->owes_sent = false;
        tls->pipe.events->on_sent(tls->pipe.arg);
    }
    tls_release(tls);
}

static void inner_on_closed(void *arg, struct vy_err why)
{
    struct tls_pipe *tls = arg;
    tls->hold_count++;
    tell_closed(tls, why);
    tls_release(tls);
}

static const struct rpc_pipe_events inner_events = {.on_open = inner_on_open,
                                                    .on_data = inner_on_data,
                                                    .on_sent = inner_on_sent,
                                                    .on_closed = inner_on_closed};

/* ---- outgoing ---- */

static void tls_start(struct rpc_pipe *pipe)
{
    struct tls_pipe *tls = VY_CONTAINER_OF(pipe, struct tls_pipe, pipe);
    rpc_pipe_start(tls->inner, &inner_events, tls);
}

static void tls_send(struct rpc_pipe *pipe, struct rpc_block_list *blocks)
{
    struct tls_pipe *tls = VY_CONTAINER_OF(pipe, struct tls_pipe, pipe);
    struct rpc_block *block = rpc_block_list_pop(blocks);
    ERR_clear_error();
    while (block != NULL) {
        const struct vy_bytes bytes = rpc_block_bytes(block);
        /* Into memory: all or, without memory, nothing; the peer then sees a broken record and
         * closes. */
        (void)SSL_write(tls->ssl, bytes.data, (int)bytes.len);
        rpc_block_free(block);
        block = rpc_block_list_pop(blocks);
    }
    tls->owes_sent = true;
    pump_out(tls);
}

static void tls_close(struct rpc_pipe *pipe)
{
    struct tls_pipe *tls = VY_CONTAINER_OF(pipe, struct tls_pipe, pipe);
    VY_ASSERT(!tls->is_closed);
    tls->is_closed = true;
    rpc_pipe_close(tls->inner);
    if (tls->hold_count == 0) {
        tls_free(tls);
    }
}

static const struct rpc_pipe_ops tls_pipe_ops = {
    .start = tls_start, .send = tls_send, .close = tls_close};

static struct vy_err init_ssl(struct tls_pipe *tls, bool is_dialer)
{
    tls->ssl = SSL_new(rpc_tls_context_get(tls->config->tls, is_dialer));
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    if (tls->ssl == NULL || tls->in == NULL || tls->out == NULL) {
        BIO_free(tls->in);
        BIO_free(tls->out);
        ERR_clear_error();
        return vy_error(VY_CODE_NOMEM, "tls");
    }
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    if (is_dialer) {
        SSL_set_connect_state(tls->ssl);
    } else {
        SSL_set_accept_state(tls->ssl);
    }
    return vy_ok();
}

struct vy_err rpc_tls_pipe_new(const struct rpc_config *config, struct rpc_pipe *inner,
                               bool is_dialer, struct rpc_pipe **out)
{
    struct tls_pipe *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        rpc_pipe_close(inner);
        return vy_error(VY_CODE_NOMEM, "tls pipe");
    }
    tls->pipe.ops = &tls_pipe_ops;
    tls->inner = inner;
    tls->config = config;
    const struct vy_err err = init_ssl(tls, is_dialer);
    if (vy_failed(err)) {
        rpc_pipe_close(inner);
        tls_free(tls);
        return err;
    }
    *out = &tls->pipe;
    return vy_ok();
}
