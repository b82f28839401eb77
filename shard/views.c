/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/views.h"
#include "base/list.h"
#include "base/map.h"
#include "shard/service_private.h"
#include <stdlib.h>

struct view {
    uint64_t view_id;
    uint64_t mailbox_id;
    uint64_t told_modseq;
    uint64_t expires_ms; /* monotonic */
    bool is_read_only;
    struct account_views *owner;
    struct vy_list of_account;
    struct vy_list by_lease;
};

struct account_views {
    uint64_t account_id;
    size_t count;
    struct vy_list views;
};

struct views {
    struct service *service; /* borrowed */
    struct vy_map accounts;  /* id -> struct account_views, owned */
    struct vy_list by_lease; /* all views, the one that ends first in front */
    size_t count;
};

struct vy_err views_new(struct service *service, struct views **out)
{
    struct views *views = calloc(1, sizeof(*views));

    if (views == NULL) {
        return vy_error(VY_CODE_NOMEM, "allocate views");
    }
    views->service = service;
    vy_map_init(&views->accounts, service->config.hash_seed);
    vy_list_init(&views->by_lease);
    *out = views;
    return vy_ok();
}

static void drop(struct views *views, struct view *view)
{
    struct account_views *owner = view->owner;

    vy_list_remove(&view->of_account);
    vy_list_remove(&view->by_lease);
    free(view);
    views->count--;
    owner->count--;
    if (owner->count == 0) {
        vy_map_remove(&views->accounts, owner->account_id);
        free(owner);
    }
}

void views_clear(struct views *views)
{
    while (!vy_list_is_empty(&views->by_lease)) {
        drop(views, VY_CONTAINER_OF(views->by_lease.next, struct view, by_lease));
    }
}

void views_free(struct views *views)
{
    if (views == NULL) {
        return;
    }
    views_clear(views);
    vy_map_deinit(&views->accounts);
    free(views);
}

static struct view *find(const struct views *views, uint64_t account_id, uint64_t view_id)
{
    const struct account_views *owner = vy_map_get(&views->accounts, account_id);

    if (owner == NULL) {
        return NULL;
    }
    VY_LIST_FOREACH(item, &owner->views)
    {
        struct view *view = VY_CONTAINER_OF(item, struct view, of_account);
        if (view->view_id == view_id) {
            return view;
        }
    }
    return NULL;
}

static struct account_views *open_owner(struct views *views, uint64_t account_id)
{
    struct account_views *owner = vy_map_get(&views->accounts, account_id);

    if (owner != NULL) {
        return owner;
    }
    owner = calloc(1, sizeof(*owner));
    if (owner == NULL || vy_failed(vy_map_put(&views->accounts, account_id, owner))) {
        free(owner);
        return NULL;
    }
    owner->account_id = account_id;
    vy_list_init(&owner->views);
    return owner;
}

static struct vy_err make(struct views *views, uint64_t account_id, uint64_t view_id,
                          struct view **out)
{
    struct account_views *owner = views->count >= VIEWS_MAX ? NULL : open_owner(views, account_id);

    if (owner == NULL || owner->count >= VIEWS_ACCOUNT_MAX) {
        return vy_error(VY_CODE_BUSY, "too many mailboxes are selected");
    }
    struct view *view = calloc(1, sizeof(*view));
    if (view == NULL) {
        if (owner->count == 0) {
            vy_map_remove(&views->accounts, account_id);
            free(owner);
        }
        return vy_error(VY_CODE_NOMEM, "register view");
    }
    view->view_id = view_id;
    view->owner = owner;
    vy_list_push_back(&owner->views, &view->of_account);
    vy_list_push_back(&views->by_lease, &view->by_lease);
    owner->count++;
    views->count++;
    *out = view;
    return vy_ok();
}

/* All leases are equally long, so the one renewed last ends last. */
static void renew(struct views *views, struct view *view)
{
    const struct service_config *config = &views->service->config;

    view->expires_ms = vy_loop_now_ms(config->loop) + config->view_lease_ms;
    vy_list_remove(&view->by_lease);
    vy_list_push_back(&views->by_lease, &view->by_lease);
}

struct vy_err views_open(struct views *views, uint64_t account_id, const struct view_state *state)
{
    struct view *view = find(views, account_id, state->view_id);

    if (view == NULL) {
        VY_TRY(make(views, account_id, state->view_id, &view));
        view->is_read_only = state->is_read_only;
    }
    if (view->mailbox_id != state->mailbox_id) {
        view->mailbox_id = state->mailbox_id;
        view->told_modseq = 0;
        view->is_read_only = state->is_read_only;
    }
    view->told_modseq = VY_MAX(view->told_modseq, state->told_modseq);
    renew(views, view);
    return vy_ok();
}

bool views_takes_recent(const struct views *views, uint64_t account_id, uint64_t view_id)
{
    const struct view *view = find(views, account_id, view_id);

    return view != NULL && !view->is_read_only;
}

size_t views_told(const struct views *views, uint64_t account_id, struct view_told *out, size_t max)
{
    const struct account_views *owner = vy_map_get(&views->accounts, account_id);
    size_t count = 0;

    if (owner == NULL) {
        return 0;
    }
    VY_LIST_FOREACH(item, &owner->views)
    {
        const struct view *view = VY_CONTAINER_OF(item, struct view, of_account);
        size_t i = 0;
        while (i < count && out[i].mailbox_id != view->mailbox_id) {
            i++;
        }
        if (i < count) {
            out[i].modseq = VY_MIN(out[i].modseq, view->told_modseq);
        } else if (count < max) {
            out[count++] = (struct view_told){view->mailbox_id, view->told_modseq};
        }
    }
    return count;
}

void views_touch(struct views *views, uint64_t account_id, uint64_t view_id)
{
    struct view *view = find(views, account_id, view_id);

    if (view != NULL) {
        renew(views, view);
    }
}

void views_close(struct views *views, uint64_t account_id, uint64_t view_id)
{
    struct view *view = find(views, account_id, view_id);

    if (view != NULL) {
        drop(views, view);
    }
}

void views_drop_account(struct views *views, uint64_t account_id)
{
    struct account_views *owner = vy_map_get(&views->accounts, account_id);
    size_t left = owner == NULL ? 0 : owner->count;

    for (; left > 0; left--) { /* the last one takes its owner along */
        drop(views, VY_CONTAINER_OF(owner->views.next, struct view, of_account));
    }
}

bool views_hold(struct views *views, uint64_t account_id, uint64_t mailbox_id, uint64_t modseq)
{
    const struct account_views *owner = vy_map_get(&views->accounts, account_id);
    const uint64_t now_ms = vy_loop_now_ms(views->service->config.loop);

    if (owner == NULL) {
        return false;
    }
    VY_LIST_FOREACH(item, &owner->views)
    {
        const struct view *view = VY_CONTAINER_OF(item, struct view, of_account);
        if (view->mailbox_id == mailbox_id && view->told_modseq < modseq &&
            view->expires_ms > now_ms) {
            return true;
        }
    }
    return false;
}

void views_expire(struct views *views)
{
    const uint64_t now_ms = vy_loop_now_ms(views->service->config.loop);

    while (!vy_list_is_empty(&views->by_lease)) {
        struct view *view = VY_CONTAINER_OF(views->by_lease.next, struct view, by_lease);
        if (view->expires_ms > now_ms) {
            return;
        }
        drop(views, view);
    }
}

size_t views_count(const struct views *views)
{
    return views->count;
}
