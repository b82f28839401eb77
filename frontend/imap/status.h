/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The items of STATUS, for the command and for LIST RETURN (STATUS ...). */
#include "frontend/imap/imap.h"

/* "(MESSAGES UNSEEN)" into bits. @errors SYNTAX */
VY_CHECKED struct vy_err imap_parse_status_items(struct imap_session *s, struct imap_parser *p,
                                                 uint32_t *out);
/* One untagged STATUS. */
void imap_write_status(struct imap_session *s, const struct mailbox_info *info, uint32_t items);
