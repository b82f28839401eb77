/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/core.h"

#include "base/plant.h"
#include "replica/core_private.h"
#include <stdlib.h>

/* Entries sent to a member and not acknowledged; bytes are limited by the queue. */
#define CORE_INFLIGHT_ENTRIES 256U
#define CORE_TERM_MAX (1ULL << 62) /* terms and indexes above are not ours */

static struct raft *raft_of(const struct core *core)
{
    return (struct raft *)(uintptr_t)&core->raft; /* getters that forgot their const */
}

static struct vy_err translate(int rv)
{
    switch (rv) {
    case RAFT_NOTLEADER:
        return vy_error(VY_CODE_NOT_LEADER, "raft");
    case RAFT_NOMEM:
        return vy_error(VY_CODE_NOMEM, "raft");
    case RAFT_SHUTDOWN:
        return vy_error(VY_CODE_CORRUPT, "raft: logs differ below what was committed");
    case RAFT_MALFORMED:
    case RAFT_CORRUPT:
        return vy_error(VY_CODE_CORRUPT, "raft");
    default:
        return vy_error(VY_CODE_INTERNAL, raft_strerror(rv));
    }
}

struct vy_err core_new(const struct core_config *config, struct core **out)
{
    struct core *core = calloc(1, sizeof(*core)); /* raft_init reads some fields before setting */
    if (core == NULL) {
        return vy_error(VY_CODE_NOMEM, "raft core");
    }
    core->config = *config;
    if (raft_init(&core->raft, NULL, NULL, config->id, config->address) != 0) {
        free(core);
        return vy_error(VY_CODE_NOMEM, "raft core");
    }
    core->raft.tracer = NULL; /* the default one writes to a static buffer from any thread */
    raft_seed(&core->raft, config->seed);
    raft_set_election_timeout(&core->raft, config->election_timeout_ms);
    raft_set_heartbeat_timeout(&core->raft, config->heartbeat_ms);
    /* How often it says again that a member needs one: the shell knows what it is doing about it.
     */
    raft_set_install_snapshot_timeout(&core->raft, 2 * config->election_timeout_ms);
    raft_set_pre_vote(&core->raft, true);
    raft_set_max_inflight_entries(&core->raft, CORE_INFLIGHT_ENTRIES);
    *out = core;
    return vy_ok();
}

void core_free(struct core *core)
{
    if (core == NULL) {
        return;
    }
    raft_close(&core->raft, NULL);
    for (size_t i = 0; i < core->change_count; i++) {
        entry_unref(core->changes[i].entry);
    }
    free(core->changes);
    free(core->writes);
    free(core);
}

/* ---- carrying out an update ---- */

static bool grow(void **array, size_t *capacity, size_t count, size_t item_bytes)
{
    if (count < *capacity) {
        return true;
    }
    const size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
    void *bigger = realloc(*array, wanted * item_bytes);
    if (bigger == NULL) {
        return false;
    }
    *array = bigger;
    *capacity = wanted;
    return true;
}

static struct vy_err note_change(struct core *core, uint64_t index, struct entry *entry)
{
    if (!grow((void **)&core->changes, &core->change_capacity, core->change_count,
              sizeof(*core->changes))) {
        return vy_error(VY_CODE_NOMEM, "changes of members");
    }
    core->members_version++;
    core->changes[core->change_count++] =
        (struct core_change){.index = index, .entry = entry_ref(entry)};
    return vy_ok();
}

/* Entries from `index` on are being replaced: what is being written of them will not count. */
static struct vy_err cut(struct core *core, uint64_t index)
{
    if (index <= core->commit) { /* raft checks against its own commit index, which may fall */
        return vy_error(VY_CODE_CORRUPT, "raft: logs differ below what was committed");
    }
    for (size_t i = 0; i < core->write_count; i++) {
        core->writes[i].valid = VY_MIN(core->writes[i].valid, index - 1);
    }
    core->reported = VY_MIN(core->reported, index - 1);
    while (core->change_count > 0 && core->changes[core->change_count - 1].index >= index) {
        entry_unref(core->changes[--core->change_count].entry);
        core->members_version++;
    }
    return vy_ok();
}

