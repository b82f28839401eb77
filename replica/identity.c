/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this member is: written once into an empty directory, by permission only (P12), and checked
 * at every start (C4). The incarnation rises at every start, so that peers can tell an old life.
 */
#include "base/codec.h"
#include "replica/adopt.h"
#include "replica/replica_private.h"
#include "replica/ticket.h"
#include <stdlib.h>

#define IDENTITY_VERSION 1U
#define IDENTITY_BYTES 38U /* version u16, cluster 16, group u64, member u64, crc u32 */
#define INCARNATION_BYTES 8U
#define LIFE_MIX 0x9e3779b97f4a7c15ULL /* two lives of one process differ too */

static const struct vy_bytes identity_key = VY_LIT("identity");
static const struct vy_bytes incarnation_key = VY_LIT("incarnation");
static const struct vy_bytes lives_key = VY_LIT("lives");
static const struct vy_bytes join_key =
    VY_LIT("join"); /* members as of the ticket of a joining one */

struct first_members { /* of a directory that is being filled */
    struct vy_arena arena;
    struct ticket ticket;
};

static struct vy_err refuse(const char *why)
{
    return vy_error(VY_CODE_PRECONDITION, why);
}

/* ---- the store ---- */

struct vy_err identity_list_families(const struct replica_fsm *fsm,
                                     struct store_family out[STORE_FAMILIES_MAX], size_t *out_count)
{
    if (fsm->family_count > STORE_FAMILIES_MAX - REPLICA_FAMILY_FIRST) {
        return vy_error(VY_CODE_ARGUMENT, "families of the state machine");
    }
    out[REPLICA_FAMILY_RAFT] = (struct store_family){.name = "raft"};
    out[REPLICA_FAMILY_SYS] = (struct store_family){.name = "sys"};
    out[REPLICA_FAMILY_IDEM] = (struct store_family){.name = "idem"};
    for (size_t i = 0; i < fsm->family_count; i++) {
        out[REPLICA_FAMILY_FIRST + i] = fsm->families[i];
    }
    *out_count = REPLICA_FAMILY_FIRST + fsm->family_count;
    return vy_ok();
}

static struct vy_err open_store(struct replica *replica, bool must_exist)
{
    struct store_family families[STORE_FAMILIES_MAX];
    size_t count = 0;
    VY_TRY(identity_list_families(replica->config.fsm, families, &count));
    const struct store_options options = {
        .dir = replica->dir,
        .families = families,
        .family_count = count,
        .memory_bytes = replica->config.memory_bytes,
        .must_exist = must_exist,
        .reason = replica->shared_reason != NULL ? replica->shared_reason : &replica->reason};
    if (replica->config.open_store != NULL) {
        return replica->config.open_store(replica->config.open_store_arg, &options,
                                          &replica->store);
    }
    return store_rocks_open(&options, &replica->store);
}

/* ---- the rows ---- */

static void put_incarnation(struct store_batch *batch, uint64_t incarnation)
{
    uint8_t row[INCARNATION_BYTES];
    vy_put_be64(row, incarnation);
    store_batch_put(batch, REPLICA_FAMILY_SYS, incarnation_key, vy_bytes(row, sizeof(row)));
    /* Of a directory that was filled anew: its older lives are forgotten. */
    store_batch_put(batch, REPLICA_FAMILY_SYS, lives_key,
                    vy_bytes(row, incarnation == 0 ? 0 : sizeof(row)));
}

static void put_lives(struct store_batch *batch, const struct lives *lives, uint8_t *row)
{
    for (size_t i = 0; i < lives->count; i++) {
        vy_put_be64(row + i * INCARNATION_BYTES, lives->items[i]);
    }
    store_batch_put(batch, REPLICA_FAMILY_SYS, lives_key,
                    vy_bytes(row, lives->count * INCARNATION_BYTES));
}

