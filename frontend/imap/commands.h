/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The families of commands, one file each; commands.c puts them in one list. */
#include "frontend/imap/imap.h"

extern const struct imap_extension imap_any_commands;  /* cmd_any.c: CAPABILITY NOOP LOGOUT CHECK */
extern const struct imap_extension imap_auth_commands; /* cmd_auth.c: STARTTLS LOGIN AUTHENTICATE */
extern const struct imap_extension imap_select_commands; /* cmd_select.c: SELECT EXAMINE CLOSE */
extern const struct imap_extension
    imap_mailbox_commands; /* cmd_mailbox.c: CREATE DELETE RENAME (UN)SUBSCRIBE */
extern const struct imap_extension imap_list_commands;    /* cmd_list.c: LIST LSUB */
extern const struct imap_extension imap_status_commands;  /* cmd_status.c */
extern const struct imap_extension imap_append_commands;  /* cmd_append.c */
extern const struct imap_extension imap_fetch_commands;   /* cmd_fetch.c: (UID) FETCH */
extern const struct imap_extension imap_store_commands;   /* cmd_store.c: (UID) STORE */
extern const struct imap_extension imap_search_commands;  /* cmd_search.c: (UID) SEARCH */
extern const struct imap_extension imap_copy_commands;    /* cmd_copy.c: (UID) COPY */
extern const struct imap_extension imap_expunge_commands; /* cmd_expunge.c: EXPUNGE */

extern const struct imap_extension imap_ext_enable;
extern const struct imap_extension imap_ext_id;
extern const struct imap_extension imap_ext_idle;
extern const struct imap_extension imap_ext_move; /* cmd_copy.c */
extern const struct imap_extension imap_ext_namespace;
extern const struct imap_extension imap_ext_quota;
extern const struct imap_extension imap_ext_uidplus; /* cmd_expunge.c */
extern const struct imap_extension imap_ext_unselect;
