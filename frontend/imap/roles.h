/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The special uses of mailboxes (RFC 6154) and their attributes. */
#include "base/bytes.h"
#include "proto/shard.pb.h"

/* "\Sent"; NULL for roles without an attribute (INBOX, none). */
const char *imap_role_attribute(enum mailbox_role role);
/* The role of an attribute; NONE: not one of ours. */
enum mailbox_role imap_role_find(struct vy_bytes attribute);
