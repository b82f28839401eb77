/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/ticket.h"

#include "base/assert.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replica/dir.h"

#define TICKET_TITLE "volary-replica-ticket"
#define TICKET_ID_DIGITS 16U

/* ---- text to ticket ---- */

/* Takes the next line, which must begin with `name` and a space. */
static bool take_line(struct vy_bytes *text, struct vy_bytes name, struct vy_bytes *out)
{
    if (vy_bytes_find_byte(*text, '\n', 0) == SIZE_MAX) {
        return false;
    }
    const struct vy_bytes line = vy_bytes_cut(text, '\n');
    if (!vy_bytes_starts_with(line, name) || line.len <= name.len || line.data[name.len] != ' ') {
        return false;
    }
    *out = vy_bytes_from(line, name.len + 1);
    return true;
}

/* Lower case only: there is one way to write an id. */
static int digit_value(uint8_t c)
{
    return vy_ascii_is_upper(c) ? -1 : vy_ascii_hex_value(c);
}

static bool parse_id(struct vy_bytes text, uint64_t *out)
{
    uint64_t id = 0;
    if (text.len != TICKET_ID_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        const int value = digit_value(text.data[i]);
        if (value < 0) {
            return false;
        }
        id = id << 4 | (uint64_t)value;
    }
    *out = id;
    return id != 0;
}

static bool parse_cluster(struct vy_bytes text, uint8_t *out)
{
    uint8_t any = 0;
    if (text.len != REPLICA_CLUSTER_ID_BYTES * 2) {
        return false;
    }
    for (size_t i = 0; i < REPLICA_CLUSTER_ID_BYTES; i++) {
        const int high = digit_value(text.data[2 * i]);
        const int low = digit_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
        any |= out[i];
    }
    return any != 0;
}

static bool is_address(struct vy_bytes text)
{
    if (text.len == 0 || text.len > REPLICA_ADDRESS_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool has_peer(const struct ticket *ticket, uint64_t id)
{
    for (size_t i = 0; i < ticket->peer_count; i++) {
        if (ticket->peers[i].id == id) {
            return true;
        }
    }
    return false;
}

static struct vy_err parse_peer(struct vy_arena *arena, struct vy_bytes line, struct ticket *ticket)
{
    uint64_t id = 0;
    struct vy_bytes address = line;
    if (!parse_id(vy_bytes_cut(&address, ' '), &id) || !is_address(address) ||
        has_peer(ticket, id)) {
        return vy_error(VY_CODE_SYNTAX, "peer of ticket");
    }
    if (ticket->peer_count == REPLICA_MEMBERS_MAX) {
        return vy_error(VY_CODE_LIMIT, "peers of ticket");
    }
    const char *copy = vy_arena_cstr(arena, address);
    if (copy == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for ticket");
    }
    ticket->peers[ticket->peer_count++] = (struct replica_member){.id = id, .address = copy};
    return vy_ok();
}

static struct vy_err parse_head(struct vy_bytes *text, struct ticket *ticket)
{
    struct vy_bytes version;
    struct vy_bytes cluster;
    struct vy_bytes group;
    struct vy_bytes member;
    if (!take_line(text, VY_LIT("volary-replica-ticket"), &version)) {
        return vy_error(VY_CODE_SYNTAX, "not a ticket");
    }
    ticket->is_join = vy_bytes_equal(version, VY_LIT("2"));
    if (!ticket->is_join && !vy_bytes_equal(version, VY_LIT("1"))) {
        return vy_error(VY_CODE_SYNTAX, "version of ticket");
    }
    if (!take_line(text, VY_LIT("cluster"), &cluster) ||
        !parse_cluster(cluster, ticket->cluster_id)) {
        return vy_error(VY_CODE_SYNTAX, "cluster of ticket");
    }
    if (!take_line(text, VY_LIT("group"), &group) || !vy_parse_u64(group, &ticket->group_id) ||
        ticket->group_id == 0 || group.data[0] == '0') {
        return vy_error(VY_CODE_SYNTAX, "group of ticket");
    }
    if (!take_line(text, VY_LIT("member"), &member) || !parse_id(member, &ticket->member_id)) {
        return vy_error(VY_CODE_SYNTAX, "member of ticket");
    }
    return vy_ok();
}

struct vy_err ticket_parse(struct vy_arena *arena, struct vy_bytes text, struct ticket *out)
{
    struct ticket ticket = {.peer_count = 0};
    struct vy_bytes line;
    if (text.len > TICKET_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "size of ticket");
    }
    VY_TRY(parse_head(&text, &ticket));
    while (text.len > 0) {
        if (!take_line(&text, VY_LIT("peer"), &line)) {
            return vy_error(VY_CODE_SYNTAX, "line of ticket");
        }
        VY_TRY(parse_peer(arena, line, &ticket));
    }
    if (!has_peer(&ticket, ticket.member_id)) {
        return vy_error(VY_CODE_SYNTAX, "member is not among the peers of ticket");
    }
    *out = ticket;
    return vy_ok();
}

/* ---- reading the file ---- */

/* Whoever may write the ticket decides who this member is. */
static bool is_ours(const struct stat *info)
{
    return S_ISREG(info->st_mode) && (info->st_uid == geteuid() || info->st_uid == 0) &&
           (info->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static struct vy_err read_all(int fd, uint8_t *out, size_t *len)
{
    size_t used = 0;
    while (used <= TICKET_BYTES_MAX) {
        const ssize_t got = read(fd, out + used, TICKET_BYTES_MAX + 1 - used);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return vy_error_sys(VY_CODE_IO, errno, "read ticket");
        }
        if (got == 0) {
            break;
        }
        used += (size_t)got;
    }
    *len = used;
    return vy_ok();
}

static struct vy_err read_checked(int fd, uint8_t *out, size_t *len)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return vy_error_sys(VY_CODE_IO, errno, "look at ticket");
    }
    if (!is_ours(&info)) {
        return vy_error(VY_CODE_DENIED, "ticket is not a file that only we may write");
    }
    return read_all(fd, out, len);
}

