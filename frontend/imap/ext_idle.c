/* SPDX-License-Identifier: Apache-2.0 */
/* IDLE (RFC 2177): changes are told as the account's feed speaks of them, until DONE. */
#include "frontend/imap/commands.h"

static void idle_on_line(struct imap_session *s, struct vy_bytes line)
{
    s->run.on_line = NULL;
    if (!vy_bytes_equal_nocase(line, VY_LIT("DONE"))) {
        imap_end_bad(s, "DONE is expected"); /* I24 */
        return;
    }
    s->run.is_synced = true; /* what is new has been told as it came */
    imap_end_ok(s, NULL, "IDLE ended");
}

static void idle_start(struct imap_session *s)
{
    imap_watch_open(s);
    vy_buf_append_cstr(&s->out, "+ idling\r\n");
    s->run.on_line = idle_on_line;
    s->run.wants_sync = true;
    if (s->view != NULL) {
        imap_sync_start(s);
    }
}

/* clang-format off */
static const struct imap_command idle_rows[] = {
    /* name   legal in         traits  parse  start       resume */
    { "IDLE", IMAP_IN_ACCOUNT, 0,      NULL,  idle_start, NULL },
};
/* clang-format on */
const struct imap_extension imap_ext_idle = {
    .capability = "IDLE", .capability_states = IMAP_IN_ACCOUNT, IMAP_COMMANDS(idle_rows)};
