/* SPDX-License-Identifier: Apache-2.0 */
#include "base/net.h"

#include "base/assert.h"
#include "tests/lib/test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage out = {.ss_family = AF_INET};
    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)(void *)&out)->sin_addr) != 1) {
        out.ss_family = AF_INET6;
        assert_int_equal(
            inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)(void *)&out)->sin6_addr), 1);
    }
    return out;
}

static void a_network_holds_its_addresses_and_no_others(void **state)
{
    (void)state;
    static const struct {
        const char *network;
        const char *address;
        bool is_inside;
    } cases[] = {
        {"127.0.0.0/8",    "127.255.0.1",      true },
        {"127.0.0.0/8",    "128.0.0.1",        false},
        {"10.1.2.3",       "10.1.2.3",         true },
        {"10.1.2.3",       "10.1.2.4",         false},
        {"192.0.2.128/25", "192.0.2.127",      false},
        {"192.0.2.128/25", "192.0.2.255",      true },
        {"0.0.0.0/0",      "203.0.113.9",      true },
        {"0.0.0.0/0",      "2001:db8::1",      false},
        {"::/0",           "203.0.113.9",      true },
        {"2001:db8::/33",  "2001:db8:7fff::1", true },
        {"2001:db8::/33",  "2001:db8:8000::1", false},
        {"127.0.0.1",      "::ffff:127.0.0.1", true },
    };
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        struct vy_net network;
        const struct sockaddr_storage peer = address(cases[i].address);
        assert_false(vy_failed(vy_net_parse(vy_cstr(cases[i].network), &network)));
        if (vy_net_contains(&network, &peer) != cases[i].is_inside) {
            fail_msg("%s in %s", cases[i].address, cases[i].network);
        }
    }
}

/* Promise C1: a typing error in a list of networks is found at the start. */
static void what_is_no_network_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "10.0.0.1/8",
                                        "10.0.0",
                                        "localhost",
                                        "::1/129",
                                        "10.0.0.0/-1",
                                        "2001:db8::1/32",
                                        "1.2.3.4 ",
                                        "10.0.0.0/8/8",
                                        "10.0.0.0/0x8",
                                        "0000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        struct vy_net network;
        if (vy_net_parse(vy_cstr(cases[i]), &network).code != VY_CODE_SYNTAX) {
            fail_msg("accepted: %s", cases[i]);
        }
    }
    struct vy_net unused;
    assert_int_equal(vy_net_parse(vy_bytes(NULL, 0), &unused).code, VY_CODE_SYNTAX);
}

static void a_network_covers_what_lies_in_it(void **state)
{
    (void)state;
    static const struct {
        const char *outer;
        const char *inner;
        bool is_covered;
    } cases[] = {
        {"10.0.0.0/8",    "10.1.0.0/16",        true },
        {"10.0.0.0/8",    "10.0.0.0/8",         true },
        {"10.1.0.0/16",   "10.0.0.0/8",         false},
        {"10.0.0.0/8",    "::ffff:10.1.2.3",    true },
        {"10.0.0.0/8",    "11.0.0.0",           false},
        {"2001:db8::/33", "2001:db8:8000::/34", false},
        {"::/0",          "0.0.0.0/0",          true },
        {"0.0.0.0/0",     "::/0",               false},
    };
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        struct vy_net outer;
        struct vy_net inner;
        assert_false(vy_failed(vy_net_parse(vy_cstr(cases[i].outer), &outer)));
        assert_false(vy_failed(vy_net_parse(vy_cstr(cases[i].inner), &inner)));
        if (vy_net_covers(&outer, &inner) != cases[i].is_covered) {
            fail_msg("%s in %s", cases[i].inner, cases[i].outer);
        }
    }
}

static void addresses_print_as_people_write_them(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"127.0.0.1",       "127.0.0.1"  },
        {"::ffff:10.0.0.1", "10.0.0.1"   },
        {"2001:db8::1",     "2001:db8::1"}
    };
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        const struct sockaddr_storage peer = address(cases[i][0]);
        char text[VY_NET_IP_TEXT_BYTES];
        uint16_t port = 1;
        vy_net_ip_text(&peer, text, &port);
        assert_string_equal(text, cases[i][1]);
        assert_int_equal(port, 0);
    }
}

static void an_address_in_use_is_told_in_words(void **state)
{
    (void)state;
    int first = -1;
    int second = -1;
    assert_false(vy_failed(vy_net_listen("127.0.0.1", 0, &first)));
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    assert_int_equal(getsockname(first, (struct sockaddr *)&bound, &len), 0);
    const uint16_t port = ntohs(((struct sockaddr_in *)(void *)&bound)->sin_port);
    const struct vy_err err = vy_net_listen("127.0.0.1", port, &second);
    assert_int_equal(err.code, VY_CODE_EXISTS);
    assert_string_equal(err.what, "another process listens there");
    assert_int_equal(second, -1);
    assert_int_equal(close(first), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_holds_its_addresses_and_no_others),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(a_network_covers_what_lies_in_it),
        cmocka_unit_test(addresses_print_as_people_write_them),
        cmocka_unit_test(an_address_in_use_is_told_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