static struct vy_err load_lives(struct replica *replica)
{
    struct lives *lives = &replica->lives;
    struct store_value value = {.is_found = false};
    VY_TRY(store_get(store_newest(replica->store), REPLICA_FAMILY_SYS, lives_key, &value));
    const size_t bytes = value.is_found ? value.bytes.len : 0;
    const bool is_whole = bytes % INCARNATION_BYTES == 0 && bytes <= LIVES_MAX * INCARNATION_BYTES;
    for (size_t i = 0; is_whole && i < bytes / INCARNATION_BYTES; i++) {
        lives->items[lives->count++] = vy_get_be64(value.bytes.data + i * INCARNATION_BYTES);
    }
    store_value_release(&value);
    return is_whole ? vy_ok() : vy_error(VY_CODE_CORRUPT, "lives of the member are damaged");
}

void identity_put(struct store_batch *batch, const struct replica_identity *identity)
{
    uint8_t row[IDENTITY_BYTES];
    vy_put_be16(row, IDENTITY_VERSION);
    memcpy(row + 2, identity->cluster_id, REPLICA_CLUSTER_ID_BYTES);
    vy_put_be64(row + 18, identity->group_id);
    vy_put_be64(row + 26, identity->member_id);
    vy_put_be32(row + 34, vy_crc32c(0, vy_bytes(row, 34)));
    store_batch_put(batch, REPLICA_FAMILY_SYS, identity_key, vy_bytes(row, sizeof(row)));
    put_incarnation(batch, identity->incarnation);
    store_batch_delete(batch, REPLICA_FAMILY_SYS, join_key);
}

static struct vy_err parse_identity(struct vy_bytes row, struct replica_identity *out)
{
    if (row.len >= 2 && vy_get_be16(row.data) > IDENTITY_VERSION) {
        return vy_error(VY_CODE_UNSUPPORTED, "the directory has a newer format");
    }
    if (row.len != IDENTITY_BYTES ||
        vy_get_be32(row.data + 34) != vy_crc32c(0, vy_bytes(row.data, 34))) {
        return vy_error(VY_CODE_CORRUPT, "identity is damaged");
    }
    memcpy(out->cluster_id, row.data + 2, REPLICA_CLUSTER_ID_BYTES);
    out->group_id = vy_get_be64(row.data + 18);
    out->member_id = vy_get_be64(row.data + 26);
    return vy_ok();
}

struct vy_err identity_read(const struct store_reader *reader, struct replica_identity *out,
                            bool *is_found)
{
    struct store_value value = {.is_found = false};
    VY_TRY(store_get(reader, REPLICA_FAMILY_SYS, identity_key, &value));
    *is_found = value.is_found;
    const struct vy_err err = value.is_found ? parse_identity(value.bytes, out) : vy_ok();
    store_value_release(&value);
    return err;
}

static struct vy_err check_no_rows(struct replica *replica)
{
    const struct store_range all = {.is_reverse = false};
    struct store_iter *iter = NULL;
    VY_TRY(store_iter_new(store_newest(replica->store), REPLICA_FAMILY_RAFT, &all, &iter));
    struct vy_err err = store_iter_error(iter);
    if (!vy_failed(err) && iter->is_valid) {
        err = vy_error(VY_CODE_CORRUPT, "a log without an identity");
    }
    store_iter_free(iter);
    return err;
}

static struct vy_err raise_incarnation(struct replica *replica)
{
    struct store_value value = {.is_found = false};
    struct store_batch *batch = NULL;
    VY_TRY(store_get(store_newest(replica->store), REPLICA_FAMILY_SYS, incarnation_key, &value));
    const bool is_whole = !value.is_found || value.bytes.len == INCARNATION_BYTES;
    const uint64_t last = value.is_found && is_whole ? vy_get_be64(value.bytes.data) : 0;
    store_value_release(&value);
    if (!is_whole) {
        return vy_error(VY_CODE_CORRUPT, "incarnation is damaged");
    }
    VY_TRY(load_lives(replica));
    uint8_t *rows = malloc(LIVES_MAX * INCARNATION_BYTES);
    if (rows == NULL) {
        return vy_error(VY_CODE_NOMEM, "lives of the member");
    }
    struct vy_err err = store_batch_new(replica->store, &batch);
    if (!vy_failed(err)) {
        replica->identity.incarnation =
            lives_begin(&replica->lives, last, replica->chance ^ (last * LIFE_MIX));
        put_incarnation(batch, replica->identity.incarnation);
        put_lives(batch, &replica->lives, rows);
        err = store_write(replica->store, batch, true);
    }
    store_batch_free(batch);
    free(rows);
    return err;
}

