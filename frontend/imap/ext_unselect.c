/* SPDX-License-Identifier: Apache-2.0 */
/* UNSELECT (RFC 3691): CLOSE without its expunge. */
#include "frontend/imap/commands.h"

static void unselect_start(struct imap_session *s)
{
    imap_session_leave_mailbox(s);
    imap_end_ok(s, NULL, "UNSELECT completed");
}

/* clang-format off */
static const struct imap_command unselect_rows[] = {
    /* name       legal in           traits        parse  start           resume */
    { "UNSELECT", IMAP_IN(SELECTED), IMAP_NO_SYNC, NULL,  unselect_start, NULL },
};
/* clang-format on */
const struct imap_extension imap_ext_unselect = {
    .capability = "UNSELECT", .capability_states = IMAP_IN_ACCOUNT, IMAP_COMMANDS(unselect_rows)};
