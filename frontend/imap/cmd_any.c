/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of any state (RFC 3501 section 6.1), and CHECK, which here is a NOOP of SELECTED. */
#include "frontend/imap/commands.h"

static void capability_start(struct imap_session *s)
{
    vy_buf_append_cstr(&s->out, "* CAPABILITY ");
    imap_write_capabilities(s, &s->out);
    vy_buf_append_cstr(&s->out, "\r\n");
    imap_end_ok(s, NULL, "CAPABILITY completed");
}

static void noop_start(struct imap_session *s)
{
    imap_end_ok(s, NULL, "Done");
}

static void logout_start(struct imap_session *s)
{
    vy_buf_append_cstr(&s->out, "* BYE Logging out\r\n");
    s->run.closes = true;
    imap_end_ok(s, NULL, "LOGOUT completed");
}

/* clang-format off */
static const struct imap_command any_rows[] = {
    /* name         legal in            traits        parse  start             resume */
    { "CAPABILITY", IMAP_IN_ANY,        0,            NULL,  capability_start, NULL },
    { "NOOP",       IMAP_IN_ANY,        IMAP_SYNC,    NULL,  noop_start,       NULL },
    { "LOGOUT",     IMAP_IN_ANY,        IMAP_NO_SYNC, NULL,  logout_start,     NULL },
    { "CHECK",      IMAP_IN(SELECTED),  IMAP_SYNC,    NULL,  noop_start,       NULL },
};
/* clang-format on */
const struct imap_extension imap_any_commands = {IMAP_COMMANDS(any_rows)};
