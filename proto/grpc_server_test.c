/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC server against frames written by hand: streams, health, reflection, and what HTTP/2
 * clients may do to a server (H1, H2). */
#include "base/assert.h"
#include "proto/grpc_client.h"
#include "proto/grpc_fixture.h"
#include "proto/grpc_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
/* cmocka wants these first */
#include <cmocka.h>

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define ECHO "/volary.admin.v1.AccountService/GetAccount"
#define CHECK "/grpc.health.v1.Health/Check"
#define WATCH "/grpc.health.v1.Health/Watch"
#define REFLECT "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
enum { DATA = 0, HEADERS = 1, RST = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, CONTINUATION = 9 };
enum { END_STREAM = 1, END_HEADERS = 4 };

/* ---- a client that writes frames ---- */

struct raw {
    int fd;
    struct vy_buf in;
};
struct frame {
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
    struct vy_bytes payload; /* until the next read */
};

static void raw_bytes(struct raw *raw, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    while (len > 0) {
        const ssize_t sent = send(raw->fd, from, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return; /* the server has closed, which the reader will see */
        }
        from += sent;
        len -= (size_t)sent;
    }
}

static void raw_frame(struct raw *raw, uint8_t type, uint8_t flags, uint32_t stream,
                      const void *payload, size_t len)
{
    uint8_t bytes[9 + 16384];
    VY_ASSERT(len <= 16384);
    vy_put_be32(bytes, (uint32_t)len << 8 | type);
    bytes[4] = flags;
    vy_put_be32(bytes + 5, stream);
    if (len > 0) {
        memcpy(bytes + 9, payload, len);
    }
    raw_bytes(raw, bytes, 9 + len);
}

