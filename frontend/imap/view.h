/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The selected mailbox as this client has been told of it: which UIDs stand at which sequence
 * numbers, what \Recent is shown on, how keywords are named, and up to which modseq everything was
 * told. Grows and shrinks only as EXISTS and EXPUNGE are written. Pure memory; knows no calls.
 */
#include "base/buf.h"
#include "mail/uidset.h"

#define IMAP_KEYWORDS_MAX 256U /* I19 */
#define IMAP_OWN_MODSEQS_MAX 8U

struct imap_view {
    struct vy_bytes name; /* owned; UTF-8 */
    uint64_t mailbox_id;
    uint64_t view_id;
    uint32_t uidvalidity;
    uint32_t uidnext;
    bool is_read_only;
    struct uidset uids;
    struct uidset recent;
    struct vy_buf keywords; /* names behind one another, each behind its length byte; index = bit */
    uint32_t keyword_count;
    uint64_t told_modseq; /* all changes up to here have been told */
    uint64_t hint_modseq; /* the shard has spoken of changes up to here */
    /* Changes of this session above told_modseq: the client knows them already. */
    uint64_t own_modseqs[IMAP_OWN_MODSEQS_MAX];
    uint32_t own_count;
    bool must_sync; /* ask at the next chance, whatever the hints say */
};

VY_CHECKED struct vy_err imap_view_new(struct vy_bytes name, struct imap_view **out);
void imap_view_free(struct imap_view *view);

/* Replaces the keyword names. @errors NOMEM; the old ones are kept */
VY_CHECKED struct vy_err imap_view_set_keywords(struct imap_view *view,
                                                const struct vy_bytes *names, size_t count);
/* The name of a keyword bit; empty when the mailbox has none such. */
struct vy_bytes imap_view_keyword(const struct imap_view *view, uint32_t bit);

static inline uint32_t imap_view_exists(const struct imap_view *view)
{
    return uidset_count(&view->uids);
}

/*
 * Takes UIDs out and writes their EXPUNGEs, from the highest sequence number down so that each is
 * right when it is read. UIDs that are not there are passed over.
 *
 * @errors NOMEM; the view is as before and nothing is written
 */
VY_CHECKED struct vy_err imap_view_expunge(struct imap_view *view, const struct uidset *gone,
                                           struct vy_buf *out);
/* Adds UIDs behind the last (others are passed over); true when there were any. @errors NOMEM */
VY_CHECKED struct vy_err imap_view_add(struct imap_view *view, const struct uidset *uids,
                                       bool *added);

/*
 * This session changed the mailbox at `modseq`; previous: the mailbox's modseq before that (0: not
 * known). When nothing of others stands between, everything up to it has been told. Else a sync is
 * due, which passes over this change if `was_told`: the client has seen its outcome (.SILENT hides
 * what others did to the same messages).
 */
void imap_view_note_own(struct imap_view *view, uint64_t modseq, uint64_t previous, bool was_told);
bool imap_view_is_own(const struct imap_view *view, uint64_t modseq);
/* Everything up to modseq has been told. */
void imap_view_note_told(struct imap_view *view, uint64_t modseq);
/* Is there anything that the client has not been told? As far as the hints say. */
bool imap_view_is_behind(const struct imap_view *view);
