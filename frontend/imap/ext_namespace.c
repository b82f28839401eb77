/* SPDX-License-Identifier: Apache-2.0 */
/* NAMESPACE (RFC 2342): one personal namespace without a prefix, none of others. */
#include "frontend/imap/commands.h"

static void namespace_start(struct imap_session *s)
{
    vy_buf_append_cstr(&s->out, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    imap_end_ok(s, NULL, "NAMESPACE completed");
}

/* clang-format off */
static const struct imap_command namespace_rows[] = {
    /* name        legal in         traits  parse  start            resume */
    { "NAMESPACE", IMAP_IN_ACCOUNT, 0,      NULL,  namespace_start, NULL },
};
/* clang-format on */
const struct imap_extension imap_ext_namespace = {
    .capability = "NAMESPACE", .capability_states = IMAP_IN_ACCOUNT, IMAP_COMMANDS(namespace_rows)};
