/* SPDX-License-Identifier: Apache-2.0 */
/* SEARCH: every key, the program over them, and its limits. */
#include "mail/date.h"
#include "mail/flags.h"
#include "shard/reads_fixture.h"
#include "shard/search_private.h"
#include "tests/lib/test.h"

static struct reads r;

static const char *const mails[] = {
    /* 1 */ "Date: Mon, 1 Feb 2021 23:30:00 -0800\r\nFrom: Ada <ada@dev.test>\r\nTo: "
            "bob@dev.test\r\n"
            "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from here\r\nMessage-ID: <one@dev.test>\r\n\r\n"
            "The quick brown fox\r\n",
    /* 2 */
    "Date: Wed, 3 Feb 2021 10:00:00 +0000\r\nFrom: bob@dev.test\r\nCc: eve@dev.test\r\n"
    "Subject: plans\r\nX-Kind: Important one\r\nX-Empty:\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\nd=C3=A9j=C3=A0 vu, fo=\r\nx\r\n",
    /* 3 */
    "From: carol@dev.test\r\nBcc: hidden@dev.test\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
    "<p>bold <b>text</b></p><script>secret</script>\r\n--b\r\n"
    "Content-Type: message/rfc822\r\n\r\nSubject: within\r\n\r\ninside words\r\n--b\r\n"
    "Content-Type: image/png; name=fox.png\r\n\r\nfox\r\n--b--\r\n",
    /* 4 */ "Subject: empty\r\n\r\n",
};

static int set_up(void **state)
{
    (void)state;
    reads_init(&r);
    for (size_t i = 0; i < VY_COUNT_OF(mails); i++) {
        const struct vy_bytes keywords[] = {VY_LIT("$Later")};
        const struct append_message one = {
            .size_bytes = strlen(mails[i]),
            .flags = i == 1   ? MAIL_FLAG_SEEN | MAIL_FLAG_FLAGGED
                     : i == 2 ? MAIL_FLAG_SEEN
                              : 0,
            .keywords_count = i == 3 ? 1 : 0,
            .keywords = keywords,
            /* days 100, 101, ...; the second late in the evening of the day before, there */
            .internal_ms = (100 + i) * (uint64_t)DATE_DAY_MS + 3600000,
            .internal_zone_minutes = i == 1 ? -120 : 0,
        };
        const struct message_append_request request = {.messages_count = 1, .messages = &one};
        struct message_append_reply reply;
        assert_false(vy_failed(reads_append_as(&r, &request, vy_cstr(mails[i]), &reply)));
        r.mailbox_id = reply.mailbox_id;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    reads_deinit(&r);
    return 0;
}

#define FIELD(name, key)                                                                           \
    {                                                                                              \
        .op = SEARCH_OP_HEADER, .field = VY_LIT(name), .text = VY_LIT(key)                         \
    }
#define DAY(n) ((n) * (uint64_t)DATE_DAY_MS)
#define SENT(month, day) (UINT64_C(1612137600000) + DAY((month)*28 + (day)-1)) /* of 2021-02 */

static const struct {
    struct search_step step;
    const char *want;
} single_keys[] = {
    {{.op = SEARCH_OP_ALL},                                                     "1:4"                 },
    {{.op = SEARCH_OP_NONE_MATCH},                                              ""                    },
    {{.op = SEARCH_OP_FLAGS_SET, .number = MAIL_FLAG_SEEN},                     "2:3"                 },
    {{.op = SEARCH_OP_FLAGS_SET, .number = MAIL_FLAG_SEEN | MAIL_FLAG_FLAGGED}, "2"                   },
    {{.op = SEARCH_OP_FLAGS_CLEAR, .number = MAIL_FLAG_SEEN},                   "1,4"                 },
    {{.op = SEARCH_OP_KEYWORD, .text = VY_LIT("$LATER")},                       "4"                   },
    {{.op = SEARCH_OP_KEYWORD, .text = VY_LIT("$never")},                       ""                    },
    {{.op = SEARCH_OP_UIDS, .text = VY_LIT("\x01\x00\x02\x09")},                "1,3:4"               },
    {{.op = SEARCH_OP_LARGER, .number = 18},                                    "1:3"                 },
    {{.op = SEARCH_OP_SMALLER, .number = 19},                                   "4"                   },
    {{.op = SEARCH_OP_BEFORE, .number = DAY(101)},                              "1:2"                 },
    {{.op = SEARCH_OP_ON, .number = DAY(100)},                                  "1:2"                 },
    {{.op = SEARCH_OP_SINCE, .number = DAY(102)},                               "3:4"                 },
    {{.op = SEARCH_OP_SENT_BEFORE, .number = SENT(0, 2)},                       "1"                   },
    {{.op = SEARCH_OP_SENT_ON, .number = SENT(0, 3)},                           "2"                   },
    {{.op = SEARCH_OP_SENT_SINCE, .number = SENT(0, 1)},                        "1:2"                 },
    {FIELD("subject",                                                           "gr\xc3\x9cSSE"),       "1"},
    {FIELD("SUBJECT",                                                                         "plan"),                                                                                 "2"},
    {FIELD("from",                                                                      "ADA"),            "1"},
    {FIELD("from","dev.test"),      "1:3"},
    {FIELD("cc",                                                              ""),                                                                            "2"},
    {FIELD("bcc",                                                                         "hidden"),                                                                                      "3"},
    {FIELD("x-kind",                                                                      "important"),                 "2"},
    {FIELD("x-kind",""),"2"},
    {FIELD("x-empty",                                                            ""), "2"},
    {FIELD("x-none",                                                                         ""),                                                                                  ""},
    {FIELD("message-id",                                                                      "one@"),                                                                                                                                                                       "1"},
    {{.op = SEARCH_OP_BODY, .text = VY_LIT("FOX")},           "1:2"                             },
    {{.op = SEARCH_OP_BODY, .text = VY_LIT("deja")},                                                            "2"      },
    {{.op = SEARCH_OP_BODY, .text = VY_LIT("bold text")},                                                                         "3"                                                                             },
    {{.op = SEARCH_OP_BODY, .text = VY_LIT("secret")},                                                                      ""},
    {{.op = SEARCH_OP_BODY, .text = VY_LIT("within")},                                                          "3"                                                  },
    {{.op = SEARCH_OP_BODY, .text = VY_LIT("plans")},           ""                          },
    {{.op = SEARCH_OP_TEXT, .text = VY_LIT("plans")},"2"},
    {{.op = SEARCH_OP_TEXT, .text = VY_LIT("fox.png")},  "3"                                                                                                  },
    {{.op = SEARCH_OP_TEXT, .text = VY_LIT("subject: empty")},             "4"},
    {{.op = SEARCH_OP_MODSEQ, .number = 1},                                                             "1:4"                                                        },
    {{.op = SEARCH_OP_MODSEQ, .number = 1000},                                                                         ""                                                                                                                                                        },
    {{.op = SEARCH_OP_EMAILID, .text = VY_LIT("0123456789abcdef")},                                                                     ""},
    {{.op = SEARCH_OP_OLDER, .number = 60},                                                          "1:4"                                                                                               },
    {{.op = SEARCH_OP_YOUNGER, .number = 60},        ""},
};

static void every_key_finds_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(single_keys); i++) {
        const char *got = reads_search(&r, &single_keys[i].step, 1);
        if (strcmp(got, single_keys[i].want) != 0) {
            fail_msg("key %zu: \"%s\" instead of \"%s\"", i, got, single_keys[i].want);
        }
    }
}

