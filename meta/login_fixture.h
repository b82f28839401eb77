/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For the tests of signing in: a cluster with two accounts, and what was written down of them. */
#include "tests/lib/meta_local.h"
#include "tests/lib/test.h"

#define CHOSEN "correct horse"

struct fixture {
    struct meta_local *local;
    char generated[64]; /* of ada@d.test */
    uint64_t ada;
    uint64_t bob; /* bob@d.test, CHOSEN */
};
int login_fixture_set_up(void **state);
int login_fixture_tear_down(void **state);
/* By PLAIN, as a frontend does it. */
enum login_result login(struct fixture *f, const char *name, const char *password);
/* The newest login record of an account ("-": of unknown names). */
struct admin_login_record newest(struct fixture *f, const char *account);
void expect_record(struct fixture *f, const char *account, const char *result);
/* How long the audit chain is; it must be whole. */
uint64_t audit_count(struct fixture *f);

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, login_fixture_set_up, login_fixture_tear_down)
