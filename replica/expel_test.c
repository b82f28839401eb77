/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was deleted leaves the files: on RocksDB, with the real loop and a writer thread. The proof
 * is a search for the bytes in every file of the directory (P8, F22).
 */
#include "replica/expel.h"

#include "base/assert.h"
#include "replica/replica_fixture.h"
#include "tests/lib/test.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK "MARKER-41c9-of-the-erased"

struct work {
    struct vy_loop *loop;
    struct kv_fsm fsm;
    struct replica *replica;
    struct expeller *expeller;
    struct vy_timer *timer;
    struct expel_report report;
    unsigned filler_left;
    bool is_deleted;
    bool dies; /* before the delete, without closing anything */
};

/* ---- the search ---- */

static bool is_found;

static int look_into(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    (void)ftw;
    if (kind != FTW_F || info->st_size == 0) {
        return 0;
    }
    const size_t len = (size_t)info->st_size;
    uint8_t *bytes = malloc(len);
    FILE *file = fopen(path, "rb");
    VY_ASSERT(bytes != NULL && file != NULL);
    const size_t got = fread(bytes, 1, len, file);
    (void)fclose(file);
    is_found = is_found || vy_bytes_find(vy_bytes(bytes, got), VY_LIT(MARK), 0) != SIZE_MAX;
    free(bytes);
    return 0;
}

static bool is_in_files(const char *dir)
{
    is_found = false;
    VY_ASSERT(nftw(dir, look_into, 16, FTW_PHYS) == 0);
    return is_found;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    (void)info;
    (void)kind;
    (void)ftw;
    return remove(path);
}

/* ---- the work ---- */

static size_t write_prefix(unsigned family, uint64_t subject, uint8_t out[EXPEL_PREFIX_BYTES_MAX])
{
    (void)family;
    out[0] = (uint8_t)subject;
    return 1;
}

static void step(void *arg);

static void on_stopped(void *arg)
{
    const struct work *work = arg;
    vy_loop_uv_stop(work->loop);
}

static void on_set(void *arg, struct vy_err err, struct vy_bytes result)
{
    struct work *work = arg;
    (void)result;
    VY_ASSERT(!vy_failed(err));
    step(work);
}

static void propose(struct work *work, const char *command)
{
    const struct replica_proposal proposal = {.command = vy_cstr(command)};
    VY_ASSERT(!vy_failed(replica_propose(work->replica, &proposal, on_set, work)));
}

static void ask(void *arg)
{
    struct work *work = arg;
    if (work->expeller == NULL) {
        replica_stop(work->replica, on_stopped, work);
        return;
    }
    expeller_ask(work->expeller, 'k', &work->report);
    if (work->report.is_cut) {
        replica_stop(work->replica, on_stopped, work);
        return;
    }
    vy_timer_start(work->timer, 10);
}

/* The marked row, others around it, the delete; then the expeller. */
static void step(void *arg)
{
    struct work *work = arg;
    char command[64];
    if (work->filler_left > 0) {
        work->filler_left--;
        snprintf(command, sizeof(command), "set %c%u x", work->filler_left % 2 == 0 ? 'a' : 'z',
                 work->filler_left);
        propose(work, work->filler_left == 5 ? "set k" MARK " " MARK : command);
        return;
    }
    if (work->dies) {
        _exit(0);
    }
    if (!work->is_deleted) {
        work->is_deleted = true;
        propose(work, "del k" MARK);
        return;
    }
    ask(work);
}

static void begin(void *arg)
{
    struct work *work = arg;
    if (!replica_is_leader(work->replica)) {
        vy_loop_post(work->loop, begin, work);
        return;
    }
    step(work);
}

