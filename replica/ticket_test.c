/* SPDX-License-Identifier: Apache-2.0 */
/* P12: the file that lets an empty directory become a member. */
#include "replica/ticket.h"

#include "base/assert.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CLUSTER "cluster 0123456789abcdef0123456789abcdef\n"
#define HEAD "volary-replica-ticket 1\n" CLUSTER "group 2\nmember 9f86d081884c7d65\n"
#define SELF "peer 9f86d081884c7d65 tcp:127.0.0.1:10071\n"

struct fixture {
    char dir[64];
    char path[96];
    struct vy_arena arena;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/volary-ticket-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/ticket", f->dir);
    vy_arena_init(&f->arena, 64U * 1024);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    (void)unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0); /* no test leaves another file */
    vy_arena_deinit(&f->arena);
    free(f);
    return 0;
}

static void write_text(const struct fixture *f, const char *text, mode_t mode)
{
    const int fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static const struct replica_member peers[] = {
    {.id = 0x9f86d081884c7d65, .address = "tcp:127.0.0.1:10071" },
    {.id = 1,                  .address = "ipc:/run/volary/peer"},
};

static struct ticket example(void)
{
    struct ticket ticket = {
        .cluster_id = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89,
                       0xab, 0xcd, 0xef},
        .group_id = 2,
        .member_id = 0x9f86d081884c7d65,
        .peer_count = 2
    };
    memcpy(ticket.peers, peers, sizeof(peers));
    return ticket;
}

static void what_is_written_is_read_once(void **state)
{
    struct fixture *f = *state;
    const struct ticket ticket = example();
    struct ticket read;
    struct stat info;
    char text[1024] = "";
    assert_int_equal(ticket_read(&f->arena, f->path, &read).code, VY_CODE_NOT_FOUND);
    assert_false(vy_failed(ticket_write(f->path, &ticket)));
    assert_int_equal(stat(f->path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    FILE *file = fopen(f->path, "rb");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, HEAD SELF "peer 0000000000000001 ipc:/run/volary/peer\n");
    assert_false(vy_failed(ticket_read(&f->arena, f->path, &read)));
    assert_memory_equal(read.cluster_id, ticket.cluster_id, sizeof(read.cluster_id));
    assert_int_equal(read.group_id, 2);
    assert_true(read.member_id == ticket.member_id);
    assert_int_equal(read.peer_count, 2);
    assert_int_equal(read.peers[1].id, 1);
    assert_string_equal(read.peers[1].address, peers[1].address);
    assert_int_equal(ticket_write(f->path, &ticket).code, VY_CODE_EXISTS);
    assert_false(vy_failed(ticket_consume(f->path)));
    assert_int_equal(ticket_read(&f->arena, f->path, &read).code, VY_CODE_NOT_FOUND);
    assert_false(vy_failed(ticket_consume(f->path))); /* by a start that was cut short */
}

static void texts_are_accepted_or_refused(void **state)
{
    /* clang-format off */
    static const struct { const char *text; enum vy_code code; } rows[] = {
        { HEAD SELF, VY_CODE_OK },
        { HEAD "peer 00000000000000ff tcp:a:1\n" SELF, VY_CODE_OK },
        { "", VY_CODE_SYNTAX },
        { HEAD, VY_CODE_SYNTAX },
        { HEAD "peer 9f86d081884c7d65 tcp:127.0.0.1:10071", VY_CODE_SYNTAX }, /* cut short */
        { HEAD SELF "\n", VY_CODE_SYNTAX },
        { HEAD SELF SELF, VY_CODE_SYNTAX },
        { HEAD SELF "member 9f86d081884c7d65\n", VY_CODE_SYNTAX },
        { HEAD "peer 9f86d081884c7d66 tcp:a:1\n", VY_CODE_SYNTAX }, /* not among them */
        { HEAD "peer 9F86D081884C7D65 tcp:a:1\n", VY_CODE_SYNTAX },
        { HEAD "peer 9f86d081884c7d6 tcp:a:1\n", VY_CODE_SYNTAX },
        { HEAD "peer 9f86d081884c7d65\n", VY_CODE_SYNTAX },
        { HEAD "peer 9f86d081884c7d65 \n", VY_CODE_SYNTAX },
        { HEAD "peer 9f86d081884c7d65 tcp: a\n", VY_CODE_SYNTAX },
        { HEAD "peer 9f86d081884c7d65 tcp:\r\n", VY_CODE_SYNTAX },
        { HEAD SELF "peer 0000000000000000 tcp:a:1\n", VY_CODE_SYNTAX },
        { "volary-replica-ticket 2\n" CLUSTER "group 2\nmember 9f86d081884c7d65\n" SELF, VY_CODE_OK }, /* joins */
        { "volary-replica-ticket 3\n" CLUSTER "group 2\nmember 9f86d081884c7d65\n" SELF, VY_CODE_SYNTAX },
        { "volary-replica-ticket 1\ngroup 2\n" CLUSTER "member 9f86d081884c7d65\n" SELF, VY_CODE_SYNTAX },
        { "volary-replica-ticket 1\n" CLUSTER "group 0\nmember 9f86d081884c7d65\n" SELF, VY_CODE_SYNTAX },
        { "volary-replica-ticket 1\n" CLUSTER "group 02\nmember 9f86d081884c7d65\n" SELF, VY_CODE_SYNTAX },
        { "volary-replica-ticket 1\n" CLUSTER "group 18446744073709551616\nmember 9f86d081884c7d65\n" SELF, VY_CODE_SYNTAX },
        { "volary-replica-ticket 1\ncluster 00000000000000000000000000000000\ngroup 2\nmember 9f86d081884c7d65\n" SELF, VY_CODE_SYNTAX },
        { "volary-replica-ticket 1\ncluster 0123456789abcdef0123456789abcde\ngroup 2\nmember 9f86d081884c7d65\n" SELF, VY_CODE_SYNTAX },
    };
    /* clang-format on */
    struct fixture *f = *state;
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct ticket ticket;
        const struct vy_err err = ticket_parse(&f->arena, vy_cstr(rows[i].text), &ticket);
        if (err.code != rows[i].code) {
            fail_msg("row %zu: %s", i, vy_code_name(err.code));
        }
    }
}