/* ---- filling an empty directory ---- */

static bool is_zero(const uint8_t id[REPLICA_CLUSTER_ID_BYTES])
{
    static const uint8_t zero[REPLICA_CLUSTER_ID_BYTES] = {0};
    return memcmp(id, zero, sizeof(zero)) == 0;
}

static void found_alone(struct replica *replica, struct ticket *out)
{
    const struct replica_config *config = &replica->config;
    memcpy(out->cluster_id, config->cluster_id, sizeof(out->cluster_id));
    if (is_zero(out->cluster_id)) {
        vy_rng_fill(config->rng, out->cluster_id, sizeof(out->cluster_id));
    }
    out->group_id = config->group_id;
    while (out->group_id == 0) {
        out->group_id = vy_rng_u64(config->rng);
    }
    out->member_id = config->member_id;
    if (out->member_id == 0 && config->member_count == 1) {
        out->member_id = config->members[0].id;
    }
    while (out->member_id == 0) {
        out->member_id = vy_rng_u64(config->rng);
    }
    out->peer_count = 1;
    out->peers[0] = (struct replica_member){
        .id = out->member_id,
        .address = config->member_count == 1 ? config->members[0].address : "self"};
}

static struct vy_err find_permission(struct replica *replica, struct first_members *first)
{
    const struct replica_config *config = &replica->config;
    if (replica->ticket_path != NULL) {
        const struct vy_err err = ticket_read(&first->arena, replica->ticket_path, &first->ticket);
        if (err.code == VY_CODE_NOT_FOUND && !config->bootstrap_alone) {
            return refuse("the directory is empty and there is no ticket to fill it");
        }
        if (err.code != VY_CODE_NOT_FOUND) {
            return err;
        }
    }
    if (!config->bootstrap_alone) {
        return refuse("the directory is empty and nothing permits to fill it");
    }
    if (config->member_count > 1) {
        return vy_error(VY_CODE_ARGUMENT, "a group of one has one member");
    }
    found_alone(replica, &first->ticket);
    return vy_ok();
}

static struct vy_err check_own_member(struct replica *replica, const struct ticket *ticket)
{
    for (size_t i = 0; i < ticket->peer_count; i++) {
        const char *address = ticket->peers[i].address;
        if (strlen(address) == 0 || strlen(address) > REPLICA_ADDRESS_BYTES_MAX) {
            return vy_error(VY_CODE_ARGUMENT, "address of a member");
        }
    }
    for (size_t i = 0; i < ticket->peer_count; i++) {
        if (ticket->peers[i].id == ticket->member_id) {
            memcpy(replica->identity.cluster_id, ticket->cluster_id, REPLICA_CLUSTER_ID_BYTES);
            replica->identity.group_id = ticket->group_id;
            replica->identity.member_id = ticket->member_id;
            return vy_ok();
        }
    }
    return vy_error(VY_CODE_ARGUMENT, "the member is not among the group's first members");
}

static struct vy_err check_expected(const struct replica *replica)
{
    const struct replica_config *config = &replica->config;
    const struct replica_identity *identity = &replica->identity;
    if (!is_zero(config->cluster_id) &&
        memcmp(config->cluster_id, identity->cluster_id, REPLICA_CLUSTER_ID_BYTES) != 0) {
        return refuse("the directory belongs to another cluster");
    }
    if (config->group_id != 0 && config->group_id != identity->group_id) {
        return refuse("the directory belongs to another group");
    }
    if (config->member_id != 0 && config->member_id != identity->member_id) {
        return refuse("the directory belongs to another member");
    }
    return vy_ok();
}