static struct vy_err append(struct core *core, uint64_t index, struct entry *const *entries,
                            size_t count)
{
    VY_TRY(cut(core, index));
    for (size_t i = 0; i < count; i++) {
        entries[i]->index = index + i;
        if (entries[i]->type == ENTRY_CHANGE) {
            VY_TRY(note_change(core, index + i, entries[i]));
        }
    }
    if (!grow((void **)&core->writes, &core->write_capacity, core->write_count,
              sizeof(*core->writes))) {
        return vy_error(VY_CODE_NOMEM, "writes of the log");
    }
    const uint64_t ticket = core->config.ops->append(core->config.arg, index, entries, count);
    if (ticket == 0) {
        return vy_error(VY_CODE_NOMEM, "append to the log");
    }
    core->writes[core->write_count++] =
        (struct core_write){.ticket = ticket, .valid = index + count - 1};
    core->tail_term = entries[count - 1]->term;
    return vy_ok();
}

/* The entries of an update are a part of the event's own array, or raft's own no-op. */
static struct vy_err carry_out_entries(struct core *core, const struct raft_update *update,
                                       const struct raft_entry *array, size_t array_count,
                                       struct entry *const *entries)
{
    const struct raft_entry *batch = update->entries.batch;
    raft_free(batch[0].batch); /* ours since the update; bodies live in struct entry */
    if (array != NULL && batch >= array && batch < array + array_count) {
        return append(core, update->entries.index, entries + (batch - array), update->entries.n);
    }
    VY_ASSERT(update->entries.n == 1 && batch[0].type == RAFT_BARRIER);
    struct entry *barrier = NULL;
    VY_TRY(entry_new_raw(batch[0].term, ENTRY_BARRIER, vy_bytes(NULL, 0), &barrier));
    const struct vy_err err = append(core, update->entries.index, &barrier, 1);
    entry_unref(barrier);
    return err;
}

/* raft answers an append of an earlier term without setting the last index: what lay on the stack
 * would be sent, and would be taken for an index by one that leads again. */
static void clear_unset(const struct core *core, struct core_message *message)
{
    if (message->kind == CORE_APPEND_RESULT && core->refuses_old) {
        message->last_index = message->rejected > 0 ? message->rejected - 1 : 0;
    }
}

static void send_all(struct core *core, const struct raft_update *update)
{
    for (unsigned i = 0; i < update->messages.n; i++) {
        struct core_message message;
        if (core_message_of_raft(&update->messages.batch[i], &message)) {
            guard_pre_vote_term(core, &message);
            clear_unset(core, &message);
            core->config.ops->send(core->config.arg, update->messages.batch[i].server_id, &message);
        } else if (core->config.ops->behind != NULL) {
            core->config.ops->behind(core->config.arg, update->messages.batch[i].server_id);
        }
    }
}

static struct vy_err carry_out(struct core *core, const struct raft_update *update,
                               const struct raft_entry *array, size_t array_count,
                               struct entry *const *entries)
{
    if (update->flags & ((RAFT_UPDATE_CURRENT_TERM) | (RAFT_UPDATE_VOTED_FOR))) {
        VY_TRY(core->config.ops->persist(core->config.arg, raft_current_term(&core->raft),
                                         raft_voted_for(&core->raft)));
    }
    if (update->flags & (RAFT_UPDATE_ENTRIES)) {
        VY_TRY(carry_out_entries(core, update, array, array_count, entries));
    }
    if (update->flags & (RAFT_UPDATE_SNAPSHOT)) {
        return vy_error(VY_CODE_INTERNAL, "raft wants to install a snapshot");
    }
    if (update->flags & (RAFT_UPDATE_MESSAGES)) {
        send_all(core, update);
    }
    if (update->flags & (RAFT_UPDATE_COMMIT_INDEX)) {
        guard_keep_commit(core, raft_commit_index(&core->raft));
    }
    return vy_ok();
}

