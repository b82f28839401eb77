/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of messages between the client's numbers, the view and the link's uid_set. */
#include "frontend/imap/imap.h"

#define UID_SET_BYTES_MAX 4194304U /* of one request (RPC messages) */

struct vy_err imap_parse_set(struct imap_parser *p, struct seqset *out)
{
    struct vy_bytes text = {.data = NULL};
    VY_TRY(imap_parse_set_text(p, &text));
    return seqset_parse(p->arena, text, out);
}

struct vy_err imap_set_resolve(const struct seqset *set, const struct imap_view *view, bool by_uid,
                               struct uidset *out)
{
    const uint32_t largest = by_uid ? uidset_last(&view->uids) : uidset_count(&view->uids);
    struct uidset numbers;
    uidset_init(&numbers);
    const struct vy_err err = seqset_resolve(set, largest, &numbers);
    if (!vy_failed(err) && by_uid) {
        uidset_intersect(&view->uids, &numbers, out);
    } else if (!vy_failed(err)) {
        uidset_select(&view->uids, &numbers, out);
    }
    uidset_deinit(&numbers);
    return vy_failed(err) ? err : uidset_error(out);
}

struct vy_err imap_uids_encode(struct vy_arena *arena, const struct uidset *uids,
                               struct vy_bytes *out)
{
    struct vy_buf encoded;
    vy_buf_init(&encoded, UID_SET_BYTES_MAX);
    uidset_encode(&encoded, uids);
    struct vy_err err = vy_buf_error(&encoded);
    if (!vy_failed(err)) {
        err = vy_arena_dup(arena, vy_buf_bytes(&encoded), out);
    }
    vy_buf_deinit(&encoded);
    return err;
}

struct vy_err imap_set_encode(struct imap_session *s, const struct seqset *set, bool by_uid,
                              struct vy_bytes *out)
{
    struct uidset uids;
    uidset_init(&uids);
    struct vy_err err = imap_set_resolve(set, s->view, by_uid, &uids);
    *out = vy_bytes(NULL, 0);
    if (!vy_failed(err) && !uidset_is_empty(&uids)) {
        err = imap_uids_encode(&s->cmd_arena, &uids, out);
    }
    uidset_deinit(&uids);
    return err;
}
