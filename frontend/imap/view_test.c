/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "frontend/imap/view.h"
#include "tests/lib/test.h"

static struct imap_view *make_view(uint32_t first, uint32_t last)
{
    struct imap_view *view = NULL;
    assert_false(vy_failed(imap_view_new(VY_LIT("INBOX"), &view)));
    uidset_add_range(&view->uids, first, last);
    view->told_modseq = 10;
    view->hint_modseq = 10;
    return view;
}

static void expunges_are_right_for_who_reads_them_one_by_one(void **state)
{
    (void)state;
    struct imap_view *const view = make_view(10, 19);
    struct uidset gone;
    struct vy_buf out;
    vy_buf_init(&out, 4096);
    uidset_init(&gone);
    uidset_add_range(&gone, 12, 13);
    uidset_add_range(&gone, 19, 30); /* 20 to 30 are not there */
    assert_false(vy_failed(imap_view_expunge(view, &gone, &out)));
    assert_true(vy_bytes_equal(vy_buf_bytes(&out),
                               VY_LIT("* 10 EXPUNGE\r\n* 4 EXPUNGE\r\n* 3 EXPUNGE\r\n")));
    assert_int_equal(imap_view_exists(view), 7);
    assert_int_equal(uidset_nth(&view->uids, 3), 14);
    vy_buf_reset(&out);
    assert_false(vy_failed(imap_view_expunge(view, &gone, &out)));
    assert_int_equal(vy_buf_len(&out), 0); /* told once */
    vy_buf_deinit(&out);
    uidset_deinit(&gone);
    imap_view_free(view);
}

static void only_uids_behind_the_last_are_added(void **state)
{
    (void)state;
    struct imap_view *const view = make_view(10, 12);
    struct uidset fresh;
    bool added = true;
    uidset_init(&fresh);
    uidset_add_range(&fresh, 9, 11);
    assert_false(vy_failed(imap_view_add(view, &fresh, &added)));
    assert_false(added);
    uidset_add_range(&fresh, 12, 14);
    assert_false(vy_failed(imap_view_add(view, &fresh, &added)));
    assert_true(added);
    assert_int_equal(imap_view_exists(view), 5);
    uidset_deinit(&fresh);
    imap_view_free(view);
}

static void keywords_keep_their_bits(void **state)
{
    (void)state;
    struct imap_view *const view = make_view(1, 1);
    const struct vy_bytes names[] = {VY_LIT("$Junk"), VY_LIT("Work"), VY_LIT("x")};
    assert_false(vy_failed(imap_view_set_keywords(view, names, 3)));
    assert_true(vy_bytes_equal(imap_view_keyword(view, 0), VY_LIT("$Junk")));
    assert_true(vy_bytes_equal(imap_view_keyword(view, 2), VY_LIT("x")));
    assert_int_equal(imap_view_keyword(view, 3).len, 0);
    assert_int_equal(imap_view_keyword(view, 4000000000U).len, 0);
    imap_view_free(view);
}

static void own_changes_with_nothing_between_are_told(void **state)
{
    (void)state;
    struct imap_view *const view = make_view(1, 3);
    imap_view_note_own(view, 12, 10, true);
    assert_false(imap_view_is_behind(view));
    assert_int_equal(view->told_modseq, 12);
    imap_view_free(view);
}

static void own_changes_behind_those_of_others_need_a_sync(void **state)
{
    (void)state;
    struct imap_view *const view = make_view(1, 3);
    imap_view_note_own(view, 15, 13, true);
    assert_true(imap_view_is_behind(view));
    assert_true(imap_view_is_own(view, 15));
    assert_false(imap_view_is_own(view, 13));
    imap_view_note_own(view, 17, 15, false); /* .SILENT: its outcome was not seen */
    assert_false(imap_view_is_own(view, 17));
    view->must_sync = false;
    imap_view_note_told(view, 17);
    assert_false(imap_view_is_behind(view));
    assert_false(imap_view_is_own(view, 15));
    imap_view_free(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expunges_are_right_for_who_reads_them_one_by_one),
        cmocka_unit_test(only_uids_behind_the_last_are_added),
        cmocka_unit_test(keywords_keep_their_bits),
        cmocka_unit_test(own_changes_with_nothing_between_are_told),
        cmocka_unit_test(own_changes_behind_those_of_others_need_a_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
