/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the shell and the cores are, with a meta and a shard in memory behind them:
 *
 *   shell_bench fetch [ROWS]         rows of FETCH (UID FLAGS) and of a wider one, read by one
 * client shell_bench login [COUNT]        connect, sign in, leave shell_bench deliver [COUNT]
 * messages of 4 KiB on 20 connections
 */
#include "frontend/shell_fixture.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define FETCH_ROWS 1000000U
#define LOGINS 5000U
#define DELIVERIES 20000U
#define CLIENTS 20U
#define BODY_BYTES 4096U

static double seconds_since(uint64_t start_ns)
{
    return (double)(vy_clock_mono_ns(vy_clock_system()) - start_ns) / 1e9;
}

/* Reads to the tagged line without keeping anything. */
static uint64_t read_fetch(struct shell_client *c, const char *tag)
{
    uint64_t bytes = 0;
    for (bool is_over = false; !is_over;) {
        if (!shell_read_some(c, 65536)) {
            fprintf(stderr, "error: the server closed\n");
            exit(1);
        }
        const struct vy_bytes in = vy_buf_bytes(&c->in);
        is_over = vy_bytes_find(vy_bytes_from(in, in.len - VY_MIN(in.len, (size_t)60)),
                                vy_cstr(tag), 0) != SIZE_MAX;
        bytes += in.len;
        vy_buf_reset(&c->in);
    }
    return bytes;
}

static void bench_fetch(uint32_t rows)
{
    static const char *const items[] = {"UID FLAGS", "UID FLAGS MODSEQ RFC822.SIZE INTERNALDATE"};
    struct shell_fixture f;
    struct shell_client c;
    const struct shell_options options = {.fetch_rows = rows};
    shell_fixture_init(&f, &options);
    shell_connect(&c, &f, SHELL_IMAP);
    shell_say(&c, "l LOGIN dev@dev.test secret\r\ns SELECT INBOX\r\n");
    shell_expect(&c, "s OK");
    for (size_t i = 0; i < 2; i++) {
        char command[128];
        (void)snprintf(command, sizeof(command), "f FETCH 1:* (%s)\r\n", items[i]);
        const uint64_t start = vy_clock_mono_ns(vy_clock_system());
        shell_say(&c, command);
        const uint64_t bytes = read_fetch(&c, "f OK");
        const double took = seconds_since(start);
        printf("FETCH (%s): %.2f M rows/s, %.0f MB/s\n", items[i], rows / took / 1e6,
               (double)bytes / took / 1e6);
    }
    shell_hang_up(&c);
    shell_fixture_deinit(&f);
}

static void bench_login(unsigned count)
{
    struct shell_fixture f;
    const struct shell_options options = {.loops_count = 1};
    shell_fixture_init(&f, &options);
    const uint64_t start = vy_clock_mono_ns(vy_clock_system());
    for (unsigned i = 0; i < count; i += CLIENTS) {
        struct shell_client c[CLIENTS];
        for (size_t k = 0; k < CLIENTS; k++) {
            shell_connect(&c[k], &f, SHELL_IMAP);
            shell_say(&c[k], "l LOGIN dev@dev.test secret\r\nx LOGOUT\r\n");
        }
        for (size_t k = 0; k < CLIENTS; k++) {
            shell_expect(&c[k], "x OK");
            shell_hang_up(&c[k]);
        }
    }
    printf("LOGIN: %.0f sessions/s\n", count / seconds_since(start));
    shell_fixture_deinit(&f);
}

static void bench_deliver(unsigned count)
{
    struct shell_fixture f;
    struct shell_client c[CLIENTS];
    const struct shell_options options = {.loops_count = 1, .discards_mail = true};
    struct vy_buf message;
    shell_fixture_init(&f, &options);
    vy_buf_init(&message, 65536);
    vy_buf_append_cstr(&message, "From: a@b\r\nSubject: bench\r\n\r\n");
    while (vy_buf_len(&message) < BODY_BYTES) {
        vy_buf_append_cstr(
            &message, "A line of text as messages have it, of seventy-two bytes and no more.\r\n");
    }
    vy_buf_append_cstr(&message, ".\r\n");
    for (size_t k = 0; k < CLIENTS; k++) {
        shell_connect(&c[k], &f, SHELL_LMTP);
        shell_say(&c[k], "LHLO x\r\n");
        shell_expect(&c[k], "250 ");
    }
    const uint64_t start = vy_clock_mono_ns(vy_clock_system());
    for (unsigned i = 0; i < count; i += CLIENTS) {
        for (size_t k = 0; k < CLIENTS; k++) {
            shell_say(&c[k], "MAIL FROM:<a@b>\r\nRCPT TO:<dev@dev.test>\r\nDATA\r\n");
            shell_send(&c[k], vy_buf_bytes(&message));
        }
        for (size_t k = 0; k < CLIENTS; k++) {
            shell_expect(&c[k], "354 ");
            shell_expect(&c[k], "250 ");
        }
    }
    printf("LMTP deliveries of 4 KiB: %.0f messages/s\n", count / seconds_since(start));
    for (size_t k = 0; k < CLIENTS; k++) {
        shell_hang_up(&c[k]);
    }
    vy_buf_deinit(&message);
    shell_fixture_deinit(&f);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(unsigned count);
        unsigned count;
    } benches[] = {
        {"fetch",   bench_fetch,   FETCH_ROWS},
        {"login",   bench_login,   LOGINS    },
        {"deliver", bench_deliver, DELIVERIES},
    };
    uint32_t count = 0;
    const bool has_count = argc > 2 && vy_parse_u32(vy_cstr(argv[2]), &count);
    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
        if (argc < 2 || strcmp(argv[1], benches[i].name) == 0) {
            benches[i].run(has_count ? count : benches[i].count);
        }
    }
    return 0;
}