static void open_at(struct work *work, const char *dir)
{
    kv_init(&work->fsm);
    const struct replica_config config = {.dir = dir,
                                          .name = "expel",
                                          .bootstrap_alone = true,
                                          .clock = vy_clock_system(),
                                          .rng = vy_rng_system(),
                                          .loop = work->loop,
                                          .fsm = &work->fsm.base};
    VY_ASSERT(!vy_failed(replica_open(&config, &work->replica)));
    const struct expeller_config expel = {.replica = work->replica,
                                          .loop = work->loop,
                                          .write_prefix = write_prefix,
                                          .families = 1ULL << KV_FAMILY_ROWS};
    VY_ASSERT(!vy_failed(expeller_new(&expel, &work->expeller)));
    work->timer = vy_timer_new(work->loop, ask, work);
}

static void close_it(struct work *work)
{
    vy_timer_free(work->timer);
    expeller_free(work->expeller);
    replica_free(work->replica);
    vy_loop_uv_free(work->loop);
}

static void p8_what_was_deleted_is_in_no_file_when_the_expeller_says_so(void **state)
{
    char dir[] = "/tmp/volary-expel-XXXXXX";
    struct work work = {.filler_left = 20};
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_false(vy_failed(vy_loop_uv_new(&work.loop)));
    open_at(&work, dir);
    assert_false(vy_failed(replica_start(work.replica)));
    vy_loop_post(work.loop, begin, &work);
    vy_loop_uv_run(work.loop);
    assert_true(work.report.is_rewritten && work.report.is_cut);
    assert_false(is_in_files(dir));
    struct replica_status status;
    replica_get_status(work.replica, &status);
    assert_true(status.log_first_index > 20);
    close_it(&work);
    assert_int_equal(nftw(dir, remove_one, 16, FTW_PHYS | FTW_DEPTH), 0);
}

static void run(struct work *work, const char *dir)
{
    VY_ASSERT(!vy_failed(vy_loop_uv_new(&work->loop)));
    open_at(work, dir);
    VY_ASSERT(!vy_failed(replica_start(work->replica)));
    vy_loop_post(work->loop, begin, work);
    vy_loop_uv_run(work->loop);
}

/* RocksDB leaves a log behind that no later flush removes: the work must end all the same. */
static void del5_it_ends_in_a_directory_whose_process_was_killed(void **state)
{
    char dir[] = "/tmp/volary-expel-XXXXXX";
    struct work work = {.filler_left = 3};
    (void)state;
    assert_non_null(mkdtemp(dir));
    for (unsigned i = 0; i < 3; i++) {
        const pid_t child = fork();
        if (child == 0) {
            struct work killed = {.filler_left = 20, .dies = true};
            run(&killed, dir);
            _exit(1);
        }
        int status = 1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    assert_true(is_in_files(dir));
    run(&work, dir);
    assert_true(work.report.is_cut);
    assert_false(is_in_files(dir));
    close_it(&work);
    assert_int_equal(nftw(dir, remove_one, 16, FTW_PHYS | FTW_DEPTH), 0);
}

/* The search finds what is there: without the expeller the bytes stay, in the log at least. */
static void without_it_the_bytes_are_found(void **state)
{
    char dir[] = "/tmp/volary-expel-XXXXXX";
    struct work work = {.filler_left = 20};
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_false(vy_failed(vy_loop_uv_new(&work.loop)));
    open_at(&work, dir);
    assert_false(vy_failed(replica_start(work.replica)));
    work.report.is_cut = false;
    vy_timer_free(work.timer);
    expeller_free(work.expeller);
    work.expeller = NULL;
    work.timer = NULL;
    vy_loop_post(work.loop, begin, &work);
    vy_loop_uv_run(work.loop);
    assert_true(is_in_files(dir));
    close_it(&work);
    assert_int_equal(nftw(dir, remove_one, 16, FTW_PHYS | FTW_DEPTH), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: it forks, which RocksDB's threads do not survive. */
        cmocka_unit_test(del5_it_ends_in_a_directory_whose_process_was_killed),
        cmocka_unit_test(p8_what_was_deleted_is_in_no_file_when_the_expeller_says_so),
        cmocka_unit_test(without_it_the_bytes_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
