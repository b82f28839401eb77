/* SPDX-License-Identifier: Apache-2.0 */
/* A crash at any step of putting a received database in place: the old one or the new one, whole.
 */
#include "replica/install.h"

#include "replica/dir.h"
#include "tests/lib/test.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char parent[64];
    char dir[128];
};

static const struct install_note note = {
    .identity = {.cluster_id = {1, 2, 3}, .group_id = 5, .member_id = 7, .incarnation = 4},
    .term = 9,
    .voted_for = 7,
    .index = 1234
};

static const char *path_of(const struct place *place, const char *rest)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s%s", place->dir, rest);
    return path;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

/* "old", "new", or "" when there is no database. */
static const char *content(const struct place *place)
{
    static char text[16];
    FILE *file = fopen(path_of(place, "/CURRENT"), "re");
    text[0] = '\0';
    if (file != NULL) {
        assert_non_null(fgets(text, sizeof(text), file));
        assert_int_equal(fclose(file), 0);
    }
    return text;
}

static void move(const struct place *place, const char *from, const char *to)
{
    char source[256];
    snprintf(source, sizeof(source), "%s", path_of(place, from));
    assert_int_equal(rename(source, path_of(place, to)), 0);
}

/* An old database, and a new one that has arrived. */
static void place_init(struct place *place)
{
    snprintf(place->parent, sizeof(place->parent), "/tmp/volary-install-XXXXXX");
    assert_non_null(mkdtemp(place->parent));
    snprintf(place->dir, sizeof(place->dir), "%s/db", place->parent);
    assert_int_equal(mkdir(place->dir, 0700), 0);
    write_file(path_of(place, "/CURRENT"), "old");
    assert_int_equal(mkdir(path_of(place, ".incoming"), 0700), 0);
    assert_int_equal(mkdir(path_of(place, ".incoming/db"), 0700), 0);
    write_file(path_of(place, ".incoming/offer"), "x");
    write_file(path_of(place, ".incoming/db/CURRENT"), "new");
}

static void place_deinit(const struct place *place)
{
    assert_false(vy_failed(dir_remove(place->parent)));
}

static void assert_no_leftovers(const struct place *place)
{
    assert_false(dir_exists(path_of(place, ".replaced")));
    assert_false(dir_exists(path_of(place, ".refused")));
    assert_false(dir_exists(path_of(place, ".incoming")));
    assert_int_not_equal(access(path_of(place, "/MEMBER"), F_OK), 0);
}

static bool has_note(const struct place *place)
{
    struct install_note found;
    bool is_found = false;
    assert_false(vy_failed(install_read_note(place->dir, &is_found, &found)));
    if (is_found) {
        assert_int_equal(found.term, note.term);
        assert_int_equal(found.voted_for, note.voted_for);
        assert_int_equal(found.index, note.index);
        assert_int_equal(found.identity.member_id, note.identity.member_id);
        assert_int_equal(found.identity.incarnation, note.identity.incarnation);
    }
    return is_found;
}

enum step { STEP_ARRIVED, STEP_NOTED, STEP_OLD_AWAY, STEP_SWAPPED, STEP_NOTE_GONE, STEP_COUNT };

static void go_to(const struct place *place, enum step step)
{
    if (step >= STEP_NOTED) {
        assert_false(vy_failed(install_write_note(place->dir, &note)));
    }
    if (step >= STEP_OLD_AWAY) {
        move(place, "", ".replaced");
    }
    if (step >= STEP_SWAPPED) {
        move(place, ".incoming/db", "");
    }
    if (step >= STEP_NOTE_GONE) {
        assert_int_equal(unlink(path_of(place, "/MEMBER")), 0);
    }
}

static void a_crash_after_any_step_leaves_the_old_or_the_new_one(void **state)
{
    (void)state;
    for (enum step step = STEP_ARRIVED; step < STEP_COUNT; step++) {
        struct place place;
        place_init(&place);
        go_to(&place, step);
        assert_false(vy_failed(install_recover(place.dir)));
        assert_string_equal(content(&place), step == STEP_ARRIVED ? "old" : "new");
        assert_int_equal(has_note(&place), step != STEP_ARRIVED && step != STEP_NOTE_GONE);
        assert_false(vy_failed(install_recover(place.dir))); /* and a crash in between */
        if (has_note(&place)) {
            assert_false(vy_failed(install_finish(place.dir)));
        }
        if (step == STEP_ARRIVED) {
            assert_true(dir_exists(path_of(&place, ".incoming/db"))); /* to be gone on with */
        } else {
            assert_no_leftovers(&place);
        }
        place_deinit(&place);
    }
}

static void one_that_cannot_be_opened_gives_way_to_the_old_one(void **state)
{
    (void)state;
    for (unsigned crash = 0; crash < 3; crash++) {
        struct place place;
        bool is_back = false;
        place_init(&place);
        go_to(&place, STEP_SWAPPED);
        if (crash == 0) {
            assert_false(vy_failed(install_roll_back(place.dir, &is_back)));
            assert_true(is_back);
        } else {
            move(&place, "", ".refused");
            if (crash == 2) {
                move(&place, ".replaced", "");
            }
            assert_false(vy_failed(install_recover(place.dir)));
        }
        assert_string_equal(content(&place), "old");
        assert_false(vy_failed(install_recover(place.dir)));
        assert_false(dir_exists(path_of(&place, ".refused")));
        assert_false(dir_exists(path_of(&place, ".replaced")));
        assert_false(has_note(&place));
        place_deinit(&place);
    }
}

/* C5 */
static void a_database_in_use_is_not_moved(void **state)
{
    (void)state;
    struct place place;
    place_init(&place);
    assert_false(vy_failed(install_write_note(place.dir, &note)));
    const int fd = open(place.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(install_swap(place.dir).code, VY_CODE_BUSY);
    assert_int_equal(install_recover(place.dir).code, VY_CODE_BUSY);
    assert_string_equal(content(&place), "old");
    assert_int_equal(close(fd), 0);
    assert_false(vy_failed(install_swap(place.dir)));
    assert_string_equal(content(&place), "new");
    place_deinit(&place);
}

/* C6: a damaged note is never taken for another member's, or none. */
static void a_damaged_note_is_refused(void **state)
{
    (void)state;
    struct place place;
    struct install_note found;
    bool is_found = false;
    place_init(&place);
    go_to(&place, STEP_SWAPPED);
    for (off_t at = 0; at < 70; at++) {
        uint8_t byte = 0;
        const int fd = open(path_of(&place, "/MEMBER"), O_RDWR | O_CLOEXEC);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_true(vy_failed(install_read_note(place.dir, &is_found, &found)));
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_int_equal(close(fd), 0);
    }
    assert_int_equal(truncate(path_of(&place, "/MEMBER"), 69), 0);
    assert_int_equal(install_read_note(place.dir, &is_found, &found).code, VY_CODE_CORRUPT);
    place_deinit(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_after_any_step_leaves_the_old_or_the_new_one),
        cmocka_unit_test(one_that_cannot_be_opened_gives_way_to_the_old_one),
        cmocka_unit_test(a_database_in_use_is_not_moved),
        cmocka_unit_test(a_damaged_note_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
