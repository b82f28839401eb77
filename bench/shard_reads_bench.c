/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ingest, FETCH and SEARCH cost on one thread over the store in memory, links and disks left
 * out: shard_reads_bench [messages]. Numbers to compare with themselves.
 */
#include "base/clock.h"
#include "shard/reads_fixture.h"
#include "tests/lib/test.h"
#include <stdio.h>
#include <stdlib.h>

#define BODY_BYTES 4096U
#define REPEATS 5U

static struct reads r;
static uint64_t started_ns;

static void begin(void)
{
    started_ns = vy_clock_mono_ns(vy_clock_system());
}

static void report(const char *what, uint64_t count)
{
    const uint64_t ns = vy_clock_mono_ns(vy_clock_system()) - started_ns;

    (void)printf("%-28s %8.2f us each %10.0f /s\n", what, (double)ns / 1000.0 / (double)count,
                 (double)count * 1e9 / (double)ns);
}

static void fill_body(struct vy_buf *body, uint32_t serial)
{
    vy_buf_reset(body);
    vy_buf_printf(body,
                  "Date: Mon, 1 Feb 2021 23:30:00 -0800\r\nFrom: Ada Lovelace <ada@dev.test>\r\n"
                  "To: Bob <bob@dev.test>\r\nSubject: message %u of the load\r\n"
                  "Message-ID: <%u.load@dev.test>\r\nMIME-Version: 1.0\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\n\r\n",
                  serial, serial);
    for (uint32_t line = 0; vy_buf_len(body) < BODY_BYTES; line++) {
        vy_buf_printf(body, "line %u %u of a text that is like many others\r\n", line,
                      serial * 2654435761U + line * 40503U);
    }
}

static void fetch(const char *what, uint32_t columns, uint32_t messages)
{
    const struct message_fetch_request request = {.actor = r.actor,
                                                  .mailbox_id = r.mailbox_id,
                                                  .uids = reads_uids(&r, 1, messages),
                                                  .columns = columns};
    VY_CLEANUP(vy_buf_deinit) struct vy_buf stream;

    vy_buf_init(&stream, 1U << 30);
    begin();
    for (uint32_t i = 0; i < REPEATS; i++) {
        vy_buf_reset(&stream);
        if (vy_failed(shard_local_call(r.local, METHOD_SHARD_MESSAGE_FETCH, NULL, &request,
                                       vy_bytes(NULL, 0), NULL, &stream))) {
            (void)printf("%s failed\n", what);
        }
    }
    report(what, (uint64_t)messages * REPEATS);
}

static void search(const char *what, struct search_step step, uint32_t messages)
{
    begin();
    (void)reads_search(&r, &step, 1);
    report(what, messages);
}

int main(int argc, char **argv)
{
    const uint64_t accounts[] = {READS_ACCOUNT};
    uint32_t messages = 20000;
    struct vy_buf body;

    if (argc > 1 && !vy_parse_u32(vy_cstr(argv[1]), &messages)) {
        return EXIT_FAILURE;
    }
    reads_init(&r);
    vy_buf_init(&body, 65536);
    reads_append_cstr(&r, "Subject: first\r\n\r\n");
    begin();
    for (uint32_t i = 1; i < messages; i++) {
        struct message_deliver_reply reply;
        fill_body(&body, i);
        if (vy_failed(reads_deliver(&r, accounts, 1, vy_buf_bytes(&body), NULL, &reply))) {
            return EXIT_FAILURE;
        }
    }
    report("deliver 4 KiB, all steps", messages);
    fetch("fetch FLAGS", FETCH_COLUMN_FLAGS, messages);
    fetch("fetch ENVELOPE", FETCH_COLUMN_FLAGS | FETCH_COLUMN_ENVELOPE, messages);
    search("search UNSEEN", (struct search_step){.op = SEARCH_OP_FLAGS_CLEAR, .number = 1},
           messages);
    search("search SUBJECT",
           (struct search_step){
               .op = SEARCH_OP_HEADER, .field = VY_LIT("subject"), .text = VY_LIT("zzz")},
           messages);
    search("search BODY", (struct search_step){.op = SEARCH_OP_BODY, .text = VY_LIT("zzz")},
           messages);
    vy_buf_deinit(&body);
    reads_deinit(&r);
    return EXIT_SUCCESS;
}
