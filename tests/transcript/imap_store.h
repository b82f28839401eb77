/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One account in memory for IMAP transcripts: mailboxes, messages, modseqs. As simple as can be
 * checked by eye; the real rules are the shard's. Nothing here fails: a test that runs out of
 * memory stops.
 */
#include "base/buf.h"
#include "frontend/imap/imap.h"
#include "proto/shard.pb.h"

#define STORE_MAILBOXES_MAX 64U
#define STORE_KEYWORDS_MAX 64U

struct store_message {
    uint32_t uid;
    uint32_t flags;
    uint64_t keywords; /* bit n: keyword n of the mailbox */
    uint64_t modseq;
    uint64_t added_modseq;
    uint64_t internal_ms;
    int32_t zone_minutes;
    bool is_expunged;
    bool is_recent;
    struct vy_buf text; /* owned */
};
struct store_mailbox {
    uint64_t id; /* 0: free */
    char name[512];
    enum mailbox_role role;
    bool exists;
    bool subscribed;
    bool no_select;
    uint32_t uidvalidity;
    uint32_t uidnext;
    uint64_t modseq;
    struct store_message *messages; /* owned; expunged ones stay, for views */
    size_t count;
    char keywords[STORE_KEYWORDS_MAX][65];
    uint32_t keyword_count;
};
struct store {
    struct store_mailbox mailboxes[STORE_MAILBOXES_MAX];
    uint64_t modseq;
    uint64_t next_id;
    struct vy_buf events; /* of the watch, not taken yet */
    bool session_over;
    uint64_t quota_bytes;
};

struct store *store_new(void);
void store_free(struct store *store);
struct store_mailbox *store_find(struct store *store, struct vy_bytes name);
struct store_mailbox *store_find_id(struct store *store, uint64_t id);
struct store_mailbox *store_add_mailbox(struct store *store, struct vy_bytes name,
                                        enum mailbox_role role);
/* flags and keywords to be set by the caller; the change is noted. */
struct store_message *store_add_message(struct store *store, struct store_mailbox *mailbox,
                                        struct vy_bytes text);
struct store_message *store_find_message(struct store_mailbox *mailbox, uint32_t uid);
/* The bit of a keyword, made when new. */
uint32_t store_keyword(struct store_mailbox *mailbox, struct vy_bytes name);
/* A change to the mailbox: its modseq, told to the watch. */
uint64_t store_touch(struct store *store, struct store_mailbox *mailbox);
void store_collect_uids(const struct store_mailbox *mailbox, bool recent_only, struct uidset *out);
/* The message as a section of MAIL_SECTION_*: false when there is none. Appends. */
bool store_section(const struct store_message *message, const struct fetch_section *section,
                   struct vy_buf *out);
/* The value of the first header field of this name. */
struct vy_bytes store_header(const struct store_message *message, struct vy_bytes name);
struct vy_bytes store_body(const struct store_message *message);
/* Does the message satisfy the program? */
bool store_search(const struct store_mailbox *mailbox, const struct store_message *message,
                  const struct search_step *steps, size_t count);
