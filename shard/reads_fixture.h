/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For tests of what comes in and is read: one account's INBOX on a shard in memory, calls in one
 * line, and the fetch stream as a list of messages. */
#include "mail/section.h"
#include "proto/fetch_stream.h"
#include "proto/methods.h"
#include "proto/shard.pb.h"
#include "tests/lib/shard_local.h"

#define READS_ACCOUNT 5U
#define READS_MESSAGES_MAX 1024U
#define READS_SECTIONS_MAX 16U

struct reads_section {
    enum fetch_section_status status;
    uint64_t total_bytes;
    struct vy_bytes bytes;
};
struct reads_message {
    uint32_t uid;
    uint32_t flags;
    uint64_t modseq;
    uint64_t size_bytes;
    uint64_t internal_ms;
    int32_t zone_minutes;
    uint8_t email_id[FETCH_ID_BYTES];
    uint8_t thread_id[FETCH_ID_BYTES];
    struct vy_bytes keyword_bits;
    struct vy_bytes texts[FETCH_TEXT_COUNT];
    struct reads_section sections[READS_SECTIONS_MAX];
    uint32_t section_count;
};
struct reads_fetched {
    struct reads_message messages[READS_MESSAGES_MAX];
    size_t count;
    size_t rows; /* all of them, also behind READS_MESSAGES_MAX */
    size_t expunged;
    size_t unreadable;
    bool is_at_end; /* the stream could end where it did */
};

struct reads {
    struct shard_local *local;
    const struct shard_actor *actor;
    uint64_t mailbox_id; /* INBOX, once something is in it */
    struct reads_fetched *fetched;
};
void reads_init(struct reads *r);
void reads_deinit(struct reads *r);

/* Into INBOX; the UID. */
uint32_t reads_append(struct reads *r, struct vy_bytes message);
uint32_t reads_append_cstr(struct reads *r, const char *message);
struct vy_err reads_append_as(struct reads *r, const struct message_append_request *request,
                              struct vy_bytes stream, struct message_append_reply *reply);
struct vy_err reads_deliver(struct reads *r, const uint64_t *accounts, size_t count,
                            struct vy_bytes body, const uint8_t *key,
                            struct message_deliver_reply *reply);
struct vy_bytes reads_uids(struct reads *r, uint32_t first, uint32_t last);
/* mailbox and actor are filled in, and uids: all, when they are empty. */
struct vy_err reads_fetch(struct reads *r, const struct message_fetch_request *request);
/* Decodes a stream into r->fetched. */
void reads_decode(struct reads *r, struct vy_bytes stream);
/* One section of one message. */
const struct reads_section *reads_section(struct reads *r, uint32_t uid,
                                          const struct fetch_section *section);
/* BODY[] */
struct vy_bytes reads_whole(struct reads *r, uint32_t uid);
/* The UIDs found, as text ("1:3,5"). */
const char *reads_search(struct reads *r, const struct search_step *steps, size_t count);
struct vy_err reads_expunge(struct reads *r, uint32_t uid);
void reads_open_view(struct reads *r, uint64_t view_id);
/* Some message, by chance: nested parts, odd boundaries, bare LF, long lines, 8-bit. */
struct vy_bytes reads_generate(struct reads *r, struct vy_rng *rng);
struct vy_bytes reads_random_bytes(struct reads *r, struct vy_rng *rng, size_t len);