/* Planted: what a majority holds is committed, whatever its term. */
static void count_disks(struct core *core)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    const size_t count = core_members(core, members, REPLICA_MEMBERS_MAX);
    for (uint64_t index = core->commit + 1; index <= core->reported; index++) {
        size_t holders = 0;
        for (size_t i = 0; i < count; i++) {
            uint64_t match = 0;
            holders += core_match_index(core, members[i].id, &match) && match >= index;
        }
        guard_keep_commit(core, holders > count / 2 ? index : 0);
    }
}

static void event_entries(const struct raft_event *event, struct raft_entry **array, size_t *count)
{
    *array = NULL;
    *count = 0;
    if (event->type == RAFT_SUBMIT) {
        *array = event->submit.entries;
        *count = event->submit.n;
    } else if (event->type == RAFT_RECEIVE && event->receive.message->type == RAFT_APPEND_ENTRIES) {
        *array = event->receive.message->append_entries.entries;
        *count = event->receive.message->append_entries.n_entries;
    }
}

static struct vy_err lead_with_noop(struct core *core, uint64_t now_ms);
static struct vy_err tell_changes(struct core *core, uint64_t now_ms);

struct vy_err core_step(struct core *core, struct raft_event *event, struct entry *const *entries)
{
    struct raft_update update = {.flags = 0};
    struct raft_entry *array = NULL;
    size_t array_count = 0;
    event_entries(event, &array, &array_count);
    const uint64_t now_ms = event->time;
    struct guard_vote guard = {.is_active = false};
    if (event->type == RAFT_RECEIVE) {
        guard_vote_begin(core, now_ms, event->receive.message, &guard);
    }
    const int rv = raft_step(&core->raft, event, &update);
    guard_vote_end(core, &guard);
    if (raft_state(raft_of(core)) != RAFT_FOLLOWER) {
        core_regain_patience(core);
    }
    if (rv != 0) {
        return translate(rv);
    }
    VY_TRY(carry_out(core, &update, array, array_count, entries));
    if (VY_PLANT(OLD_TERMS)) {
        count_disks(core);
    }
    VY_TRY(lead_with_noop(core, now_ms));
    return tell_changes(core, now_ms);
}

static struct raft_event event_new(enum raft_event_type type, uint64_t now_ms)
{
    return (struct raft_event){.type = type, .time = now_ms};
}

/* raft appends a no-op itself when its log is longer than what it knows committed; otherwise we do
 * (guard 32): only an entry of the own term shows that the commit index is up to date. */
static struct vy_err lead_with_noop(struct core *core, uint64_t now_ms)
{
    const uint64_t term = raft_current_term(&core->raft);
    if (raft_state(raft_of(core)) != RAFT_LEADER || core->noop_term == term) {
        return vy_ok();
    }
    core->noop_term = term;
    const raft_index last = raft_last_index(&core->raft);
    if (core->tail_term == term) {
        core->noop_index = last; /* raft's own, just appended */
        return vy_ok();
    }
    struct entry *noop = NULL;
    core->noop_index = last + 1;
    VY_TRY(entry_new_raw(term, ENTRY_BARRIER, vy_bytes(NULL, 0), &noop));
    const struct vy_err err = core_submit(core, now_ms, &noop, 1);
    entry_unref(noop);
    return err;
}

/* Each committed change of members is told to raft, also those applied in an earlier life. */
static struct vy_err tell_changes(struct core *core, uint64_t now_ms)
{
    const uint64_t limit = guard_applicable(core);
    for (size_t i = 0; i < core->change_count; i++) {
        const struct core_change *change = &core->changes[i];
        if (change->index <= core->configured || change->index > limit) {
            continue;
        }
        struct raft_event event = event_new(RAFT_CONFIGURATION, now_ms);
        const struct raft_buffer bytes = {.base = change->entry->memory,
                                          .len = change->entry->body.len};
        if (raft_configuration_decode(&bytes, &event.configuration.conf) != 0) {
            return vy_error(VY_CODE_CORRUPT, "members in the log");
        }
        core->configured = change->index;
        event.configuration.index = change->index;
        return core_step(core, &event, NULL); /* comes back here for the next */
    }
    return vy_ok();
}

