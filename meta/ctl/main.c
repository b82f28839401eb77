/* SPDX-License-Identifier: Apache-2.0 */
/* volaryctl: administers a cluster over the admin API. */
#include "meta/ctl/run.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define HELP_BYTES_MAX (256U * 1024)

/* A descriptor that was closed by the caller must not become that of a socket: output meant for
 * people would go to the server. Reading from it ends at once, writing to it fails. */
static bool hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) {
            return false;
        }
    }
    return true;
}

static int print(struct vy_bytes text)
{
    const bool is_written =
        fwrite(text.data, 1, text.len, stdout) == text.len && fflush(stdout) == 0;
    return is_written ? CTL_EXIT_OK : CTL_EXIT_FAILURE;
}

static int print_help(const struct ctl_args *args)
{
    struct vy_buf text;
    vy_buf_init(&text, HELP_BYTES_MAX);
    ctl_args_write_help(args, &text);
    const int exit_code = print(vy_buf_bytes(&text));
    vy_buf_deinit(&text);
    return exit_code;
}

static int run(const struct ctl_args *args)
{
    switch (args->ask) {
    case CTL_ASK_HELP:
        return print_help(args);
    case CTL_ASK_VERSION:
        return print(VY_LIT("volaryctl " VOLARY_VERSION "\n"));
    case CTL_ASK_RUN:
        break;
    }
    const struct ctl_run command = {.args = args,
                                    .clock = vy_clock_system(),
                                    .rng = vy_rng_system(),
                                    .out = stdout,
                                    .err = stderr,
                                    .in = STDIN_FILENO};
    return ctl_run(&command);
}

int main(int argc, char **argv)
{
    struct ctl_args *args = calloc(1, sizeof(*args));
    struct vy_buf problem;
    if (args == NULL || !hold_standard_descriptors() || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        free(args);
        return CTL_EXIT_FAILURE;
    }
    vy_buf_init(&problem, 4096);
    int exit_code = CTL_EXIT_USAGE;
    if (vy_failed(ctl_args_parse(argc, argv, args, &problem))) {
        ctl_say_error(stderr, vy_buf_bytes(&problem), vy_bytes(NULL, 0), NULL, "USAGE");
    } else {
        exit_code = run(args);
    }
    vy_buf_deinit(&problem);
    free(args);
    return exit_code;
}
