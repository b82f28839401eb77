/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An intrusive doubly linked list; a member sits inside the object, which belongs to at most one
 * list per member.
 */
#include "base/assert.h"
#include <stdbool.h>

struct vy_list {
    struct vy_list *next;
    struct vy_list *prev;
};
static inline void vy_list_init(struct vy_list *list)
{
    list->next = list;
    list->prev = list;
}
static inline bool vy_list_is_empty(const struct vy_list *list)
{
    return list->next == list;
}
static inline void vy_list_push_back(struct vy_list *list, struct vy_list *item)
{
    item->prev = list->prev;
    item->next = list;
    list->prev->next = item;
    list->prev = item;
}
/* Also fine on an item that is in no list (initialised or removed before). */
static inline void vy_list_remove(struct vy_list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    vy_list_init(item);
}
static inline struct vy_list *vy_list_pop_front(struct vy_list *list)
{
    if (vy_list_is_empty(list)) {
        return NULL;
    }
    struct vy_list *first = list->next;
    vy_list_remove(first);
    return first;
}
#define VY_LIST_FOREACH(item, list)                                                                \
    for (struct vy_list *item = (list)->next; item != (list); item = item->next)
