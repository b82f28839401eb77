/* SPDX-License-Identifier: Apache-2.0 */
#include "deploy/allinone/dev.h"

#include "base/arena.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/workers.h"
#include "proto/admin.pb.h"
#include "proto/grpc_client.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ACCOUNT_BYTES_MAX 320U /* RFC 5321: local part 64, '@', domain 255 */
#define MESSAGE_BYTES_MAX (64U * 1024U)
#define GRPC_ALREADY_EXISTS 6

struct dev_account {
    char *name;               /* owned */
    struct vy_secret *chosen; /* NULL: generate */
    bool show_hints;
    char note_path[PATH_MAX + 16]; /* there: the account was made */
    char socket_address[PATH_MAX + 32];
    struct vy_workers *workers; /* one thread */
    const struct vy_config *config;
    bool is_made;
    bool was_there;
    char password[256]; /* the generated one; wiped once printed */
    struct vy_buf why;
    vy_loop_fn done;
    void *done_arg;
};

struct vy_err dev_account_new(const struct dev_options *options, struct dev_account **out)
{
    const char *at = strchr(options->account, '@');
    if (at == NULL || at == options->account || at[1] == '\0' ||
        strlen(options->account) > ACCOUNT_BYTES_MAX) {
        fprintf(stderr, "error: --account '%.100s' is not an address; write NAME@DOMAIN\n",
                options->account);
        return vy_error(VY_CODE_ARGUMENT, "--account");
    }
    struct dev_account *account = calloc(1, sizeof(*account));
    if (account == NULL) {
        return vy_error(VY_CODE_NOMEM, "first account");
    }
    vy_buf_init(&account->why, MESSAGE_BYTES_MAX);
    account->show_hints = options->show_hints;
    account->name = strdup(options->account);
    struct vy_err err = account->name == NULL ? vy_error(VY_CODE_NOMEM, "first account") : vy_ok();
    if (!vy_failed(err) && options->password_file != NULL) {
        err = vy_secret_read_file(options->password_file, &account->chosen);
        if (vy_failed(err)) {
            fprintf(stderr, "error: %s: %s; the file must be yours alone (chmod 600)\n",
                    options->password_file, vy_code_text(err.code));
        }
    }
    if (!vy_failed(err)) {
        err = vy_workers_new(1, 1, &account->workers);
    }
    if (vy_failed(err)) {
        dev_account_free(account);
        return err;
    }
    *out = account;
    return vy_ok();
}

void dev_account_free(struct dev_account *account)
{
    if (account == NULL) {
        return;
    }
    if (account->workers != NULL) {
        vy_workers_free(account->workers);
    }
    vy_secret_free(account->chosen);
    vy_wipe(account->password, sizeof(account->password));
    vy_buf_deinit(&account->why);
    free(account->name);
    free(account);
}

/* ---- on the thread ---- */

/* One admin call. *status is gRPC's. */
static struct vy_err call(struct grpc_client *client, const char *path,
                          const struct vy_pb_desc *desc, const void *request, struct vy_buf *reply,
                          int *status, struct vy_buf *why)
{
    struct vy_buf encoded;
    vy_buf_init(&encoded, MESSAGE_BYTES_MAX);
    struct vy_err err = vy_pb_encode(desc, request, &encoded);
    if (!vy_failed(err)) {
        vy_buf_reset(why);
        err = grpc_client_call(client, path, vy_buf_bytes(&encoded), 0, reply, status, why);
    }
    vy_wipe(encoded.data, encoded.capacity);
    vy_buf_deinit(&encoded);
    return err;
}

