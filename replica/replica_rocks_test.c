/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine as in production: RocksDB, the real loop and a writer thread; ended cleanly and by
 * SIGKILL in the middle of its work.
 */
#include "base/assert.h"
#include "replica/check.h"
#include "replica/dir.h"
#include "replica/install.h"
#include "replica/replica_fixture.h"
#include "replica/replica_private.h"
#include "tests/lib/test.h"
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 32U /* in flight */

struct work;
struct slot {
    struct work *work;
    uint64_t token;
};
struct work {
    struct vy_loop *loop;
    struct kv_fsm fsm;
    struct replica *replica;
    struct slot slots[CALLS];
    uint64_t next_token;
    uint64_t last_token; /* none above it */
    uint64_t acknowledged;
    unsigned open;
    int pipe; /* one byte for each acknowledged; -1: none */
};

static struct vy_err open_at(struct work *work, const char *dir)
{
    kv_init(&work->fsm);
    const struct replica_config config = {.dir = dir,
                                          .name = "rocks",
                                          .bootstrap_alone = true,
                                          .clock = vy_clock_system(),
                                          .rng = vy_rng_system(),
                                          .loop = work->loop,
                                          .fsm = &work->fsm.base};
    return replica_open(&config, &work->replica);
}

static void on_stopped(void *arg)
{
    struct work *work = arg;
    vy_loop_uv_stop(work->loop);
}

static void send(struct slot *slot);

static void on_done(void *arg, struct vy_err err, struct vy_bytes result)
{
    struct slot *slot = arg;
    struct work *work = slot->work;
    (void)result;
    VY_ASSERT(!vy_failed(err));
    work->acknowledged++;
    work->open--;
    if (work->pipe >= 0) {
        VY_ASSERT(write(work->pipe, "a", 1) == 1);
    }
    if (work->next_token < work->last_token) {
        send(slot);
    } else if (work->open == 0) {
        replica_stop(work->replica, on_stopped, work);
    }
}

static void send(struct slot *slot)
{
    char command[64];
    char key[32];
    static uint8_t body[REPLICA_PAYLOAD_BYTES_MIN];
    struct work *work = slot->work;
    slot->token = work->next_token++;
    work->open++;
    snprintf(command, sizeof(command), "add n t%llu", (unsigned long long)slot->token);
    snprintf(key, sizeof(key), "b%llu", (unsigned long long)slot->token);
    const struct replica_payload payload = {
        .family = KV_FAMILY_BODIES, .key = vy_cstr(key), .value = vy_bytes(body, sizeof(body))};
    const struct replica_proposal proposal = {
        .command = vy_cstr(command), .payloads = &payload, .payload_count = 1};
    VY_ASSERT(!vy_failed(replica_propose(work->replica, &proposal, on_done, slot)));
}

static void begin(void *arg)
{
    struct work *work = arg;
    if (!replica_is_leader(work->replica)) {
        vy_loop_post(work->loop, begin, work);
        return;
    }
    for (unsigned i = 0; i < CALLS && work->next_token < work->last_token; i++) {
        work->slots[i].work = work;
        send(&work->slots[i]);
    }
}

/* Tokens [first, last) through a replica at `dir`. Returns the counter at its end. */
static uint64_t run(const char *dir, uint64_t first, uint64_t last, int pipe)
{
    struct work work = {.next_token = first, .last_token = last, .pipe = pipe};
    char value[32];
    uint64_t number = 0;
    VY_ASSERT(!vy_failed(vy_loop_uv_new(&work.loop)));
    VY_ASSERT(!vy_failed(open_at(&work, dir)));
    VY_ASSERT(!vy_failed(replica_start(work.replica)));
    vy_loop_post(work.loop, begin, &work);
    vy_loop_uv_run(work.loop);
    VY_ASSERT(vy_parse_u64(vy_cstr(kv_get(work.replica, "n", value, sizeof(value))), &number));
    replica_free(work.replica);
    vy_loop_uv_free(work.loop);
    return number;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *place)
{
    (void)status;
    (void)flag;
    (void)place;
    return remove(path);
}