/* ---- events ---- */

static struct vy_err fill_entries(struct entry *const *entries, size_t count,
                                  struct raft_entry **out)
{
    struct raft_entry *array = calloc(count, sizeof(*array));
    void *batch = raft_malloc(sizeof(uint64_t)); /* shared by all; raft frees it or hands it back */
    if (array == NULL || batch == NULL) {
        free(array);
        raft_free(batch);
        return vy_error(VY_CODE_NOMEM, "entries for raft");
    }
    for (size_t i = 0; i < count; i++) {
        const bool is_change = entries[i]->type == ENTRY_CHANGE;
        array[i].term = entries[i]->term;
        array[i].type = (enum raft_entry_type)entries[i]->type;
        array[i].batch = batch;
        array[i].buf.base = is_change ? (void *)entries[i]->memory : batch;
        array[i].buf.len = is_change ? entries[i]->body.len : sizeof(uint64_t);
    }
    *out = array;
    return vy_ok();
}

static struct vy_err load_rows(struct core *core, const struct core_state *state,
                               struct raft_entry *array)
{
    for (size_t i = 0; i < state->row_count; i++) {
        const struct core_row *row = &state->rows[i];
        array[i].term = row->term;
        array[i].type = row->change == NULL ? RAFT_COMMAND : RAFT_CHANGE;
        if (row->change != NULL) {
            array[i].buf.base = row->change->memory;
            array[i].buf.len = row->change->body.len;
            VY_TRY(note_change(core, state->base_index + i + 1, row->change));
        }
    }
    return vy_ok();
}

static struct vy_err load_base(struct core *core, const struct core_state *state,
                               struct raft_snapshot_metadata *base)
{
    struct entry *members = NULL;
    VY_TRY(entry_new_raw(state->base_term, ENTRY_CHANGE, state->base_members, &members));
    const struct raft_buffer bytes = {.base = members->memory, .len = members->body.len};
    const struct vy_err err = note_change(core, state->base_members_index, members);
    entry_unref(members); /* kept by the change */
    VY_TRY(err);
    *base = (struct raft_snapshot_metadata){.index = state->base_index,
                                            .term = state->base_term,
                                            .configuration_index = state->base_members_index};
    if (raft_configuration_decode(&bytes, &base->configuration) != 0) {
        return vy_error(VY_CODE_CORRUPT, "members of a cut log");
    }
    return vy_ok();
}

struct vy_err core_start(struct core *core, uint64_t now_ms, const struct core_state *state)
{
    struct raft_event event = event_new(RAFT_START, now_ms);
    struct raft_snapshot_metadata base;
    VY_ASSERT(!core->is_started);
    struct raft_entry *array = calloc(state->row_count + 1, sizeof(*array));
    if (array == NULL) {
        return vy_error(VY_CODE_NOMEM, "log for raft");
    }
    struct vy_err err = vy_ok();
    uint64_t term = state->term;
    if (state->base_index > 0) {
        err = load_base(core, state, &base);
        event.start.metadata = &base;
    }
    if (!vy_failed(err)) {
        err = load_rows(core, state, array);
    }
    if (!vy_failed(err)) {
        err = guard_start_term(core, &term);
    }
    if (!vy_failed(err) && term > state->term) {
        err = core->config.ops->persist(core->config.arg, term, core->config.id);
    }
    core->is_started = true;
    core->base_index = state->base_index;
    core->base_term = state->base_term;
    core->commit = state->base_index;
    core->configured = state->base_index;
    core->reported = state->base_index + state->row_count;
    core->tail_term =
        state->row_count > 0 ? state->rows[state->row_count - 1].term : state->base_term;
    event.start.term = term;
    event.start.voted_for = term > state->term ? core->config.id : state->voted_for;
    event.start.start_index = state->base_index + 1;
    event.start.entries = array;
    event.start.n_entries = (unsigned)state->row_count;
    if (!vy_failed(err)) {
        err = core_step(core, &event, NULL);
    }
    free(array);
    return err;
}

