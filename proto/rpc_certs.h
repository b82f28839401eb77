/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For tests: certificate authorities and node certificates, made at test time in a folder of its
 * own. Nothing here is fit for anything else.
 */
#include "proto/rpc_tls.h"
#include <stdbool.h>
#include <stdint.h>

#define RPC_CERTS_PATH_BYTES 256U

struct rpc_certs {
    char folder[RPC_CERTS_PATH_BYTES];
};
void rpc_certs_init(struct rpc_certs *certs);   /* a new folder under the temporary one */
void rpc_certs_deinit(struct rpc_certs *certs); /* removes it, with what is in it */
/* Makes CA "name": name.pem and name.key. */
void rpc_certs_make_ca(const struct rpc_certs *certs, const char *name);

struct rpc_certs_leaf {
    const char *name;    /* of its files */
    const char *ca;      /* who signs */
    const char *san;     /* "URI:spiffe://test/shard/shard-1,DNS:localhost"; NULL: none */
    int64_t from_s;      /* validity, from now; 0: an hour ago */
    int64_t until_s;     /* 0: in an hour */
    bool is_server_only; /* extended key usage: no client */
};
void rpc_certs_make(const struct rpc_certs *certs, const struct rpc_certs_leaf *leaf);
/* out: RPC_CERTS_PATH_BYTES; suffix ".pem" or ".key" */
void rpc_certs_path(const struct rpc_certs *certs, const char *name, const char *suffix, char *out);
/* A context of the link from leaf `name`, trusting `ca`. */
struct rpc_tls_context *rpc_certs_context(const struct rpc_certs *certs, const char *name,
                                          const char *ca);