/* The log of one that joins is empty: its first entry comes from the others. */
static struct vy_err put_log(bool is_join, struct vy_bytes members, struct txn *txn,
                             struct vy_buf *scratch)
{
    struct entry *first = NULL;
    if (is_join) {
        store_batch_put(txn_batch(txn), REPLICA_FAMILY_SYS, join_key, members);
        return vy_ok();
    }
    VY_TRY(entry_new_raw(1, ENTRY_CHANGE, members, &first));
    first->index = 1;
    const struct vy_err err = log_put_entry(txn, first, scratch);
    entry_unref(first);
    return err;
}

/* Identity, first entry, term and applied index: all or nothing. */
static struct vy_err write_first(struct replica *replica, const struct ticket *ticket)
{
    const struct writer_applied applied = {.index = 0};
    struct vy_buf members;
    struct vy_buf scratch;
    struct txn *txn = NULL;
    vy_buf_init(&members, ENTRY_BODY_BYTES_MAX);
    vy_buf_init(&scratch, ENTRY_BODY_BYTES_MAX);
    struct vy_err err = core_encode_members(ticket->peers, ticket->peer_count, &members);
    if (!vy_failed(err)) {
        err = txn_new(replica->store, &txn);
    }
    if (!vy_failed(err)) {
        identity_put(txn_batch(txn), &replica->identity);
        log_put_hard(txn_batch(txn), 1, 0);
        writer_put_applied(txn_batch(txn), &applied);
        err = put_log(ticket->is_join, vy_buf_bytes(&members), txn, &scratch);
    }
    if (!vy_failed(err)) {
        err = txn_commit(txn, true);
    }
    txn_free(txn);
    vy_buf_deinit(&scratch);
    vy_buf_deinit(&members);
    return err;
}

static struct vy_err bootstrap(struct replica *replica)
{
    struct first_members first = {.ticket = {.group_id = 0}};
    vy_arena_init(&first.arena, 64U * 1024);
    struct vy_err err = find_permission(replica, &first);
    if (!vy_failed(err)) {
        err = check_own_member(replica, &first.ticket);
    }
    if (!vy_failed(err)) {
        err = check_expected(replica);
    }
    if (!vy_failed(err) && replica->store == NULL) {
        err = open_store(replica, false);
    }
    if (!vy_failed(err)) {
        err = check_no_rows(replica);
    }
    if (!vy_failed(err)) {
        err = write_first(replica, &first.ticket);
    }
    vy_arena_deinit(&first.arena);
    return err;
}

/* A ticket that was used, also when the last life ended before it could be removed. */
static struct vy_err consume_ticket(struct replica *replica)
{
    struct first_members first = {.ticket = {.group_id = 0}};
    if (replica->ticket_path == NULL) {
        return vy_ok();
    }
    vy_arena_init(&first.arena, 64U * 1024);
    struct vy_err err = ticket_read(&first.arena, replica->ticket_path, &first.ticket);
    const bool is_there = !vy_failed(err);
    const bool is_ours = first.ticket.member_id == replica->identity.member_id;
    vy_arena_deinit(&first.arena);
    if (!is_there) {
        return err.code == VY_CODE_NOT_FOUND ? vy_ok() : err;
    }
    return is_ours ? ticket_consume(replica->ticket_path)
                   : refuse("the ticket is for another member than the directory");
}

/* ---- opening ---- */

static struct vy_err load_known(struct replica *replica)
{
    struct store_value value = {.is_found = false};
    VY_TRY(store_get(store_newest(replica->store), REPLICA_FAMILY_SYS, join_key, &value));
    const struct vy_err err =
        value.is_found ? core_decode_members(value.bytes, replica->known, &replica->known_count)
                       : vy_ok();
    store_value_release(&value);
    return err;
}

