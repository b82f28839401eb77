/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/group_link.h"

#include "base/assert.h"
#include <stdio.h>
#include <stdlib.h>

struct place {
    uint64_t id;
    char node[RPC_NAME_BYTES_MAX + 1]; /* empty: not known */
    char address[REPLICA_ADDRESS_BYTES_MAX + 1];
};
struct places {
    struct place items[RAFT_LINK_PEERS_MAX];
    size_t count;
};
struct group_link {
    const struct vy_log *log; /* borrowed */
    struct raft_link *raft;   /* owned; NULL: a group of one without a port */
    struct replica *replica;  /* borrowed; NULL: not open yet */
    uint64_t self_id;
    char self_address[REPLICA_ADDRESS_BYTES_MAX + 1];
    bool is_member;
    struct places file;
    struct places map;
    struct places in_log;
    struct places all; /* what the raft link has */
};

/* ---- places ---- */

static struct place *find(const struct places *places, uint64_t id)
{
    for (size_t i = 0; i < places->count; i++) {
        if (places->items[i].id == id) {
            return (struct place *)(uintptr_t)&places->items[i];
        }
    }
    return NULL;
}

static void add(struct places *places, uint64_t id, struct vy_bytes node, struct vy_bytes address)
{
    if (places->count == RAFT_LINK_PEERS_MAX || id == 0 || find(places, id) != NULL ||
        node.len > RPC_NAME_BYTES_MAX || address.len == 0 ||
        address.len > REPLICA_ADDRESS_BYTES_MAX) {
        return;
    }
    struct place *place = &places->items[places->count++];
    *place = (struct place){.id = id};
    memcpy(place->node, node.data, node.len);
    memcpy(place->address, address.data, address.len);
}

void group_link_split(struct vy_bytes text, struct vy_bytes *node, struct vy_bytes *address)
{
    const size_t at = vy_bytes_find_byte(text, '@', 0);
    const bool has_node = at != SIZE_MAX;
    *node = has_node ? vy_bytes_slice(text, 0, at) : vy_bytes(NULL, 0);
    *address = has_node ? vy_bytes_from(text, at + 1) : text;
}

/* Where nothing says more, the file. */
static void add_place(struct group_link *link, const struct place *place)
{
    const struct place *in_map = find(&link->map, place->id);
    const struct place *in_file = find(&link->file, place->id);
    const struct place *best = place->node[0] != '\0' ? place : in_map != NULL ? in_map : in_file;
    if (best == NULL) {
        vy_log(link->log, VY_LOG_WARN, "raft.link.unknown", VY_HEX("raft.peer", place->id));
        return; /* its node is not known: nobody could prove to be it */
    }
    add(&link->all, best->id, vy_cstr(best->node), vy_cstr(best->address));
}

static void add_places(struct group_link *link, const struct places *places)
{
    for (size_t i = 0; i < places->count; i++) {
        if (places->items[i].id != link->self_id) {
            add_place(link, &places->items[i]);
        }
    }
}

static void tell_link(struct group_link *link)
{
    struct raft_link_member members[RAFT_LINK_PEERS_MAX];
    for (size_t i = 0; i < link->all.count; i++) {
        const struct place *place = &link->all.items[i];
        members[i] = (struct raft_link_member){
            .id = place->id, .node = place->node, .address = place->address};
    }
    const struct vy_err err = raft_link_set_members(link->raft, members, link->all.count);
    if (vy_failed(err)) {
        vy_log(link->log, VY_LOG_ERROR, "raft.link.incomplete", VY_LOG_ERR(err));
    }
}

/* Those that its log does not name. */
static void tell_replica(struct group_link *link)
{
    struct replica_member guests[REPLICA_MEMBERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < link->all.count && count < REPLICA_MEMBERS_MAX; i++) {
        const struct place *place = &link->all.items[i];
        if (find(&link->in_log, place->id) == NULL) {
            guests[count++] = (struct replica_member){.id = place->id, .address = place->address};
        }
    }
    const struct vy_err err = replica_introduce(link->replica, guests, count);
    if (vy_failed(err)) {
        vy_log(link->log, VY_LOG_ERROR, "raft.link.incomplete", VY_LOG_ERR(err));
    }
}

static void refresh(struct group_link *link)
{
    link->all.count = 0;
    add_places(link, &link->in_log);
    add_places(link, &link->map);
    add_places(link, &link->file);
    if (link->raft != NULL) {
        tell_link(link);
    }
    if (link->replica != NULL) {
        tell_replica(link);
    }
}

/* ---- news ---- */