static void a_clean_end_and_a_start_keep_everything(void **state)
{
    (void)state;
    char dir[] = "/tmp/volary-replica-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(run(dir, 0, 500, -1), 500);
    assert_int_equal(run(dir, 400, 600, -1), 600); /* 100 of them are retries */
    assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* C5: a second process, or a second replica, on the same directory. */
static void a_directory_in_use_is_refused(void **state)
{
    (void)state;
    char dir[] = "/tmp/volary-replica-XXXXXX";
    struct work first = {.pipe = -1};
    struct work second = {.pipe = -1};
    assert_non_null(mkdtemp(dir));
    assert_false(vy_failed(vy_loop_uv_new(&first.loop)));
    second.loop = first.loop;
    assert_false(vy_failed(open_at(&first, dir)));
    assert_int_equal(open_at(&second, dir).code, VY_CODE_BUSY);
    replica_free(first.replica);
    vy_loop_uv_free(first.loop);
    assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* RocksDB's threads do not survive a fork: the worker is a program started anew. */
static void become_worker(const char *dir, uint64_t first, const int ends[2])
{
    char first_text[24];
    char pipe_text[24];
    char path[128];
    close(ends[0]);
    snprintf(first_text, sizeof(first_text), "%llu", (unsigned long long)first);
    snprintf(pipe_text, sizeof(pipe_text), "%d", ends[1]);
    snprintf(path, sizeof(path), "%s", dir);
    char *const arguments[] = {(char[]){"worker"}, path, first_text, pipe_text, NULL};
    execv("/proc/self/exe", arguments);
    _exit(127);
}

/* P1, F2: what was acknowledged before the kill is there, each once. */
static void a_kill_loses_nothing_acknowledged(void **state)
{
    (void)state;
    char dir[] = "/tmp/volary-replica-XXXXXX";
    int ends[2];
    uint64_t told = 0;
    char byte = 0;
    assert_non_null(mkdtemp(dir));
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            become_worker(dir, told, ends);
        }
        close(ends[1]);
        for (unsigned i = 0; i < 300; i++) {
            assert_int_equal(read(ends[0], &byte, 1), 1);
            told++;
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read(ends[0], &byte, 1) == 1) {
            told++; /* it had said so before */
        }
        close(ends[0]);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        /* Tokens are acknowledged in order: all below `told` are retries now. */
        const uint64_t number = run(dir, 0, told, -1);
        assert_true(number >= told && number <= told + CALLS);
        told = number;
    }
    assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* ---- check.h ---- */

static void ignore_progress(void *arg, const struct check *check, const char *what)
{
    (void)arg;
    (void)check;
    (void)what;
}

static void print_problem(void *arg, struct vy_bytes text)
{
    (void)arg;
    print_message("problem: %.*s\n", VY_PRI(text));
}

static struct vy_err check_dir(const char *dir, struct check *check)
{
    struct kv_fsm fsm;
    kv_init(&fsm);
    *check = (struct check){.on_problem = print_problem, .on_progress = ignore_progress};
    const struct check_config config = {
        .dir = dir, .families = fsm.base.families, .family_count = fsm.base.family_count};
    return check_directory(&config, check);
}

static const char *damaged_suffix;

/* One bit in the middle of each file of that kind. */
static int damage_one(const char *path, const struct stat *status, int flag, struct FTW *place)
{
    (void)place;
    if (flag != FTW_F || status->st_size == 0 ||
        !vy_bytes_ends_with(vy_cstr(path), vy_cstr(damaged_suffix))) {
        return 0;
    }
    FILE *file = fopen(path, "r+b");
    VY_ASSERT(file != NULL && fseek(file, status->st_size / 2, SEEK_SET) == 0);
    const int byte = fgetc(file);
    VY_ASSERT(byte != EOF && fseek(file, -1, SEEK_CUR) == 0 && fputc(byte ^ 1, file) != EOF);
    return fclose(file);
}

/* P4, C6: what a check reads it has verified; it finds nothing in a whole directory. */
static void p4_a_check_finds_a_flipped_bit(void **state)
{
    (void)state;
    const char *const kinds[] = {".sst", ".blob", ".log"};
    struct check check;
    for (size_t i = 0; i < VY_COUNT_OF(kinds); i++) {
        char dir[] = "/tmp/volary-replica-XXXXXX";
        assert_non_null(mkdtemp(dir));
        /* Enough of bodies for files, and the start after it flushes what is in memory. */
        assert_int_equal(run(dir, 0, 3000, -1), 3000);
        assert_int_equal(run(dir, 3000, 3010, -1), 3010);
        assert_false(vy_failed(check_dir(dir, &check)));
        assert_int_equal(check.problem_count, 0);
        assert_true(check.applied_index > 0 && check.identity.member_id != 0);
        assert_true(check.byte_count > 3000ULL * REPLICA_PAYLOAD_BYTES_MIN);
        damaged_suffix = kinds[i];
        assert_int_equal(nftw(dir, damage_one, 16, FTW_PHYS), 0);
        assert_false(vy_failed(check_dir(dir, &check)));
        assert_true(check.problem_count > 0);
        assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    }
}

static void a_check_waits_for_no_process_and_makes_nothing(void **state)
{
    (void)state;
    char dir[] = "/tmp/volary-replica-XXXXXX";
    struct work work = {.pipe = -1};
    struct check check;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(check_dir(dir, &check).code, VY_CODE_NOT_FOUND);
    assert_int_equal(rmdir(dir), 0); /* still empty */
    assert_int_equal(check_dir(dir, &check).code, VY_CODE_NOT_FOUND);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_false(vy_failed(vy_loop_uv_new(&work.loop)));
    assert_false(vy_failed(open_at(&work, dir)));
    assert_int_equal(check_dir(dir, &check).code, VY_CODE_BUSY);
    replica_free(work.replica);
    vy_loop_uv_free(work.loop);
    assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* ---- a snapshot becomes a member's own ---- */

static struct vy_err open_kv(const char *dir, struct store **out)
{
    struct kv_fsm fsm;
    struct store_family families[STORE_FAMILIES_MAX];
    size_t count = 0;
    kv_init(&fsm);
    assert_false(vy_failed(identity_list_families(&fsm.base, families, &count)));
    const struct store_options options = {
        .dir = dir, .families = families, .family_count = count, .must_exist = true};
    return store_rocks_open(&options, out);
}

/* A checkpoint of the database at `dir`, where one arrives that is to replace it. */
static void stage_checkpoint(const char *dir)
{
    char path[INSTALL_PATH_BYTES_MAX];
    struct store *store = NULL;
    assert_false(vy_failed(open_kv(dir, &store)));
    assert_false(vy_failed(install_path(dir, INSTALL_INCOMING, path)));
    assert_false(vy_failed(dir_make(path)));
    assert_false(vy_failed(install_path(dir, INSTALL_INCOMING_DB, path)));
    assert_false(vy_failed(store_checkpoint(store, path)));
    store_close(store);
}

static struct install_note note_of(const char *dir)
{
    struct install_note note = {.term = 40, .voted_for = 9, .index = 1};
    struct store *store = NULL;
    bool is_found = false;
    assert_false(vy_failed(open_kv(dir, &store)));
    assert_false(vy_failed(identity_read(store_newest(store), &note.identity, &is_found)));
    assert_true(is_found);
    store_close(store);
    note.identity.incarnation = 70;
    return note;
}

/* P4, P10: with its own term and vote, and with nothing of the sender's log. The WAL is part of the
 * checkpoint: nothing was flushed. */
static void a_checkpoint_becomes_a_members_own(void **state)
{
    (void)state;
    char dir[] = "/dev/shm/volary-rocks-XXXXXX";
    char path[INSTALL_PATH_BYTES_MAX];
    struct store *store = NULL;
    struct log_loaded loaded;
    struct log_spans spans;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(run(dir, 0, 300, -1), 300);
    stage_checkpoint(dir);
    struct install_note note = note_of(dir);
    assert_int_equal(run(dir, 300, 400, -1), 400); /* the old one goes on; it will be replaced */
    assert_false(vy_failed(install_write_note(dir, &note)));
    assert_int_equal(run(dir, 300, 301, -1), 301); /* a start: the swap happens before it */
    assert_false(vy_failed(open_kv(dir, &store)));
    log_spans_init(&spans, 1, 1, 1, 1);
    assert_false(vy_failed(log_load(store_newest(store), &spans, &loaded)));
    assert_true(loaded.term >= 40);       /* its own, not the sender's */
    assert_true(loaded.base.index >= 10); /* the sender's log is gone */
    assert_in_range(loaded.row_count, 1, 5);
    log_loaded_deinit(&loaded);
    store_close(store);
    assert_false(vy_failed(install_path(dir, ".replaced", path)));
    assert_false(dir_exists(path));
    assert_false(vy_failed(dir_remove(dir)));
}

/* A file is missing: RocksDB refuses it, and the old state comes back. */
static void a_useless_checkpoint_gives_way_to_the_old_state(void **state)
{
    (void)state;
    char dir[] = "/dev/shm/volary-rocks-XXXXXX";
    char path[INSTALL_PATH_BYTES_MAX];
    assert_non_null(mkdtemp(dir));
    assert_int_equal(run(dir, 0, 50, -1), 50);
    stage_checkpoint(dir);
    struct install_note note = note_of(dir);
    assert_false(vy_failed(install_path(dir, INSTALL_INCOMING_DB "/CURRENT", path)));
    assert_int_equal(unlink(path), 0);
    assert_false(vy_failed(install_write_note(dir, &note)));
    assert_int_equal(run(dir, 50, 60, -1), 60);
    note.index = 1000000; /* promised more than there is */
    stage_checkpoint(dir);
    assert_false(vy_failed(install_write_note(dir, &note)));
    assert_int_equal(run(dir, 60, 70, -1), 70);
    note.identity.group_id++; /* of another group */
    note.index = 1;
    stage_checkpoint(dir);
    assert_false(vy_failed(install_write_note(dir, &note)));
    assert_int_equal(run(dir, 70, 80, -1), 80);
    assert_false(vy_failed(dir_remove(dir)));
}

int main(int argc, char **argv)
{
    uint64_t first = 0;
    uint32_t pipe_fd = 0;
    if (argc == 4 && vy_parse_u64(vy_cstr(argv[2]), &first) &&
        vy_parse_u32(vy_cstr(argv[3]), &pipe_fd)) {
        run(argv[1], first, UINT64_MAX, (int)pipe_fd);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_end_and_a_start_keep_everything),
        cmocka_unit_test(a_directory_in_use_is_refused),
        cmocka_unit_test(a_kill_loses_nothing_acknowledged),
        cmocka_unit_test(p4_a_check_finds_a_flipped_bit),
        cmocka_unit_test(a_check_waits_for_no_process_and_makes_nothing),
        cmocka_unit_test(a_checkpoint_becomes_a_members_own),
        cmocka_unit_test(a_useless_checkpoint_gives_way_to_the_old_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
