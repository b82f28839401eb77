/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A client that signs in at the real SMTP and IMAP cores, which call the real meta in memory: what
 * the server says, byte for byte. The shell between them is this file: it hands over actions and
 * answers, and lets time pass where an answer is late.
 */
#include "tests/lib/meta_local.h"

enum sign_in_protocol { SIGN_IN_SMTP, SIGN_IN_IMAP, SIGN_IN_PROTOCOLS };
enum sign_in_mechanism {
    SIGN_IN_PLAIN,
    SIGN_IN_LOGIN,
    SIGN_IN_SCRAM,
    SIGN_IN_PLUS_EXPORTER,
    SIGN_IN_PLUS_END_POINT,
    SIGN_IN_COMMAND, /* IMAP's LOGIN */
    SIGN_IN_OAUTHBEARER,
    SIGN_IN_MECHANISMS
};
/* OAUTHBEARER is not there yet; LOGIN the command is IMAP's. */
bool sign_in_has(enum sign_in_protocol protocol, enum sign_in_mechanism mechanism);
const char *sign_in_text(enum sign_in_protocol protocol, enum sign_in_mechanism mechanism);

struct sign_in_try {
    enum sign_in_protocol protocol;
    enum sign_in_mechanism mechanism;
    bool is_plaintext; /* else inside TLS */
    bool hashes;       /* Argon2id is really computed; else a wrong tag is handed in */
    const char *authzid;
    const char *name;
    const char *secret;
};
#define SIGN_IN_BYTES_MAX 8192U
struct sign_in_heard {
    char last[SIGN_IN_BYTES_MAX]; /* the answer to the try, without its tag and line end */
    /* All lines of the exchange; in the challenges of SCRAM what differs from try to try, nonce and
     * salt, is x. */
    char dialogue[SIGN_IN_BYTES_MAX];
};
void sign_in(struct meta_local *local, const struct sign_in_try *try, struct sign_in_heard *out);