struct vy_err core_tick(struct core *core, uint64_t now_ms)
{
    struct raft_event event = event_new(RAFT_TIMEOUT, now_ms);
    guard_disrupt_once(core, now_ms);
    return core_step(core, &event, NULL);
}

struct vy_err core_submit(struct core *core, uint64_t now_ms, struct entry **entries, size_t count)
{
    struct raft_event event = event_new(RAFT_SUBMIT, now_ms);
    if (raft_state(raft_of(core)) != RAFT_LEADER || raft_transferee(&core->raft) != 0) {
        return vy_error(VY_CODE_NOT_LEADER, "proposal");
    }
    for (size_t i = 0; i < count; i++) {
        VY_ASSERT(entries[i]->term == raft_current_term(&core->raft));
        if (entries[i]->type == ENTRY_CHANGE && (count > 1 || !guard_may_change(core))) {
            return vy_error(VY_CODE_PRECONDITION, "change of members");
        }
    }
    struct raft_entry *array = NULL;
    VY_TRY(fill_entries(entries, count, &array));
    void *batch = array[0].batch;
    event.submit.entries = array;
    event.submit.n = (unsigned)count;
    const struct vy_err err = core_step(core, &event, entries);
    if (err.code == VY_CODE_NOT_LEADER) {
        raft_free(batch); /* a refused submit leaves it with us; after other errors we end anyway */
    }
    free(array);
    return err;
}

struct vy_err core_transfer(struct core *core, uint64_t now_ms, uint64_t to)
{
    struct raft_event event = event_new(RAFT_TRANSFER, now_ms);
    event.transfer.server_id = to;
    return core_step(core, &event, NULL);
}

struct vy_err core_written(struct core *core, uint64_t now_ms, uint64_t ticket)
{
    uint64_t best = 0;
    size_t done = 0;
    while (done < core->write_count && core->writes[done].ticket <= ticket) {
        best = VY_MAX(best, core->writes[done].valid);
        done++;
    }
    if (done > 0) {
        core->write_count -= done;
        memmove(core->writes, core->writes + done, core->write_count * sizeof(*core->writes));
    }
    if (best <= core->reported) {
        return vy_ok();
    }
    core->reported = best;
    struct raft_event event = event_new(RAFT_PERSISTED_ENTRIES, now_ms);
    event.persisted_entries.index = best;
    return core_step(core, &event, NULL);
}

/* ---- messages ---- */

static struct vy_err step_message(struct core *core, uint64_t now_ms, struct raft_message *message,
                                  struct entry *const *entries)
{
    struct raft_event event = event_new(RAFT_RECEIVE, now_ms);
    event.receive.message = message;
    return core_step(core, &event, entries);
}

/* One part of an append: entries [from, from + count) of the message. */
static struct vy_err step_append(struct core *core, uint64_t now_ms, struct raft_message *message,
                                 struct entry *const *entries, size_t count)
{
    struct raft_entry *array = NULL;
    if (count > 0) {
        VY_TRY(fill_entries(entries, count, &array));
    }
    message->append_entries.entries = array;
    message->append_entries.n_entries = (unsigned)count;
    const struct vy_err err = step_message(core, now_ms, message, entries);
    free(array);
    return err;
}

static struct vy_err receive_append(struct core *core, uint64_t now_ms,
                                    struct raft_message *message, struct core_message *append_in)
{
    guard_rebase(core, append_in);
    core->refuses_old = append_in->term < core_term(core);
    if (append_in->term >= core_term(core)) {
        core->last_append_ms = now_ms;
        core_regain_patience(core);
    }
    size_t at = 0;
    do {
        const size_t count = guard_split_changes(append_in->entries + at, append_in->count - at);
        message->append_entries = (struct raft_append_entries){
            .version = append_in->version,
            .term = append_in->term,
            .prev_log_index = append_in->prev_index + at,
            .prev_log_term = at == 0 ? append_in->prev_term : append_in->entries[at - 1]->term,
            .leader_commit = append_in->commit};
        VY_TRY(step_append(core, now_ms, message, append_in->entries + at, count));
        at += count;
    } while (at < append_in->count);
    return vy_ok();
}