static struct vy_err make_domain(struct dev_account *account, struct grpc_client *client,
                                 const struct admin_write_options *write)
{
    const struct admin_create_domain_request request = {
        .name = vy_cstr(strchr(account->name, '@') + 1), .write = write};
    struct vy_buf reply;
    int status = 0;
    vy_buf_init(&reply, MESSAGE_BYTES_MAX);
    const struct vy_err err =
        call(client, "/volary.admin.v1.DomainService/CreateDomain",
             &admin_create_domain_request_desc, &request, &reply, &status, &account->why);
    vy_buf_deinit(&reply);
    if (!vy_failed(err) && status != 0 && status != GRPC_ALREADY_EXISTS) {
        return vy_error(VY_CODE_PRECONDITION, "domain of the first account");
    }
    return err;
}

static struct vy_err keep_password(struct dev_account *account, struct vy_bytes password)
{
    if (password.len >= sizeof(account->password)) {
        return vy_error(VY_CODE_LIMIT, "generated password");
    }
    if (password.len > 0) {
        memcpy(account->password, password.data, password.len);
    }
    account->password[password.len] = '\0';
    return vy_ok();
}

/* The account is there from a start that ended before it could say the password. */
static struct vy_err renew_password(struct dev_account *account, struct grpc_client *client,
                                    const struct admin_write_options *write, struct vy_arena *arena,
                                    struct vy_buf *reply)
{
    const struct admin_set_password_request request = {
        .account = vy_cstr(account->name),
        .password =
            account->chosen == NULL ? (struct vy_bytes){0} : vy_secret_bytes(account->chosen),
        .write = write};
    struct admin_set_password_reply answer;
    int status = 0;
    vy_buf_reset(reply);
    VY_TRY(call(client, "/volary.admin.v1.AccountService/SetPassword",
                &admin_set_password_request_desc, &request, reply, &status, &account->why));
    if (status != 0) {
        return vy_error(VY_CODE_PRECONDITION, "password of the first account");
    }
    VY_TRY(vy_pb_decode(&admin_set_password_reply_desc, arena, vy_buf_bytes(reply), &answer));
    return keep_password(account, answer.password);
}

static struct vy_err make_account(struct dev_account *account, struct grpc_client *client,
                                  const struct admin_write_options *write, struct vy_arena *arena)
{
    const struct admin_create_account_request request = {
        .account = vy_cstr(account->name),
        .password =
            account->chosen == NULL ? (struct vy_bytes){0} : vy_secret_bytes(account->chosen),
        .write = write};
    struct admin_create_account_reply answer;
    struct vy_buf reply;
    int status = 0;
    vy_buf_init(&reply, MESSAGE_BYTES_MAX);
    struct vy_err err =
        call(client, "/volary.admin.v1.AccountService/CreateAccount",
             &admin_create_account_request_desc, &request, &reply, &status, &account->why);
    if (!vy_failed(err) && status == GRPC_ALREADY_EXISTS) {
        err = renew_password(account, client, write, arena, &reply);
    } else if (!vy_failed(err) && status != 0) {
        err = vy_error(VY_CODE_PRECONDITION, "first account");
    } else if (!vy_failed(err)) {
        err = vy_pb_decode(&admin_create_account_reply_desc, arena, vy_buf_bytes(&reply), &answer);
        if (!vy_failed(err)) {
            err = keep_password(account, answer.password);
        }
    }
    vy_wipe(reply.data, reply.capacity);
    vy_buf_deinit(&reply);
    return err;
}

static struct vy_err make(struct dev_account *account)
{
    uint8_t operation_id[16];
    struct grpc_client *client = NULL;
    struct vy_arena arena;
    const struct grpc_client_config config = {.address = account->socket_address};
    VY_TRY(grpc_client_open(&config, &client, &account->why));
    vy_arena_init(&arena, MESSAGE_BYTES_MAX);
    vy_rng_fill(vy_rng_system(), operation_id, sizeof(operation_id));
    struct admin_write_options write = {.operation_id =
                                            vy_bytes(operation_id, sizeof(operation_id)),
                                        .reason = VY_LIT("first account of volary dev")};
    struct vy_err err = make_domain(account, client, &write);
    if (!vy_failed(err)) {
        vy_rng_fill(vy_rng_system(), operation_id, sizeof(operation_id));
        err = make_account(account, client, &write, &arena);
    }
    vy_arena_deinit(&arena);
    grpc_client_free(client);
    return err;
}

