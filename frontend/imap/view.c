/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/imap/view.h"
#include "base/assert.h"
#include "frontend/imap/writer.h"
#include <stdlib.h>

#define KEYWORD_NAMES_BYTES_MAX (IMAP_KEYWORDS_MAX * 256U)

struct vy_err imap_view_new(struct vy_bytes name, struct imap_view **out)
{
    struct imap_view *const view = calloc(1, sizeof(*view));
    uint8_t *const copy = malloc(name.len + 1);
    if (view == NULL || copy == NULL) {
        free(view);
        free(copy);
        return vy_error(VY_CODE_NOMEM, "mailbox view");
    }
    memcpy(copy, name.data, name.len);
    view->name = vy_bytes(copy, name.len);
    vy_buf_init(&view->keywords, KEYWORD_NAMES_BYTES_MAX);
    *out = view;
    return vy_ok();
}

void imap_view_free(struct imap_view *view)
{
    if (view == NULL) {
        return;
    }
    free((uint8_t *)(uintptr_t)view->name.data);
    uidset_deinit(&view->uids);
    uidset_deinit(&view->recent);
    vy_buf_deinit(&view->keywords);
    free(view);
}

struct vy_err imap_view_set_keywords(struct imap_view *view, const struct vy_bytes *names,
                                     size_t count)
{
    struct vy_buf keywords;
    vy_buf_init(&keywords, KEYWORD_NAMES_BYTES_MAX);
    const size_t kept = VY_MIN(count, (size_t)IMAP_KEYWORDS_MAX);
    for (size_t i = 0; i < kept; i++) {
        const struct vy_bytes name = vy_bytes_slice(names[i], 0, UINT8_MAX);
        vy_buf_append_byte(&keywords, (uint8_t)name.len);
        vy_buf_append(&keywords, name);
    }
    const struct vy_err err = vy_buf_error(&keywords);
    if (vy_failed(err)) {
        vy_buf_deinit(&keywords);
        return err;
    }
    vy_buf_deinit(&view->keywords);
    view->keywords = keywords;
    view->keyword_count = (uint32_t)kept;
    return vy_ok();
}

struct vy_bytes imap_view_keyword(const struct imap_view *view, uint32_t bit)
{
    struct vy_bytes rest = vy_buf_bytes(&view->keywords);
    if (bit >= view->keyword_count) {
        return vy_bytes(NULL, 0);
    }
    for (uint32_t i = 0; i < bit; i++) {
        rest = vy_bytes_from(rest, 1 + (size_t)rest.data[0]);
    }
    return vy_bytes_slice(rest, 1, rest.data[0]);
}

/* One line per message; `from` is the lowest UID of a run in both the view and the vanished. */
static void write_expunges(struct vy_buf *out, uint32_t place_of_first, uint32_t count)
{
    for (uint32_t i = count; i > 0; i--) {
        char line[40] = "* ";
        char *at = imap_put_u64(line + 2, (uint64_t)place_of_first + i - 1);
        memcpy(at, " EXPUNGE\r\n", 10);
        vy_buf_append(out, vy_bytes(line, (size_t)(at + 10 - line)));
    }
}

struct vy_err imap_view_expunge(struct imap_view *view, const struct uidset *gone,
                                struct vy_buf *out)
{
    struct uidset going = {.ranges = NULL};
    struct uidset left = {.ranges = NULL};
    struct uidset recent = {.ranges = NULL};
    uidset_intersect(&view->uids, gone, &going);
    uidset_subtract(&view->uids, &going, &left);
    uidset_subtract(&view->recent, &going, &recent);
    if (going.failed || left.failed || recent.failed) {
        uidset_deinit(&going);
        uidset_deinit(&left);
        uidset_deinit(&recent);
        return vy_error(VY_CODE_NOMEM, "mailbox view");
    }
    for (size_t i = going.count; i > 0; i--) {
        const struct uidset_range *const run = &going.ranges[i - 1];
        /* A run of UIDs that are all there has rising places without gaps, whatever UIDs lie
         * between them. */
        write_expunges(out, uidset_rank(&view->uids, run->first), run->last - run->first + 1);
    }
    uidset_move(&view->uids, &left);
    uidset_move(&view->recent, &recent);
    uidset_deinit(&going);
    return vy_ok();
}

struct vy_err imap_view_add(struct imap_view *view, const struct uidset *uids, bool *added)
{
    const uint32_t last = uidset_last(&view->uids);
    *added = false;
    for (size_t i = 0; i < uids->count; i++) {
        const struct uidset_range *const range = &uids->ranges[i];
        if (range->last <= last) {
            continue;
        }
        uidset_add_range(&view->uids, VY_MAX(range->first, last + 1), range->last);
        *added = true;
    }
    return uidset_error(&view->uids);
}

static void drop_own_below(struct imap_view *view)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < view->own_count; i++) {
        if (view->own_modseqs[i] > view->told_modseq) {
            view->own_modseqs[kept++] = view->own_modseqs[i];
        }
    }
    view->own_count = kept;
}

void imap_view_note_told(struct imap_view *view, uint64_t modseq)
{
    view->told_modseq = VY_MAX(view->told_modseq, modseq);
    drop_own_below(view);
}

void imap_view_note_own(struct imap_view *view, uint64_t modseq, uint64_t previous, bool was_told)
{
    if (modseq <= view->told_modseq) {
        return;
    }
    view->hint_modseq = VY_MAX(view->hint_modseq, modseq);
    if (previous != 0 && previous <= view->told_modseq) {
        imap_view_note_told(view, modseq);
        return;
    }
    if (was_told && view->own_count < IMAP_OWN_MODSEQS_MAX) {
        view->own_modseqs[view->own_count++] = modseq;
    }
    view->must_sync = true; /* others may have changed something between told and this */
}

bool imap_view_is_own(const struct imap_view *view, uint64_t modseq)
{
    for (uint32_t i = 0; i < view->own_count; i++) {
        if (view->own_modseqs[i] == modseq) {
            return true;
        }
    }
    return false;
}

bool imap_view_is_behind(const struct imap_view *view)
{
    return view->must_sync || view->hint_modseq > view->told_modseq;
}
