/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/skiplist.h"

/* Where a key belongs: at each level the link that would lead to it. */
struct path {
    struct skiplist_node **links[SKIPLIST_HEIGHT_MAX];
};

void skiplist_init(struct skiplist *list)
{
    *list = (struct skiplist){.height = 1, .random = 0x9e3779b97f4a7c15ULL};
}

/* Compares keys; with `is_behind` an equal node counts as smaller. */
static bool is_passed(const struct skiplist_node *node, struct vy_bytes key, bool is_behind)
{
    const int order = vy_bytes_compare(node->key, key);
    return order < 0 || (is_behind && order == 0);
}

static struct skiplist_gap find_gap(const struct skiplist *list, struct vy_bytes key,
                                    bool is_behind)
{
    struct skiplist_node *const *links = list->heads;
    struct skiplist_gap gap = {.before = NULL, .behind = NULL};
    for (unsigned level = list->height; level-- > 0;) {
        /* A node that stopped us a level above need not be compared again. */
        while (links[level] != gap.behind && is_passed(links[level], key, is_behind)) {
            gap.before = links[level];
            links = gap.before->next;
        }
        gap.behind = links[level];
    }
    return gap;
}

static void find_path(struct skiplist *list, struct vy_bytes key, struct path *out)
{
    struct skiplist_node **links = list->heads;
    struct skiplist_node *stop = NULL;
    for (unsigned level = SKIPLIST_HEIGHT_MAX; level-- > 0;) {
        while (links[level] != stop && is_passed(links[level], key, /* is_behind = */ false)) {
            links = links[level]->next;
        }
        stop = links[level];
        out->links[level] = &links[level];
    }
}

struct skiplist_gap skiplist_gap_before(const struct skiplist *list, struct vy_bytes key)
{
    return find_gap(list, key, /* is_behind = */ false);
}

struct skiplist_gap skiplist_gap_behind(const struct skiplist *list, struct vy_bytes key)
{
    return find_gap(list, key, /* is_behind = */ true);
}

struct skiplist_node *skiplist_last(const struct skiplist *list)
{
    struct skiplist_node *const *links = list->heads;
    struct skiplist_node *last = NULL;
    for (unsigned level = list->height; level-- > 0;) {
        while (links[level] != NULL) {
            last = links[level];
            links = last->next;
        }
    }
    return last;
}

struct skiplist_node *skiplist_find(const struct skiplist *list, struct vy_bytes key)
{
    struct skiplist_node *node = skiplist_gap_before(list, key).behind;
    return node != NULL && vy_bytes_equal(node->key, key) ? node : NULL;
}

/* xorshift64: two bits decide one level. */
static unsigned draw_height(struct skiplist *list)
{
    unsigned height = 1;
    list->random ^= list->random << 13;
    list->random ^= list->random >> 7;
    list->random ^= list->random << 17;
    for (uint64_t bits = list->random >> 8; height < SKIPLIST_HEIGHT_MAX && (bits & 3) == 0;) {
        height++;
        bits >>= 2;
    }
    return height;
}

static struct skiplist_node *new_node(struct vy_bytes key, unsigned height, skiplist_alloc_fn alloc,
                                      void *arg)
{
    const size_t node_bytes =
        sizeof(struct skiplist_node) + height * sizeof(struct skiplist_node *);
    struct skiplist_node *node = alloc(arg, node_bytes + key.len);
    if (node == NULL) {
        return NULL;
    }
    uint8_t *copy = (uint8_t *)node + node_bytes;
    if (key.len > 0) {
        memcpy(copy, key.data, key.len);
    }
    node->key = vy_bytes(copy, key.len);
    node->item = NULL;
    node->height = height;
    return node;
}

struct skiplist_node *skiplist_put(struct skiplist *list, struct vy_bytes key,
                                   skiplist_alloc_fn alloc, void *arg)
{
    struct path path;
    find_path(list, key, &path);
    struct skiplist_node *found = *path.links[0];
    if (found != NULL && vy_bytes_equal(found->key, key)) {
        return found;
    }
    struct skiplist_node *node = new_node(key, draw_height(list), alloc, arg);
    if (node == NULL) {
        return NULL;
    }
    for (unsigned level = 0; level < node->height; level++) {
        node->next[level] = *path.links[level];
        *path.links[level] = node;
    }
    list->height = VY_MAX(list->height, node->height);
    list->count++;
    return node;
}

struct skiplist_node *skiplist_remove(struct skiplist *list, struct vy_bytes key)
{
    struct path path;
    find_path(list, key, &path);
    struct skiplist_node *node = *path.links[0];
    if (node == NULL || !vy_bytes_equal(node->key, key)) {
        return NULL;
    }
    for (unsigned level = 0; level < node->height; level++) {
        *path.links[level] = node->next[level];
    }
    list->count--;
    return node;
}
