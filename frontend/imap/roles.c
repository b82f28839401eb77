/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/imap/roles.h"
#include "base/assert.h"

static const struct {
    enum mailbox_role role;
    const char *attribute;
} roles[] = {
    {MAILBOX_ROLE_DRAFTS,  "\\Drafts" },
    {MAILBOX_ROLE_SENT,    "\\Sent"   },
    {MAILBOX_ROLE_JUNK,    "\\Junk"   },
    {MAILBOX_ROLE_TRASH,   "\\Trash"  },
    {MAILBOX_ROLE_ARCHIVE, "\\Archive"},
    {MAILBOX_ROLE_ALL,     "\\All"    },
    {MAILBOX_ROLE_FLAGGED, "\\Flagged"},
};

const char *imap_role_attribute(enum mailbox_role role)
{
    for (size_t i = 0; i < VY_COUNT_OF(roles); i++) {
        if (roles[i].role == role) {
            return roles[i].attribute;
        }
    }
    return NULL;
}

enum mailbox_role imap_role_find(struct vy_bytes attribute)
{
    for (size_t i = 0; i < VY_COUNT_OF(roles); i++) {
        if (vy_bytes_equal_nocase(attribute, vy_cstr(roles[i].attribute))) {
            return roles[i].role;
        }
    }
    return MAILBOX_ROLE_NONE;
}