struct vy_err ticket_read(struct vy_arena *arena, const char *path, struct ticket *out)
{
    uint8_t text[TICKET_BYTES_MAX + 1];
    size_t len = 0;
    /* Not blocking: a pipe of that name would hold up the start. */
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        const enum vy_code code = errno == ENOENT                     ? VY_CODE_NOT_FOUND
                                  : errno == ELOOP || errno == EACCES ? VY_CODE_DENIED
                                                                      : VY_CODE_IO;
        return vy_error_sys(code, errno, "open ticket");
    }
    const struct vy_err err = read_checked(fd, text, &len);
    (void)close(fd); /* read only: nothing to lose */
    VY_TRY(err);
    return ticket_parse(arena, vy_bytes(text, len), out);
}

/* ---- ticket to file ---- */

static bool is_writable(const struct ticket *ticket)
{
    static const uint8_t none[REPLICA_CLUSTER_ID_BYTES];
    if (ticket->group_id == 0 || ticket->peer_count > REPLICA_MEMBERS_MAX ||
        memcmp(ticket->cluster_id, none, sizeof(none)) == 0 ||
        !has_peer(ticket, ticket->member_id)) {
        return false;
    }
    for (size_t i = 0; i < ticket->peer_count; i++) {
        struct ticket before = *ticket;
        before.peer_count = i;
        if (ticket->peers[i].id == 0 || has_peer(&before, ticket->peers[i].id) ||
            !is_address(vy_cstr(ticket->peers[i].address))) {
            return false;
        }
    }
    return true;
}

struct vy_err ticket_format(const struct ticket *ticket, struct vy_buf *out)
{
    if (!is_writable(ticket)) {
        return vy_error(VY_CODE_ARGUMENT, "ticket");
    }
    vy_buf_printf(out, TICKET_TITLE " %d\ncluster ", ticket->is_join ? 2 : 1);
    for (size_t i = 0; i < REPLICA_CLUSTER_ID_BYTES; i++) {
        vy_buf_printf(out, "%02x", ticket->cluster_id[i]);
    }
    vy_buf_printf(out, "\ngroup %" PRIu64 "\nmember %016" PRIx64 "\n", ticket->group_id,
                  ticket->member_id);
    for (size_t i = 0; i < ticket->peer_count; i++) {
        vy_buf_printf(out, "peer %016" PRIx64 " %s\n", ticket->peers[i].id,
                      ticket->peers[i].address);
    }
    return vy_buf_error(out);
}

static struct vy_err write_all(int fd, struct vy_bytes text)
{
    while (text.len > 0) {
        const ssize_t put = write(fd, text.data, text.len);
        if (put < 0 && errno != EINTR) {
            return vy_error_sys(VY_CODE_IO, errno, "write ticket");
        }
        text = vy_bytes_from(text, put < 0 ? 0 : (size_t)put);
    }
    return fsync(fd) == 0 ? vy_ok() : vy_error_sys(VY_CODE_IO, errno, "sync ticket");
}

static struct vy_err write_file(const char *path, struct vy_bytes text)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return vy_error_sys(errno == EEXIST ? VY_CODE_EXISTS : VY_CODE_IO, errno, "make ticket");
    }
    struct vy_err err = write_all(fd, text);
    if (close(fd) != 0 && !vy_failed(err)) {
        err = vy_error_sys(VY_CODE_IO, errno, "close ticket");
    }
    if (!vy_failed(err)) {
        err = dir_sync_parent(path);
    }
    if (vy_failed(err)) {
        (void)unlink(path); /* half a ticket is none */
    }
    return err;
}

struct vy_err ticket_write(const char *path, const struct ticket *ticket)
{
    struct vy_buf text;
    vy_buf_init(&text, TICKET_BYTES_MAX);
    struct vy_err err = ticket_format(ticket, &text);
    if (!vy_failed(err)) {
        err = write_file(path, vy_buf_bytes(&text));
    }
    vy_buf_deinit(&text);
    return err;
}

struct vy_err ticket_consume(const char *path)
{
    /* Gone already: a start before this one got so far, perhaps without the sync. */
    if (unlink(path) != 0 && errno != ENOENT) {
        return vy_error_sys(VY_CODE_IO, errno, "remove ticket");
    }
    return dir_sync_parent(path);
}