/* Written last: a start that ends before it does everything again. */
static struct vy_err write_note(const struct dev_account *account)
{
    const int fd =
        open(account->note_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return vy_error_sys(VY_CODE_IO, errno, "note of the first account");
    }
    const bool is_written = dprintf(fd, "%s\n", account->name) > 0 && fsync(fd) == 0;
    const int sys = errno;
    (void)close(fd);
    return is_written ? vy_ok() : vy_error_sys(VY_CODE_IO, sys, "note of the first account");
}

static void on_thread(void *arg)
{
    struct dev_account *account = arg;
    if (access(account->note_path, F_OK) == 0) {
        account->was_there = true;
        account->is_made = true;
        return;
    }
    const struct vy_err err = make(account);
    if (vy_failed(err)) {
        fprintf(stderr, "error: the first account could not be made: %s; %.*s\n",
                err.what == NULL ? vy_code_text(err.code) : err.what,
                VY_PRI(vy_buf_bytes(&account->why)));
        return;
    }
    account->is_made = true;
}

/* ---- on the loop ---- */

static void print_hints(const struct dev_account *account)
{
    const char *host = vy_config_text(account->config, "listen.host");
    const unsigned long smtp = (unsigned long)vy_config_u64(account->config, "ports.smtp");
    const unsigned long imap = (unsigned long)vy_config_u64(account->config, "ports.imap");
    fprintf(
        stderr,
        "\nSend a first mail (in another terminal):\n"
        "  printf 'Subject: Hello\\r\\n\\r\\nA first mail.\\r\\n' | \\\n"
        "    curl --silent --show-error smtp://%s:%lu --mail-from you@example.org --mail-rcpt %s "
        "--upload-file -\n"
        "Read it (asks for the password):\n"
        "  curl --user %s 'imap://%s:%lu/INBOX;MAILINDEX=*'\n"
        "More accounts:\n"
        "  build/release/bin/volaryctl --server unix:%s account create NAME@%s\n\n",
        host, smtp, account->name, account->name, host, imap, account->socket_address + 5,
        strchr(account->name, '@') + 1);
}

static void on_made(void *arg)
{
    struct dev_account *account = arg;
    if (account->is_made && !account->was_there) {
        if (account->password[0] != '\0') {
            fprintf(stderr, "\nAccount:  %s\nPassword: %s   (shown only this once)\n",
                    account->name, account->password);
        } else {
            fprintf(stderr, "\nAccount:  %s   (with the password you chose)\n", account->name);
        }
        vy_wipe(account->password, sizeof(account->password));
        const struct vy_err err = write_note(account);
        if (vy_failed(err)) {
            fprintf(stderr, "warning: %s: %s; the next start gives the account a new password\n",
                    account->note_path, strerror(err.sys));
        }
    }
    if (account->show_hints) {
        print_hints(account);
    }
    account->done(account->done_arg);
}

void dev_account_make(void *arg, const struct role_env *env, vy_loop_fn done, void *done_arg)
{
    struct dev_account *account = arg;
    const char *dir = vy_config_text(env->config, "data.dir");
    account->config = env->config;
    account->done = done;
    account->done_arg = done_arg;
    (void)snprintf(account->note_path, sizeof(account->note_path), "%s/first-account", dir);
    (void)snprintf(account->socket_address, sizeof(account->socket_address), "unix:%s/admin.sock",
                   dir);
    const struct vy_err err =
        vy_workers_submit(account->workers, env->loop, on_thread, on_made, account);
    if (vy_failed(err)) {
        fprintf(stderr, "error: the first account could not be made: %s\n", vy_code_text(err.code));
        done(done_arg);
    }
}