static void on_members(void *arg, const struct replica_member *members, size_t count)
{
    struct group_link *link = arg;
    link->in_log.count = 0;
    link->is_member = false;
    for (size_t i = 0; i < count; i++) {
        struct vy_bytes node;
        struct vy_bytes address;
        group_link_split(vy_cstr(members[i].address), &node, &address);
        add(&link->in_log, members[i].id, node, address);
        link->is_member = link->is_member || members[i].id == link->self_id;
    }
    refresh(link);
}

void group_link_set_map(struct group_link *link, const struct group_link_member *members,
                        size_t count)
{
    link->map.count = 0;
    for (size_t i = 0; i < count; i++) {
        if (members[i].node.len > 0) {
            add(&link->map, members[i].id, members[i].node, members[i].raft);
        }
    }
    refresh(link);
}

void group_link_set_replica(struct group_link *link, struct replica *replica)
{
    link->replica = replica;
    if (replica != NULL) {
        refresh(link);
    }
}

/* ---- facts ---- */

void group_link_configure(struct group_link *link, const struct vy_config *settings,
                          struct replica_config *config)
{
    config->transport = link->raft == NULL ? NULL : raft_link_transport(link->raft);
    config->address = group_link_address(link);
    config->on_members = on_members;
    config->on_members_arg = link;
    config->memory_bytes = vy_config_size(settings, "data.memory");
    config->ticket_path = vy_config_text(settings, "data.ticket");
    config->election_timeout_ms = (uint32_t)vy_config_ms(settings, "raft.election_timeout_ms");
    config->log_max_entries = vy_config_u64(settings, "raft.log_max_entries");
    config->log_max_bytes = vy_config_size(settings, "raft.log_max_bytes");
    config->snapshot_bytes_per_s = vy_config_size(settings, "raft.snapshot_bytes_per_second");
    config->scrub_period_ms = vy_config_ms(settings, "scrub.period_s");
    config->scrub_bytes_per_s = vy_config_size(settings, "scrub.bytes_per_second");
}

const char *group_link_address(const struct group_link *link)
{
    return link->self_address;
}

const char *group_link_node(const struct group_link *link, uint64_t member_id)
{
    const struct place *place = find(&link->all, member_id);
    if (place == NULL) {
        place = find(&link->file, member_id);
    }
    return place == NULL || place->node[0] == '\0' ? NULL : place->node;
}

bool group_link_reaches(const struct group_link *link, uint64_t member_id)
{
    return link->raft != NULL && raft_link_reaches(link->raft, member_id);
}

bool group_link_is_member(const struct group_link *link)
{
    return link->is_member;
}

/* ---- life ---- */

static struct vy_err open_link(struct group_link *link, const struct group_link_config *config)
{
    const struct settings_member *self = config->self;
    const int len = snprintf(link->self_address, sizeof(link->self_address), "%s@%s", self->node,
                             self->raft != NULL ? self->raft : self->link);
    if (len < 0 || (size_t)len >= sizeof(link->self_address)) {
        return vy_error(VY_CODE_ARGUMENT, "node and address of a member are too long");
    }
    for (size_t i = 0; i < config->member_count; i++) {
        const struct settings_member *member = &config->members[i];
        if (member->raft == NULL && config->member_count > 1) {
            return vy_error(VY_CODE_ARGUMENT, "a member of the group has no raft address");
        }
        if (member->raft != NULL) {
            add(&link->file, member->id, vy_cstr(member->node), vy_cstr(member->raft));
        }
    }
    if (self->raft == NULL) {
        return vy_ok();
    }
    const struct raft_link_config raft = {.rpc = config->rpc,
                                          .member_id = self->id,
                                          .listen = self->raft,
                                          .on_frame = config->on_frame,
                                          .on_bulk = config->on_bulk,
                                          .arg = config->arg};
    return raft_link_new(&raft, &link->raft);
}

struct vy_err group_link_open(const struct group_link_config *config, struct group_link **out)
{
    struct group_link *link = calloc(1, sizeof(*link));
    VY_ASSERT(config->member_count <= SETTINGS_MEMBERS_MAX);
    if (link == NULL) {
        return vy_error(VY_CODE_NOMEM, "link of a group");
    }
    link->log = config->rpc->log;
    link->self_id = config->self->id;
    const struct vy_err err = open_link(link, config);
    if (vy_failed(err)) {
        group_link_free(link);
        return err;
    }
    *out = link;
    return vy_ok();
}

void group_link_free(struct group_link *link)
{
    if (link != NULL) {
        raft_link_free(link->raft);
        free(link);
    }
}
