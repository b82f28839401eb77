/* SPDX-License-Identifier: Apache-2.0 */
/* Changing the members of a group: the ticket of a new one, and following a plan to its end. */
#include "base/assert.h"
#include "meta/ctl/run_private.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <unistd.h>

#define LOOK_MS 250           /* between two looks at the members */
#define WAIT_MS (600U * 1000) /* without --timeout */
#define SAY_EVERY_MS 10000U   /* progress that stays the same */

static bool has(const struct ctl_work *work, enum ctl_option option)
{
    return work->run->args->has[option];
}

/* ---- the ticket's file: made before anything is asked for ---- */

static int fail_file(struct ctl_work *work, const char *path)
{
    const int sys = errno;
    ctl_say_error(work->run->err, vy_cstr(path), vy_cstr(strerror(sys)),
                  sys == EEXIST ? "remove the old file, or name another with --ticket" : NULL,
                  sys == EEXIST ? "EXISTS" : "IO");
    return sys == EEXIST ? ctl_exit_code(6) : CTL_EXIT_FAILURE;
}

static int write_file(struct ctl_work *work, const char *path, int fd, struct vy_bytes text)
{
    const bool is_written = write(fd, text.data, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    return is_written ? CTL_EXIT_OK : fail_file(work, path);
}

/* ---- following a plan ---- */

struct look {
    bool is_listed;
    char plan[160];
    char error[256];
    char role[32];
    uint64_t applied_index;
    uint64_t commit_index; /* the group's */
};

static const struct vy_pb_method *status_method(void)
{
    for (size_t i = 0; i < admin_method_count; i++) {
        if (strcmp(admin_methods[i].method, "GetStatus") == 0) {
            return &admin_methods[i];
        }
    }
    return NULL;
}

static void copy(struct vy_bytes text, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%.*s", (int)VY_MIN(text.len, bytes - 1), (const char *)text.data);
}

static void take(const struct admin_cluster_status_reply *reply, const char *id, struct look *out)
{
    const struct admin_member_status *found = NULL;
    *out = (struct look){.is_listed = false};
    for (size_t i = 0; i < reply->members_count; i++) {
        if (vy_bytes_equal(reply->members[i].member_id, vy_cstr(id))) {
            found = &reply->members[i];
        }
    }
    if (found == NULL) {
        return;
    }
    out->is_listed = true;
    copy(found->plan, out->plan, sizeof(out->plan));
    copy(found->error, out->error, sizeof(out->error));
    copy(found->role, out->role, sizeof(out->role));
    out->applied_index = found->applied_index;
    for (size_t i = 0; i < reply->members_count; i++) {
        if (reply->members[i].group_id == found->group_id) {
            out->commit_index = VY_MAX(out->commit_index, reply->members[i].commit_index);
        }
    }
}

static int look_at(struct ctl_work *work, const char *id, struct look *out)
{
    struct admin_cluster_status_reply reply;
    struct ctl_answer answer;
    int exit_code = CTL_EXIT_OK;
    ctl_answer_init(&answer);
    vy_arena_reset(&work->page_arena);
    ctl_client_call(&work->client, status_method(), vy_bytes(NULL, 0), &answer);
    if (answer.status != 0) {
        exit_code = ctl_work_fail_answer(work, &answer);
    } else if (vy_failed(vy_pb_decode(&admin_cluster_status_reply_desc, &work->page_arena,
                                      vy_buf_bytes(&answer.reply), &reply))) {
        exit_code = ctl_work_fail_err(work, vy_error(VY_CODE_CORRUPT, "answer"));
    } else {
        take(&reply, id, out);
    }
    ctl_answer_deinit(&answer);
    return exit_code;
}

static void say(const struct ctl_work *work, const char *node, const struct look *look)
{
    FILE *err = work->run->err;
    if (look->error[0] != '\0') {
        fprintf(err, "%s: %s: %s; tried again\n", node, look->plan, look->error);
    } else if (strcmp(look->role, "unreachable") == 0) {
        fprintf(err, "%s: %s: it is not running, or cannot be reached yet\n", node, look->plan);
    } else if (strcmp(look->role, "learner") == 0) {
        fprintf(err, "%s: %s: has %" PRIu64 " of %" PRIu64 " entries\n", node, look->plan,
                look->applied_index, look->commit_index);
    } else {
        fprintf(err, "%s: %s\n", node, look->plan);
    }
}

static int fail_late(struct ctl_work *work)
{
    ctl_say_error(work->run->err, VY_LIT("the change is not complete yet"),
                  VY_LIT("it goes on by itself"), "volaryctl member list", "DEADLINE_EXCEEDED");
    return ctl_exit_code(4); /* of that code */
}

/* Until nothing is planned for the member any more. */
static int follow(struct ctl_work *work, const char *id, const char *node)
{
    const uint64_t wait_ms =
        has(work, CTL_OPTION_TIMEOUT) ? work->client.config.timeout_ms : WAIT_MS;
    const uint64_t begin_ms = vy_clock_mono_ms(work->run->clock);
    uint64_t said_ms = 0;
    struct look last = {.is_listed = false};
    for (;;) {
        struct look look = {.is_listed = false};
        const int exit_code = look_at(work, id, &look);
        const uint64_t now_ms = vy_clock_mono_ms(work->run->clock);
        if (exit_code != CTL_EXIT_OK || !look.is_listed || look.plan[0] == '\0') {
            return exit_code;
        }
        const bool is_news =
            strcmp(look.role, last.role) != 0 || strcmp(look.error, last.error) != 0;
        if (is_news || now_ms - said_ms >= SAY_EVERY_MS) {
            say(work, node, &look);
            said_ms = now_ms;
        }
        last = look;
        if (now_ms - begin_ms >= wait_ms) {
            return fail_late(work);
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
}

/* ---- the command ---- */

static void say_next(const struct ctl_work *work, const struct admin_add_member_reply *reply)
{
    FILE *err = work->run->err;
    const char *key =
        vy_bytes_equal(reply->group, VY_LIT("meta")) ? "meta.members" : "group.members";
    if (ctl_work_was_checked(work)) {
        return;
    }
    fprintf(
        err,
        "next: on the host of %.*s\n"
        "  1. let data.ticket of its configuration name the ticket's file, and data.dir an empty "
        "directory\n"
        "  2. put this record into %s:\n     - %.*s\n"
        "  3. start it; volaryctl member list shows how far it is\n",
        VY_PRI(reply->node), key, VY_PRI(reply->member));
}

static int finish_add(struct ctl_work *work, const struct admin_add_member_reply *reply, int fd,
                      const char *path)
{
    int exit_code = CTL_EXIT_OK;
    if (fd >= 0 && !work->write.validate_only) {
        exit_code = write_file(work, path, fd, reply->ticket);
    }
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    exit_code = ctl_work_show_one(work, reply);
    if (exit_code == CTL_EXIT_OK && fd < 0 && !work->is_json) {
        vy_buf_append(&work->text, reply->ticket);
        exit_code = ctl_work_flush_text(work);
    }
    say_next(work, reply);
    return exit_code;
}

static int run_change(struct ctl_work *work, int fd, const char *path)
{
    const bool is_removal = strcmp(work->command->verb, "remove") == 0;
    struct ctl_answer answer;
    char id[64] = "";
    char node[160] = "";
    void *reply = NULL;
    ctl_answer_init(&answer);
    int exit_code = ctl_work_ask_decoded(work, &answer, &reply);
    if (exit_code == CTL_EXIT_OK && is_removal) {
        const struct admin_remove_member_reply *removed = reply;
        copy(removed->member_id, id, sizeof(id));
        copy(removed->node, node, sizeof(node));
        exit_code = ctl_work_show_one(work, reply);
    } else if (exit_code == CTL_EXIT_OK) {
        const struct admin_add_member_reply *added = reply;
        copy(added->member_id, id, sizeof(id));
        copy(added->node, node, sizeof(node));
        exit_code = finish_add(work, added, fd, path);
    }
    ctl_answer_deinit(&answer);
    const bool waits = has(work, CTL_OPTION_WAIT) && !work->write.validate_only;
    return exit_code == CTL_EXIT_OK && waits ? follow(work, id, node) : exit_code;
}

int ctl_work_member(struct ctl_work *work)
{
    const char *path = NULL;
    int fd = -1;
    if (has(work, CTL_OPTION_TICKET)) {
        path = vy_arena_cstr(&work->arena, work->run->args->values[CTL_OPTION_TICKET]);
        fd = path == NULL ? -1
                          : open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) {
            return path == NULL ? ctl_work_fail_err(work, vy_error(VY_CODE_NOMEM, "path"))
                                : fail_file(work, path);
        }
    }
    const int exit_code = run_change(work, fd, path);
    if (fd >= 0) {
        const bool is_empty = lseek(fd, 0, SEEK_END) == 0;
        if (close(fd) != 0 || is_empty) {
            (void)unlink(path); /* nothing was added, or it was only checked */
        }
    }
    return exit_code;
}