/* raft's assertions are compiled out: what it would assert of a peer's message is checked here. */
static bool is_acceptable(const struct core *core, uint64_t from,
                          const struct core_message *message)
{
    if (message->kind == CORE_APPEND && message->term == core_term(core) &&
        raft_state(raft_of(core)) == RAFT_LEADER) {
        return false; /* two leaders in one term: somebody lies */
    }
    if (message->kind == CORE_APPEND_RESULT && message->term == core_term(core) &&
        message->last_index > core_last_index(core) && message->rejected == 0) {
        return false; /* stores what we never sent */
    }
    if (message->term >= CORE_TERM_MAX) {
        return false;
    }
    /* Members may have come that our log does not know yet, the leader among them: the shell says
     * who may ask. Only members answer. */
    const bool is_answer = message->kind == CORE_VOTE_RESULT || message->kind == CORE_APPEND_RESULT;
    return !is_answer || core_has_member(core, from);
}

static void copy_address(const struct core *core, uint64_t id,
                         char out[REPLICA_ADDRESS_BYTES_MAX + 1])
{
    out[0] = '\0';
    for (unsigned i = 0; i < core->raft.configuration.n; i++) {
        const struct raft_server *server = &core->raft.configuration.servers[i];
        if (server->id == id && strlen(server->address) <= REPLICA_ADDRESS_BYTES_MAX) {
            memcpy(out, server->address, strlen(server->address) + 1);
        }
    }
}

struct vy_err core_receive(struct core *core, uint64_t now_ms, uint64_t from,
                           const struct core_message *message)
{
    if (!is_acceptable(core, from, message) || guard_is_stale_rejection(core, from, message)) {
        return vy_ok();
    }
    char address[REPLICA_ADDRESS_BYTES_MAX + 1]; /* the members may change between two parts */
    copy_address(core, from, address);
    struct raft_message raft_message = {.server_id = from, .server_address = address};
    core_message_to_raft(message, &raft_message);
    struct core_message copy = *message;
    return message->kind == CORE_APPEND ? receive_append(core, now_ms, &raft_message, &copy)
                                        : step_message(core, now_ms, &raft_message, NULL);
}

/* ---- facts ---- */

uint64_t core_timeout_ms(const struct core *core)
{
    return raft_timeout(&core->raft);
}
uint64_t core_term(const struct core *core)
{
    return raft_current_term(&core->raft);
}
uint64_t core_voted_for(const struct core *core)
{
    return raft_voted_for(&core->raft);
}
uint64_t core_commit_index(const struct core *core)
{
    return core->commit;
}
uint64_t core_persisted_index(const struct core *core)
{
    return core->reported;
}
uint64_t core_applicable(const struct core *core)
{
    return guard_applicable(core);
}
uint64_t core_noop_index(const struct core *core)
{
    return core->noop_index;
}

uint64_t core_last_index(const struct core *core)
{
    return raft_last_index(raft_of(core));
}

enum replica_role core_role(const struct core *core)
{
    if (!core->is_started) {
        return REPLICA_ROLE_STOPPED;
    }
    switch (raft_state(raft_of(core))) {
    case RAFT_LEADER:
        return REPLICA_ROLE_LEADER;
    case RAFT_CANDIDATE:
        return REPLICA_ROLE_CANDIDATE;
    case RAFT_FOLLOWER:
    case RAFT_UNAVAILABLE:
        break;
    }
    return REPLICA_ROLE_FOLLOWER;
}

bool core_is_ready(const struct core *core)
{
    return raft_state(raft_of(core)) == RAFT_LEADER && core->noop_term == core_term(core) &&
           guard_applicable(core) >= core->noop_index;
}

uint64_t core_transferee(const struct core *core)
{
    return raft_state(raft_of(core)) == RAFT_LEADER ? raft_transferee(&core->raft) : 0;
}

bool core_match_index(const struct core *core, uint64_t id, uint64_t *out)
{
    raft_index match = 0;
    if (raft_state(raft_of(core)) != RAFT_LEADER ||
        raft_match_index(&core->raft, id, &match) != 0) {
        return false;
    }
    *out = match;
    return true;
}
