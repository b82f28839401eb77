/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * SCRAM-SHA-256, the server's half: messages and proofs (RFC 5802, RFC 7677). Pure; knows neither
 * accounts nor calls.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define SCRAM_MESSAGE_BYTES_MAX 4096U
#define SCRAM_NONCE_BYTES_MAX 256U
#define SCRAM_KEY_BYTES 32U
#define SCRAM_ITERATIONS_MIN 4096U /* RFC 7677 section 4 */

enum scram_binding {
    SCRAM_BINDING_NONE,      /* "n": the client cannot */
    SCRAM_BINDING_NOT_THERE, /* "y": it can, and thinks that the server cannot */
    SCRAM_BINDING_USED       /* "p=name" */
};
struct scram_client_first {
    struct vy_bytes gs2_header; /* as received, with its last comma */
    struct vy_bytes bare;
    enum scram_binding binding;
    struct vy_bytes binding_name; /* "tls-exporter" */
    struct vy_bytes authzid;      /* decoded; empty: none */
    struct vy_bytes name;         /* decoded */
    struct vy_bytes nonce;
};
/* @arena owns decoded names; the rest borrows from text. @errors SYNTAX, LIMIT, UNSUPPORTED "m=" */
VY_CHECKED struct vy_err scram_parse_client_first(struct vy_arena *arena, struct vy_bytes text,
                                                  struct scram_client_first *out);

struct scram_client_final {
    struct vy_bytes binding; /* decoded "c=": gs2 header and channel binding data */
    struct vy_bytes nonce;
    struct vy_bytes without_proof;
    uint8_t proof[SCRAM_KEY_BYTES];
};
VY_CHECKED struct vy_err scram_parse_client_final(struct vy_arena *arena, struct vy_bytes text,
                                                  struct scram_client_final *out);

/* "r=<client nonce><server nonce>,s=<salt>,i=<iterations>" */
void scram_append_server_first(struct vy_buf *out, struct vy_bytes nonce, struct vy_bytes salt,
                               uint32_t iterations);
/* "v=<server signature>" */
void scram_append_server_final(struct vy_buf *out, const uint8_t signature[SCRAM_KEY_BYTES]);

/* What is stored for a password. @blocks iterations times about 0.65 us. @errors NOMEM, ARGUMENT */
VY_CHECKED struct vy_err scram_make_keys(struct vy_bytes password, struct vy_bytes salt,
                                         uint32_t iterations, uint8_t stored_key[SCRAM_KEY_BYTES],
                                         uint8_t server_key[SCRAM_KEY_BYTES]);

/* What both sides signed; out: the arena's. */
VY_CHECKED struct vy_err scram_auth_message(struct vy_arena *arena, struct vy_bytes client_bare,
                                            struct vy_bytes server_first,
                                            struct vy_bytes without_proof, struct vy_bytes *out);
/* Does the proof hold for the stored key? In constant time. */
bool scram_check_proof(struct vy_bytes stored_key, struct vy_bytes auth_message,
                       const uint8_t proof[SCRAM_KEY_BYTES]);
void scram_server_signature(struct vy_bytes server_key, struct vy_bytes auth_message,
                            uint8_t out[SCRAM_KEY_BYTES]);