static void a_ticket_to_join_says_so(void **state)
{
    struct fixture *f = *state;
    struct ticket ticket = example();
    struct ticket read;
    ticket.is_join = true;
    assert_false(vy_failed(ticket_write(f->path, &ticket)));
    assert_false(vy_failed(ticket_read(&f->arena, f->path, &read)));
    assert_true(read.is_join);
    assert_int_equal(read.peer_count, 2);
}

static struct vy_err parse_peers(struct fixture *f, size_t count, size_t address_len)
{
    struct vy_buf text;
    struct ticket ticket;
    vy_buf_init(&text, 64U * 1024);
    vy_buf_append_cstr(&text, HEAD SELF);
    for (size_t i = 1; i < count; i++) {
        vy_buf_printf(&text, "peer %016zx ", i);
        for (size_t at = 0; at < address_len; at++) {
            vy_buf_append_byte(&text, 'x');
        }
        vy_buf_append_byte(&text, '\n');
    }
    const struct vy_err err = ticket_parse(&f->arena, vy_buf_bytes(&text), &ticket);
    if (!vy_failed(err)) {
        assert_int_equal(ticket.peer_count, count);
    }
    vy_buf_deinit(&text);
    return err;
}

static void sizes_have_limits(void **state)
{
    struct fixture *f = *state;
    uint8_t text[TICKET_BYTES_MAX + 1] = {0};
    struct ticket ticket;
    assert_false(vy_failed(parse_peers(f, REPLICA_MEMBERS_MAX, REPLICA_ADDRESS_BYTES_MAX)));
    assert_int_equal(parse_peers(f, REPLICA_MEMBERS_MAX, REPLICA_ADDRESS_BYTES_MAX + 1).code,
                     VY_CODE_SYNTAX);
    assert_int_equal(parse_peers(f, REPLICA_MEMBERS_MAX + 1, 10).code, VY_CODE_LIMIT);
    assert_int_equal(ticket_parse(&f->arena, vy_bytes(text, TICKET_BYTES_MAX + 1), &ticket).code,
                     VY_CODE_LIMIT);
    assert_int_equal(ticket_parse(&f->arena, vy_bytes(text, TICKET_BYTES_MAX), &ticket).code,
                     VY_CODE_SYNTAX);
}

/* Whoever can write or swap the file decides who this member is. */
static void files_of_others_are_refused(void **state)
{
    struct fixture *f = *state;
    struct ticket ticket;
    char link_path[112];
    (void)snprintf(link_path, sizeof(link_path), "%s/link", f->dir);
    write_text(f, HEAD SELF, 0600);
    assert_int_equal(symlink(f->path, link_path), 0);
    assert_int_equal(ticket_read(&f->arena, link_path, &ticket).code, VY_CODE_DENIED);
    const struct ticket written = example();
    assert_int_equal(ticket_write(link_path, &written).code, VY_CODE_EXISTS);
    assert_int_equal(unlink(link_path), 0);
    assert_false(vy_failed(ticket_read(&f->arena, f->path, &ticket)));
    assert_int_equal(chmod(f->path, 0620), 0);
    assert_int_equal(ticket_read(&f->arena, f->path, &ticket).code, VY_CODE_DENIED);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_int_equal(ticket_read(&f->arena, f->path, &ticket).code, VY_CODE_DENIED);
    assert_int_equal(ticket_read(&f->arena, f->dir, &ticket).code, VY_CODE_DENIED);
}

static void a_bad_ticket_is_not_written(void **state)
{
    struct fixture *f = *state;
    struct ticket tickets[6];
    for (size_t i = 0; i < VY_COUNT_OF(tickets); i++) {
        tickets[i] = example();
    }
    tickets[0].group_id = 0;
    tickets[1].member_id = 7;
    tickets[2].peers[1].id = tickets[2].peers[0].id;
    tickets[3].peers[1].address = "with space";
    memset(tickets[4].cluster_id, 0, sizeof(tickets[4].cluster_id));
    tickets[5].peer_count = 0;
    for (size_t i = 0; i < VY_COUNT_OF(tickets); i++) {
        assert_int_equal(ticket_write(f->path, &tickets[i]).code, VY_CODE_ARGUMENT);
        assert_int_not_equal(access(f->path, F_OK), 0);
    }
    assert_int_equal(ticket_write("/nonexistent/ticket", &(struct ticket){0}).code,
                     VY_CODE_ARGUMENT);
    const struct ticket good = example();
    assert_int_equal(ticket_write("/nonexistent/ticket", &good).code, VY_CODE_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_once), TEST(texts_are_accepted_or_refused),
        TEST(a_ticket_to_join_says_so),     TEST(sizes_have_limits),
        TEST(files_of_others_are_refused),  TEST(a_bad_ticket_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
