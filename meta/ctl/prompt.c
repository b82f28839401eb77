/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/ctl/prompt.h"

#include <errno.h>
#include <termios.h>
#include <unistd.h>

#define LINE_BYTES_MAX 4096U
#define CTRL_C 3

/* Up to the end of a line; what follows it stays unread. False: closed, broken, too long, or Ctrl-C
 * was typed. */
static bool read_line(int fd, uint8_t *out, size_t size, size_t *out_len)
{
    size_t len = 0;
    for (;;) {
        const ssize_t got = read(fd, out + len, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 || (got > 0 && out[len] == CTRL_C)) {
            return false;
        }
        if (got == 0 || out[len] == '\n') {
            *out_len = len > 0 && out[len - 1] == '\r' ? len - 1 : len;
            return got > 0 || len > 0;
        }
        if (++len == size) {
            return false;
        }
    }
}

bool ctl_prompt_confirm(const struct ctl_run *run)
{
    const struct ctl_command *command = run->args->command;
    const struct vy_bytes name = run->args->words[0];
    uint8_t line[LINE_BYTES_MAX];
    size_t len = 0;
    if (command->danger == CTL_HARMLESS || run->args->has[CTL_OPTION_YES] ||
        run->args->has[CTL_OPTION_DRY_RUN]) {
        return true;
    }
    if (isatty(run->in) == 0) {
        /* A domain with its accounts is not what scripts that delete empty ones mean. */
        if (command->danger == CTL_ASKS &&
            !(command->shape == CTL_DOMAIN_DELETION && run->args->has[CTL_OPTION_CASCADE])) {
            return true;
        }
        ctl_say_error(run->err, VY_LIT("this destroys something and there is nobody to ask"),
                      VY_LIT("standard input is no terminal"), "the same with --yes", "REFUSED");
        return false;
    }
    fprintf(run->err, "%s: %s.\nType %.*s to go on: ", command->verb, command->summary,
            VY_PRI(name));
    (void)fflush(run->err);
    if (read_line(run->in, line, sizeof(line), &len) && vy_bytes_equal(vy_bytes(line, len), name)) {
        return true;
    }
    ctl_say_error(run->err, VY_LIT("nothing was done"), VY_LIT("the name was not typed"), NULL,
                  "REFUSED");
    return false;
}

/* Echo off while a password is typed. Ctrl-C is a byte then and ends the line, so that the terminal
 * is never left without its echo; input is thrown away before the question, not behind it. */
static bool read_hidden(const struct ctl_run *run, uint8_t *out, size_t size, size_t *out_len)
{
    struct termios before;
    const bool is_terminal = tcgetattr(run->in, &before) == 0;
    if (is_terminal) {
        struct termios hidden = before;
        hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
        hidden.c_cc[VEOL] = CTRL_C;
        (void)tcsetattr(run->in, TCSAFLUSH, &hidden);
        fprintf(run->err, "Password: ");
        (void)fflush(run->err);
    }
    const bool is_read = read_line(run->in, out, size, out_len);
    if (is_terminal) {
        (void)tcsetattr(run->in, TCSAFLUSH, &before);
        fprintf(run->err, "\n");
    }
    return is_read;
}

struct vy_err ctl_prompt_code(const struct ctl_run *run, struct vy_secret **out)
{
    uint8_t line[CTL_PASSWORD_BYTES_MAX + 2];
    size_t len = 0;
    if (isatty(run->in) != 0) {
        fprintf(run->err, "Code: ");
        (void)fflush(run->err);
    }
    if (!read_line(run->in, line, sizeof(line), &len)) {
        len = 0;
    }
    const struct vy_err err = vy_secret_new(vy_bytes(line, len), out);
    vy_wipe(line, sizeof(line));
    return err;
}

struct vy_err ctl_prompt_password(const struct ctl_run *run, struct vy_secret **out,
                                  struct vy_buf *problem)
{
    uint8_t line[CTL_PASSWORD_BYTES_MAX + 2];
    size_t len = 0;
    struct vy_err err = vy_ok();
    if (!read_hidden(run, line, sizeof(line), &len) || len == 0) {
        vy_buf_append_cstr(problem, "no password of at most 1,024 bytes came from standard input");
        err = vy_error(VY_CODE_ARGUMENT, "password");
    } else {
        err = vy_secret_new(vy_bytes(line, len), out);
    }
    vy_wipe(line, sizeof(line));
    return err;
}