/* As the log began with, or as the ticket said. */
static struct vy_err load_address(struct replica *replica)
{
    const struct log_loaded *loaded = &replica->loaded;
    const struct entry *first = loaded->base.index > 0  ? loaded->base.members
                                : loaded->row_count > 0 ? loaded->rows[0].change
                                                        : NULL;
    const uint64_t own = replica->identity.member_id;
    struct replica_member members[REPLICA_MEMBERS_MAX];
    size_t count = 0;
    VY_TRY(load_known(replica));
    if (first == NULL && replica->known_count == 0) {
        return vy_error(VY_CODE_CORRUPT, "the log does not begin with its members");
    }
    if (first != NULL) {
        VY_TRY(core_decode_members(first->body, members, &count));
    }
    const char *address = core_member_address(members, count, own);
    if (address == NULL) {
        address = core_member_address(replica->known, replica->known_count, own);
    }
    replica->address = strdup(address == NULL ? "self" : address);
    core_members_free(members, count);
    return replica->address == NULL ? vy_error(VY_CODE_NOMEM, "address") : vy_ok();
}

static struct vy_err load_state(struct replica *replica)
{
    VY_TRY(log_load(store_newest(replica->store), &replica->spans, &replica->loaded));
    VY_TRY(writer_load_applied(store_newest(replica->store), &replica->applied));
    if (replica->applied.index < replica->loaded.base.index) {
        return vy_error(VY_CODE_CORRUPT, "the log was cut beyond what is applied");
    }
    if (replica->applied.index > log_loaded_last(&replica->loaded)) {
        return vy_error(VY_CODE_CORRUPT, "more is applied than the log holds");
    }
    return load_address(replica);
}

/* A full disk has room for the start in its reserve. */
static struct vy_err open_existing(struct replica *replica)
{
    const struct vy_err err = open_store(replica, true);
    if (err.code == VY_CODE_FULL && replica->care.reserve.path != NULL &&
        reserve_release(&replica->care.reserve)) {
        vy_log(&replica->log, VY_LOG_WARN, "replica.reserve.released", VY_U64("sys.free_bytes", 0));
        return open_store(replica, true);
    }
    return err;
}

/* Damage, or a format that this version does not know: opening it again will not help. */
static bool is_useless(struct vy_err err)
{
    return err.code == VY_CODE_CORRUPT || err.code == VY_CODE_UNSUPPORTED ||
           err.code == VY_CODE_NOT_FOUND || err.code == VY_CODE_PRECONDITION;
}

/* A database that came from another member becomes this one's, or the old one comes back. */
static struct vy_err settle_received(struct replica *replica, struct vy_err opened)
{
    struct install_note note;
    bool is_received = false;
    bool is_back = false;
    VY_TRY(install_read_note(replica->dir, &is_received, &note));
    if (!is_received) {
        return opened;
    }
    struct vy_err err = vy_failed(opened) ? opened : adopt_store(replica->store, &note);
    if (!vy_failed(err)) {
        return install_finish(replica->dir);
    }
    if (!is_useless(err)) {
        return err;
    }
    vy_log(&replica->log, VY_LOG_ERROR, "replica.snapshot.unusable", VY_LOG_ERR(err),
           VY_CSTR("sys.path", replica->dir));
    store_close(replica->store);
    replica->store = NULL;
    VY_TRY(install_roll_back(replica->dir, &is_back));
    return is_back ? open_store(replica, true) : err;
}

struct vy_err replica_open_identity(struct replica *replica)
{
    bool is_found = false;
    VY_TRY(install_recover(replica->dir));
    const struct vy_err err = settle_received(replica, open_existing(replica));
    if (vy_failed(err) && err.code != VY_CODE_NOT_FOUND) {
        return err;
    }
    if (!vy_failed(err)) {
        VY_TRY(identity_read(store_newest(replica->store), &replica->identity, &is_found));
    }
    if (!is_found) {
        VY_TRY(bootstrap(replica));
    }
    VY_TRY(check_expected(replica));
    VY_TRY(consume_ticket(replica));
    VY_TRY(load_state(replica));
    return raise_incarnation(replica);
}