static void raw_connect(struct raw *raw, const struct grpc_fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    VY_ASSERT(strlen(fixture->socket) < sizeof(address.sun_path));
    memcpy(address.sun_path, fixture->socket, strlen(fixture->socket) + 1);
    vy_buf_init(&raw->in, 16U * 1024U * 1024U);
    raw->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(raw->fd >= 0);
    assert_int_equal(connect(raw->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void raw_open(struct raw *raw, const struct grpc_fixture *fixture)
{
    raw_connect(raw, fixture);
    raw_bytes(raw, PREFACE, sizeof(PREFACE) - 1);
    raw_frame(raw, SETTINGS, 0, 0, NULL, 0);
}

static void raw_close(struct raw *raw)
{
    (void)close(raw->fd);
    vy_buf_deinit(&raw->in);
}

/* A header field without indexing or Huffman: names and values under 127 bytes. */
static void put_field(struct vy_buf *out, const char *name, const char *value)
{
    vy_buf_append_byte(out, 0);
    vy_buf_append_byte(out, (uint8_t)strlen(name));
    vy_buf_append_cstr(out, name);
    vy_buf_append_byte(out, (uint8_t)strlen(value));
    vy_buf_append_cstr(out, value);
}

static void put_request(struct vy_buf *out, const char *method, const char *path,
                        const char *content_type)
{
    put_field(out, ":method", method);
    put_field(out, ":scheme", "http");
    put_field(out, ":path", path);
    put_field(out, ":authority", "localhost");
    put_field(out, "content-type", content_type);
    put_field(out, "te", "trailers");
}

static void raw_request(struct raw *raw, uint32_t stream, const char *path, uint8_t flags)
{
    struct vy_buf fields;
    vy_buf_init(&fields, 4096);
    put_request(&fields, "POST", path, "application/grpc");
    raw_frame(raw, HEADERS, END_HEADERS | flags, stream, vy_buf_bytes(&fields).data,
              vy_buf_len(&fields));
    vy_buf_deinit(&fields);
}

static void raw_message(struct raw *raw, uint32_t stream, struct vy_bytes message, uint8_t flags)
{
    uint8_t bytes[1024];
    VY_ASSERT(message.len < sizeof(bytes) - 5);
    bytes[0] = 0;
    vy_put_be32(bytes + 1, (uint32_t)message.len);
    if (message.len > 0) {
        memcpy(bytes + 5, message.data, message.len);
    }
    raw_frame(raw, DATA, flags, stream, bytes, 5 + message.len);
}

/* False: the server has closed. */
static bool raw_read(struct raw *raw, struct frame *out)
{
    for (;;) {
        const struct vy_bytes in = vy_buf_bytes(&raw->in);
        const size_t len = in.len < 9 ? 0 : vy_get_be32(in.data) >> 8;
        if (in.len >= 9 && in.len - 9 >= len) {
            static uint8_t payload[1U << 20];
            VY_ASSERT(len <= sizeof(payload));
            memcpy(payload, in.data + 9, len);
            *out = (struct frame){.type = in.data[3],
                                  .flags = in.data[4],
                                  .stream = vy_get_be32(in.data + 5),
                                  .payload = vy_bytes(payload, len)};
            vy_buf_consume(&raw->in, 9 + len);
            return true;
        }
        uint8_t bytes[65536];
        const ssize_t got = recv(raw->fd, bytes, sizeof(bytes), 0);
        if (got <= 0) {
            return false;
        }
        vy_buf_append(&raw->in, vy_bytes(bytes, (size_t)got));
    }
}

/* The next frame of that type (and stream, unless 0). */
static bool raw_read_type(struct raw *raw, uint8_t type, uint32_t stream, struct frame *out)
{
    while (raw_read(raw, out)) {
        if (out->type == type && (stream == 0 || out->stream == stream)) {
            return true;
        }
    }
    return false;
}

static bool has_text(const struct frame *frame, const char *text)
{
    return vy_bytes_find(frame->payload, vy_cstr(text), 0) != SIZE_MAX;
}

static void assert_closed(struct raw *raw)
{
    struct frame frame;
    while (raw_read(raw, &frame)) {
    }
}

/* Whatever one client did, the next one is served. */
static void assert_serves(struct grpc_fixture *fixture)
{
    const struct grpc_client_config config = {.address = fixture->unix_address};
    struct grpc_client *client = NULL;
    struct vy_buf reply;
    int status = -1;
    vy_buf_init(&reply, 100);
    assert_int_equal(grpc_client_open(&config, &client, NULL).code, VY_CODE_OK);
    assert_int_equal(grpc_client_call(client, ECHO, VY_LIT("hello"), 0, &reply, &status, NULL).code,
                     VY_CODE_OK);
    assert_int_equal(status, 0);
    assert_true(vy_bytes_equal(vy_buf_bytes(&reply), VY_LIT("hello")));
    vy_buf_deinit(&reply);
    grpc_client_free(client);
}

static int ask_status(const struct grpc_fixture *fixture, const char *path, struct vy_bytes request,
                      struct vy_buf *reply)
{
    const struct grpc_client_config config = {.address = fixture->unix_address};
    struct grpc_client *client = NULL;
    int status = -1;
    assert_int_equal(grpc_client_open(&config, &client, NULL).code, VY_CODE_OK);
    assert_int_equal(grpc_client_call(client, path, request, 0, reply, &status, NULL).code,
                     VY_CODE_OK);
    grpc_client_free(client);
    return status;
}

/* ---- what it offers ---- */

static void health_is_told_for_the_whole_and_for_services(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    struct vy_buf reply;
    vy_buf_init(&reply, 100);
    grpc_fixture_start(&fixture, false);
    assert_int_equal(ask_status(&fixture, CHECK, VY_LIT(""), &reply), 0);
    assert_true(vy_bytes_equal(vy_buf_bytes(&reply), VY_LIT("\x08\x01")));
    vy_buf_reset(&reply);
    assert_int_equal(
        ask_status(&fixture, CHECK, VY_LIT("\x0a\x1evolary.admin.v1.AccountService"), &reply), 0);
    assert_true(vy_bytes_equal(vy_buf_bytes(&reply), VY_LIT("\x08\x01")));
    vy_buf_reset(&reply);
    assert_int_equal(ask_status(&fixture, CHECK, VY_LIT("\x0a\x04nope"), &reply), 5);
    assert_int_equal(ask_status(&fixture, CHECK, VY_LIT("\x0a\xff"), &reply), 3);
    atomic_store(&fixture.is_serving, false);
    assert_int_equal(ask_status(&fixture, CHECK, VY_LIT(""), &reply), 0);
    assert_true(vy_bytes_equal(vy_buf_bytes(&reply), VY_LIT("\x08\x02")));
    vy_buf_deinit(&reply);
    grpc_fixture_stop(&fixture);
}

static void a_health_watch_hears_of_each_change(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    struct raw raw;
    struct frame frame;
    grpc_fixture_start(&fixture, false);
    raw_open(&raw, &fixture);
    raw_request(&raw, 1, WATCH, 0);
    raw_message(&raw, 1, VY_LIT(""), END_STREAM);
    assert_true(raw_read_type(&raw, DATA, 1, &frame));
    assert_true(vy_bytes_equal(frame.payload, VY_LIT("\0\0\0\0\2\x08\x01")));
    atomic_store(&fixture.is_serving, false);
    assert_true(raw_read_type(&raw, DATA, 1, &frame));
    assert_true(vy_bytes_equal(frame.payload, VY_LIT("\0\0\0\0\2\x08\x02")));
    assert_int_equal(frame.flags & END_STREAM, 0);
    raw_close(&raw);
    assert_serves(&fixture);
    grpc_fixture_stop(&fixture);
}

/* Two questions on one stream, each answered as it comes. */
static void reflection_lists_services_and_hands_out_files(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    struct raw raw;
    struct frame frame;
    grpc_fixture_start(&fixture, false);
    raw_open(&raw, &fixture);
    raw_request(&raw, 1, REFLECT, 0);
    raw_message(&raw, 1, VY_LIT("\x3a\x01*"), 0);
    assert_true(raw_read_type(&raw, DATA, 1, &frame));
    assert_true(has_text(&frame, "volary.admin.v1.AccountService"));
    assert_true(has_text(&frame, "grpc.health.v1.Health"));
    raw_message(&raw, 1, VY_LIT("\x22\x1evolary.admin.v1.AccountService"), END_STREAM);
    assert_true(raw_read_type(&raw, DATA, 1, &frame));
    assert_true(has_text(&frame, "CreateAccountRequest"));
    assert_true(raw_read_type(&raw, HEADERS, 1, &frame)); /* the trailers */
    assert_true((frame.flags & END_STREAM) != 0);
    raw_close(&raw);
    grpc_fixture_stop(&fixture);
}

/* ---- what it refuses ---- */

static void what_is_no_grpc_is_answered_and_reaches_nobody(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    static const struct {
        const char *method;
        const char *content_type;
    } rows[] = {
        {"GET",  "application/grpc"},
        {"POST", "application/json"},
    };
    struct raw raw;
    struct frame frame;
    grpc_fixture_start(&fixture, false);
    raw_open(&raw, &fixture);
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct vy_buf fields;
        const uint32_t stream = (uint32_t)(2 * i + 1);
        vy_buf_init(&fields, 1000);
        put_request(&fields, rows[i].method, ECHO, rows[i].content_type);
        raw_frame(&raw, HEADERS, END_HEADERS | END_STREAM, stream, vy_buf_bytes(&fields).data,
                  vy_buf_len(&fields));
        assert_true(raw_read_type(&raw, HEADERS, stream, &frame));
        assert_true((frame.flags & END_STREAM) != 0);
        vy_buf_deinit(&fields);
    }
    assert_int_equal(atomic_load(&fixture.calls), 0);
    raw_close(&raw);
    grpc_fixture_stop(&fixture);
}

/* R3: messages that are compressed, too long, cut short or doubled never reach a handler. */
static void messages_that_are_none_end_the_call_alone(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    static const struct vy_bytes bad[] = {
        VY_LIT("\1\0\0\0\1x"),   VY_LIT("\0\xff\xff\xff\xffx"),
        VY_LIT("\0\0\x40\0\1x"), VY_LIT("\0\0\0\0\5x"),
        VY_LIT("\0\0"),          VY_LIT(""),
    };
    struct raw raw;
    struct frame frame;
    grpc_fixture_start(&fixture, false);
    raw_open(&raw, &fixture);
    for (size_t i = 0; i < VY_COUNT_OF(bad); i++) {
        const uint32_t stream = (uint32_t)(2 * i + 1);
        raw_request(&raw, stream, ECHO, 0);
        raw_frame(&raw, DATA, END_STREAM, stream, bad[i].data, bad[i].len);
        assert_true(raw_read_type(&raw, HEADERS, stream, &frame));
        assert_true((frame.flags & END_STREAM) != 0); /* a status and nothing else */
    }
    assert_int_equal(atomic_load(&fixture.calls), 0);
    raw_request(&raw, 99, ECHO, 0);
    raw_message(&raw, 99, VY_LIT("good"), END_STREAM);
    assert_true(raw_read_type(&raw, DATA, 99, &frame));
    raw_close(&raw);
    grpc_fixture_stop(&fixture);
}

static void other_protocols_are_closed(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    static const struct vy_bytes rows[] = {
        VY_LIT("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        VY_LIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03ssssssssssssssssssss"),
        VY_LIT("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
        VY_LIT(PREFACE "\0\0\0\0\0\0\0\0\1"),                         /* DATA before SETTINGS */
        VY_LIT(PREFACE "\0\0\1\4\0\0\0\0\0\1"),                       /* SETTINGS of one byte */
        VY_LIT(PREFACE "\0\0\0\4\0\0\0\0\0\xff\xff\xff\1\4\0\0\0\1"), /* 16 MiB of headers */
    };
    grpc_fixture_start(&fixture, false);
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct raw raw;
        raw_connect(&raw, &fixture);
        raw_bytes(&raw, rows[i].data, rows[i].len);
        assert_closed(&raw);
        raw_close(&raw);
    }
    assert_serves(&fixture);
    grpc_fixture_stop(&fixture);
}

/* ---- attacks ---- */

static void the_33rd_stream_of_a_connection_is_refused(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    struct raw raw;
    struct frame frame;
    grpc_fixture_start(&fixture, false);
    raw_open(&raw, &fixture);
    for (uint32_t i = 0; i <= GRPC_STREAMS_MAX; i++) {
        raw_request(&raw, 2 * i + 1, ECHO, 0);
        raw_message(&raw, 2 * i + 1, VY_LIT("hold"), END_STREAM);
    }
    assert_true(raw_read_type(&raw, RST, 0, &frame));
    assert_int_equal(frame.stream, 2 * GRPC_STREAMS_MAX + 1);
    grpc_fixture_release(&fixture);
    assert_true(raw_read_type(&raw, DATA, 0, &frame));
    raw_close(&raw);
    assert_serves(&fixture);
    grpc_fixture_stop(&fixture);
}

/* H1, CVE-2023-44487 */
static void rapid_resets_end_the_connection(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    struct raw raw;
    struct frame frame;
    uint8_t cancel[4] = {0, 0, 0, 8};
    grpc_fixture_start(&fixture, false);
    raw_open(&raw, &fixture);
    for (uint32_t i = 0; i < 2000; i++) {
        raw_request(&raw, 2 * i + 1, ECHO, 0);
        raw_frame(&raw, RST, 0, 2 * i + 1, cancel, sizeof(cancel));
    }
    assert_true(raw_read_type(&raw, GOAWAY, 0, &frame));
    assert_closed(&raw);
    raw_close(&raw);
    assert_serves(&fixture);
    grpc_fixture_stop(&fixture);
}

/* H2, CVE-2024-28182 */
static void a_flood_of_continuations_ends_the_connection(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    struct raw raw;
    struct vy_buf fields;
    grpc_fixture_start(&fixture, false);
    raw_open(&raw, &fixture);
    vy_buf_init(&fields, 1000);
    put_request(&fields, "POST", ECHO, "application/grpc");
    raw_frame(&raw, HEADERS, 0, 1, vy_buf_bytes(&fields).data, vy_buf_len(&fields));
    for (size_t i = 0; i < 100; i++) {
        raw_frame(&raw, CONTINUATION, 0, 1, NULL, 0);
    }
    assert_closed(&raw);
    vy_buf_deinit(&fields);
    raw_close(&raw);
    assert_serves(&fixture);
    grpc_fixture_stop(&fixture);
}

/* H2: many fields out of few bytes; the stream is reset or the connection closed. */
static void an_hpack_bomb_does_not_pass(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    struct raw raw;
    struct frame frame;
    struct vy_buf fields;
    grpc_fixture_start(&fixture, false);
    raw_open(&raw, &fixture);
    vy_buf_init(&fields, 20000);
    put_request(&fields, "POST", ECHO, "application/grpc");
    /* One field into the table, then a thousand times one byte for it. */
    vy_buf_append_byte(&fields, 0x40);
    vy_buf_append_byte(&fields, 1);
    vy_buf_append_cstr(&fields, "x");
    vy_buf_append_byte(&fields, 100);
    for (size_t i = 0; i < 100; i++) {
        vy_buf_append_byte(&fields, 'y');
    }
    for (size_t i = 0; i < 1000; i++) {
        vy_buf_append_byte(&fields, 0x80 | 62);
    }
    raw_frame(&raw, HEADERS, END_HEADERS, 1, vy_buf_bytes(&fields).data, vy_buf_len(&fields));
    raw_message(&raw, 1, VY_LIT("x"), END_STREAM);
    assert_true(!raw_read_type(&raw, RST, 1, &frame) || frame.stream == 1);
    assert_int_equal(atomic_load(&fixture.calls), 0);
    vy_buf_deinit(&fields);
    raw_close(&raw);
    assert_serves(&fixture);
    grpc_fixture_stop(&fixture);
}

/* H2: each wants an answer, none of which is read. */
static void floods_of_ping_and_settings_end_the_connection(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    static const uint8_t ping[8];
    grpc_fixture_start(&fixture, false);
    for (uint8_t type = SETTINGS; type <= PING; type += PING - SETTINGS) {
        struct raw raw;
        raw_open(&raw, &fixture);
        for (size_t i = 0; i < 200000; i++) {
            raw_frame(&raw, type, 0, 0, ping, type == PING ? sizeof(ping) : 0);
        }
        assert_closed(&raw);
        raw_close(&raw);
    }
    assert_serves(&fixture);
    grpc_fixture_stop(&fixture);
}

/* H2: who never opens the window gets no more than its time. */
static void streams_and_connections_that_wait_for_ever_are_ended(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    static const uint8_t no_window[6] = {0, 4, 0, 0, 0, 0};
    struct raw closed_window;
    struct raw silent;
    struct raw idle;
    struct raw half;
    struct frame frame;
    grpc_fixture_start_impatient(&fixture, 100);
    raw_connect(&silent, &fixture);
    raw_open(&idle, &fixture);
    raw_open(&half, &fixture);
    raw_request(&half, 1, ECHO, 0); /* and never the message */
    raw_connect(&closed_window, &fixture);
    raw_bytes(&closed_window, PREFACE, sizeof(PREFACE) - 1);
    raw_frame(&closed_window, SETTINGS, 0, 0, no_window, sizeof(no_window));
    raw_request(&closed_window, 1, ECHO, 0);
    raw_message(&closed_window, 1, VY_LIT("hello"), END_STREAM);
    assert_true(raw_read_type(&closed_window, RST, 1, &frame));
    assert_true(raw_read_type(&half, RST, 1, &frame));
    assert_true(raw_read_type(&idle, GOAWAY, 0, &frame));
    assert_closed(&silent);
    raw_close(&closed_window);
    raw_close(&silent);
    raw_close(&idle);
    raw_close(&half);
    assert_serves(&fixture);
    grpc_fixture_stop(&fixture);
}

/* The handler still has the call when its client has gone, in either way. */
static void calls_outlive_their_clients(void **state)
{
    (void)state;
    static struct grpc_fixture fixture;
    struct raw reset;
    struct raw gone;
    uint8_t cancel[4] = {0, 0, 0, 8};
    grpc_fixture_start(&fixture, false);
    raw_open(&reset, &fixture);
    raw_open(&gone, &fixture);
    raw_request(&reset, 1, ECHO, 0);
    raw_message(&reset, 1, VY_LIT("hold"), END_STREAM);
    raw_request(&gone, 1, ECHO, 0);
    raw_message(&gone, 1, VY_LIT("hold"), END_STREAM);
    while (atomic_load(&fixture.calls) < 2) {
        assert_serves(&fixture); /* counts as one call, at least */
        if (atomic_load(&fixture.calls) > 50) {
            break;
        }
    }
    raw_frame(&reset, RST, 0, 1, cancel, sizeof(cancel));
    raw_close(&gone);
    assert_serves(&fixture);
    grpc_fixture_release(&fixture);
    raw_close(&reset);
    assert_serves(&fixture);
    grpc_fixture_stop(&fixture);
}

static void timeouts_are_read_in_every_unit(void **state)
{
    (void)state;
    static const struct {
        struct vy_bytes text;
        uint64_t ms;
    } rows[] = {
        {VY_LIT("1H"),         3600000        },
        {VY_LIT("2M"),         120000         },
        {VY_LIT("3S"),         3000           },
        {VY_LIT("40m"),        40             },
        {VY_LIT("1u"),         1              },
        {VY_LIT("2500u"),      3              },
        {VY_LIT("99999999n"),  100            },
        {VY_LIT("0m"),         0              },
        {VY_LIT("99999999H"),  359999996400000},
        {VY_LIT("100000000m"), UINT64_MAX     },
        {VY_LIT("m"),          UINT64_MAX     },
        {VY_LIT("5"),          UINT64_MAX     },
        {VY_LIT("5x"),         UINT64_MAX     },
        {VY_LIT("-5m"),        UINT64_MAX     },
        {VY_LIT(""),           UINT64_MAX     },
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        assert_true(grpc_parse_timeout(rows[i].text) == rows[i].ms);
    }
}

/* Port 0: the system chooses. */
static void the_9th_listener_is_refused(void **state)
{
    (void)state;
    struct vy_loop *loop = NULL;
    struct grpc_server *server = NULL;
    assert_false(vy_failed(vy_loop_uv_new(&loop)));
    assert_false(vy_failed(grpc_server_new(&(struct grpc_server_config){.loop = loop}, &server)));
    for (size_t i = 0; i < GRPC_LISTENERS_MAX; i++) {
        assert_false(vy_failed(grpc_server_listen_tcp(server, "127.0.0.1", 0)));
    }
    assert_int_equal(grpc_server_listen_tcp(server, "127.0.0.1", 0).code, VY_CODE_LIMIT);
    grpc_server_free(server);
    vy_loop_uv_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(health_is_told_for_the_whole_and_for_services),
        cmocka_unit_test(a_health_watch_hears_of_each_change),
        cmocka_unit_test(reflection_lists_services_and_hands_out_files),
        cmocka_unit_test(what_is_no_grpc_is_answered_and_reaches_nobody),
        cmocka_unit_test(messages_that_are_none_end_the_call_alone),
        cmocka_unit_test(other_protocols_are_closed),
        cmocka_unit_test(the_33rd_stream_of_a_connection_is_refused),
        cmocka_unit_test(rapid_resets_end_the_connection),
        cmocka_unit_test(a_flood_of_continuations_ends_the_connection),
        cmocka_unit_test(an_hpack_bomb_does_not_pass),
        cmocka_unit_test(floods_of_ping_and_settings_end_the_connection),
        cmocka_unit_test(streams_and_connections_that_wait_for_ever_are_ended),
        cmocka_unit_test(calls_outlive_their_clients),
        cmocka_unit_test(timeouts_are_read_in_every_unit),
        cmocka_unit_test(the_9th_listener_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