/* NOT finds the others: no value stays open, whatever had to be read. */
static void every_key_can_be_negated(void **state)
{
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(single_keys); i++) {
        const struct search_step both[] = {
            single_keys[i].step,
            single_keys[i].step,
            {.op = SEARCH_OP_NOT},
            { .op = SEARCH_OP_OR,        .number = 2}
        };
        const struct search_step neither[] = {
            single_keys[i].step,
            single_keys[i].step,
            {.op = SEARCH_OP_NOT},
            { .op = SEARCH_OP_AND,        .number = 2}
        };
        assert_string_equal(reads_search(&r, both, 4), "1:4");
        assert_string_equal(reads_search(&r, neither, 4), "");
    }
}

static void programs_combine_cheap_and_dear_keys(void **state)
{
    const struct search_step steps[] = {
        {.op = SEARCH_OP_FLAGS_SET, .number = MAIL_FLAG_SEEN},
        {.op = SEARCH_OP_BODY,      .text = VY_LIT("fox")   },
        {.op = SEARCH_OP_AND,       .number = 2             },
        FIELD("subject", "empty"),
        {.op = SEARCH_OP_OR,        .number = 2             },
    };
    (void)state;
    assert_string_equal(reads_search(&r, steps, VY_COUNT_OF(steps)), "2,4");
}

static void i17_what_is_no_program_is_refused(void **state)
{
    static const struct search_step all = {.op = SEARCH_OP_ALL};
    const struct search_step two[] = {all, all};
    const struct search_step empty_and[] = {
        all, {.op = SEARCH_OP_AND, .number = 0}
    };
    const struct search_step wide_and[] = {
        all, {.op = SEARCH_OP_AND, .number = 2}
    };
    const struct search_step huge_and[] = {
        all, {.op = SEARCH_OP_AND, .number = UINT64_MAX}
    };
    const struct search_step only_not[] = {{.op = SEARCH_OP_NOT}};
    const struct search_step no_op[] = {{.op = (enum search_op)99}};
    static struct search_step many[SEARCH_STEPS_MAX + 1];

    (void)state;
    assert_string_equal(reads_search(&r, two, 2), "ARGUMENT");
    assert_string_equal(reads_search(&r, empty_and, 2), "ARGUMENT");
    assert_string_equal(reads_search(&r, wide_and, 2), "ARGUMENT");
    assert_string_equal(reads_search(&r, huge_and, 2), "ARGUMENT");
    assert_string_equal(reads_search(&r, only_not, 1), "ARGUMENT");
    assert_string_equal(reads_search(&r, no_op, 1), "ARGUMENT");
    many[0] = all;
    for (size_t i = 1; i < VY_COUNT_OF(many); i++) {
        many[i].op = SEARCH_OP_NOT;
    }
    assert_string_equal(reads_search(&r, many, SEARCH_STEPS_MAX), "");
    assert_string_equal(reads_search(&r, many, SEARCH_STEPS_MAX - 1), "1:4");
    assert_string_equal(reads_search(&r, many, SEARCH_STEPS_MAX + 1), "LIMIT");
}

static uint64_t slow_mono_ns(struct vy_clock *clock)
{
    struct fake_clock *fake = VY_CONTAINER_OF(clock, struct fake_clock, base);

    fake->mono_ns += 50000000; /* each look takes 50 ms: every slice is one block or message */
    return fake->mono_ns;
}

static void i17_a_search_has_a_budget(void **state)
{
    const struct search_step step = {.op = SEARCH_OP_BODY, .text = VY_LIT("fox")};
    (void)state;
    for (int i = 0; i < 100; i++) {
        reads_append_cstr(&r, "Subject: more\r\n\r\nfox\r\n");
    }
    r.local->clock.base.mono_ns = slow_mono_ns;
    assert_string_equal(reads_search(&r, &step, 1), "LIMIT");
}

static void p4_damaged_messages_are_not_found(void **state)
{
    const struct search_step body = {.op = SEARCH_OP_BODY, .text = VY_LIT("fox")};
    const struct search_step without[] = {body, {.op = SEARCH_OP_NOT}};
    const struct message_fetch_request ids = {.columns = FETCH_COLUMN_EMAILID};

    (void)state;
    assert_false(vy_failed(reads_fetch(&r, &ids)));
    const struct shard_key key = keys_body(READS_ACCOUNT, r.fetched->messages[0].email_id, 0);
    assert_true(store_mem_flip_bit(r.local->machine.disk, shard_store_family(SHARD_BODY),
                                   shard_key_bytes(&key), 300));
    assert_string_equal(reads_search(&r, &body, 1), "2");
    assert_string_equal(reads_search(&r, without, 2), "3:4");
    assert_int_equal(service_stats(r.local->service)->checksum_failures, 2);
}

static void only_messages_of_the_view_are_found(void **state)
{
    const struct search_step all = {.op = SEARCH_OP_ALL};
    const struct message_search_request request = {.actor = r.actor,
                                                   .mailbox_id = r.mailbox_id,
                                                   .steps_count = 1,
                                                   .steps = &all,
                                                   .within = VY_LIT("\x02\x01")};
    struct message_search_reply reply;
    (void)state;
    assert_false(vy_failed(shard_local_call(r.local, METHOD_SHARD_MESSAGE_SEARCH, NULL, &request,
                                            vy_bytes(NULL, 0), &reply, NULL)));
    assert_true(vy_bytes_equal(reply.uids, VY_LIT("\x02\x01")));
    assert_true(reply.highest_modseq > 0);
}

/* Fields the summary had to cut are looked up in the header. */
static void long_fields_are_searched_whole(void **state)
{
    const struct search_step last = FIELD("to", "someone1999@");
    VY_CLEANUP(vy_buf_deinit) struct vy_buf text;
    (void)state;
    vy_buf_init(&text, 1U << 20);
    vy_buf_append_cstr(&text, "To: a@b");
    for (int i = 0; i < 2000; i++) {
        vy_buf_printf(&text, ",\r\n someone%d@dev.test", i);
    }
    vy_buf_append_cstr(&text, "\r\n\r\n");
    reads_append(&r, vy_buf_bytes(&text));
    assert_string_equal(reads_search(&r, &last, 1), "5");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_key_finds_what_it_says),
        TEST(every_key_can_be_negated),
        TEST(programs_combine_cheap_and_dear_keys),
        TEST(i17_what_is_no_program_is_refused),
        TEST(i17_a_search_has_a_budget),
        TEST(p4_damaged_messages_are_not_found),
        TEST(only_messages_of_the_view_are_found),
        TEST(long_fields_are_searched_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
