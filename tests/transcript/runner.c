/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runner FILE.t...: plays transcripts (transcript.h) and says what differed. Every file is played
 * whole, byte by byte and with eight seeds of random cuts; replies of calls are cut too. Exit 0:
 * all as written.
 */
#include "base/assert.h"
#include "base/list.h"
#include "tests/transcript/transcript.h"
#include <stdio.h>
#include <stdlib.h>

#define LINES_MAX 4096U
#define BYTES_MAX (64U * 1024U * 1024U)
#define RANDOM_RUNS 8U
#define CALLS_MAX 16U
#define CREDIT_BYTES 4096U /* small: a body waits for room now and then */

static const struct transcript_protocol *const protocols[] = {
    &transcript_imap,
#ifdef TRANSCRIPT_SMTP
    &transcript_smtp,
#endif
};

struct call {
    uint64_t id; /* 0: free */
    uint32_t method;
    struct vy_buf request;
    struct vy_buf body;
    struct vy_buf stream;
    struct vy_buf reply;
    struct vy_err err;
    size_t credit;
    bool is_up;
    bool is_done; /* answered: stream and reply are on their way */
    bool stays_open;
};

struct transcript {
    const struct transcript_protocol *protocol;
    void *backend;
    struct session *session;
    const char *path;
    unsigned line;
    uint64_t seed; /* 0: whole; 1: byte by byte; else random cuts */
    uint64_t now_ms;
    struct session_peer peer;
    struct vy_buf input; /* what the client has sent and the session not received yet */
    struct vy_buf out;
    struct call calls[CALLS_MAX];
    uint32_t fail_method;
    enum vy_code fail_code;
    bool is_read_stopped;
    bool is_closed;
    bool wants_tls;
    bool wants_hash;
    uint64_t hash_id;
    bool failed;
};

static void fail(struct transcript *t, const char *what, struct vy_bytes detail)
{
    if (!t->failed) {
        fprintf(stderr, "%s:%u: (cuts %llu) %s: %.*s\n", t->path, t->line,
                (unsigned long long)t->seed, what, VY_PRI(vy_bytes_slice(detail, 0, 400)));
    }
    t->failed = true;
}

/* How many of `len` bytes go in one step. */
static size_t cut(struct transcript *t, size_t len)
{
    if (t->seed == 0 || len <= 1) {
        return VY_MIN(len, (size_t)65536);
    }
    if (t->seed == 1) {
        return 1;
    }
    t->seed = t->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return 1 + (size_t)(t->seed >> 33) % VY_MIN(len, (size_t)100);
}

/* ---- calls ---- */

static bool method_is_up(uint32_t method)
{
    return method == METHOD_SHARD_MESSAGE_APPEND || method == METHOD_SHARD_MESSAGE_DELIVER;
}

static struct call *find_call(struct transcript *t, uint64_t id)
{
    for (size_t i = 0; i < CALLS_MAX; i++) {
        if (t->calls[i].id == id) {
            return &t->calls[i];
        }
    }
    return NULL;
}

static void call_free(struct call *call)
{
    vy_buf_deinit(&call->request);
    vy_buf_deinit(&call->body);
    vy_buf_deinit(&call->stream);
    vy_buf_deinit(&call->reply);
    *call = (struct call){.id = 0};
}

static void call_answer(struct transcript *t, struct call *call)
{
    const struct transcript_call told = {
        .method = call->method,
        .request = vy_buf_bytes(&call->request),
        .body = vy_buf_bytes(&call->body),
    };
    call->is_done = true;
    if (t->fail_method == call->method) {
        t->fail_method = 0;
        call->err = vy_error(t->fail_code, "as the transcript says");
        return;
    }
    call->err =
        t->protocol->call(t->backend, &told, &call->reply, &call->stream, &call->stays_open);
}

static void call_start(struct transcript *t, const struct session_action *action)
{
    struct call *const call = find_call(t, 0);
    if (call == NULL) {
        fail(t, "too many calls at once", vy_bytes(NULL, 0));
        return;
    }
    *call = (struct call){
        .id = action->call_id, .method = action->method, .is_up = method_is_up(action->method)};
    vy_buf_init(&call->request, BYTES_MAX);
    vy_buf_init(&call->body, BYTES_MAX);
    vy_buf_init(&call->stream, BYTES_MAX);
    vy_buf_init(&call->reply, BYTES_MAX);
    if (vy_failed(vy_pb_encode(action->request_desc, action->request, &call->request))) {
        fail(t, "request cannot be encoded", vy_cstr(action->request_desc->name));
        return;
    }
    call->credit = call->is_up ? CREDIT_BYTES : 0;
    if (!call->is_up || t->fail_method == call->method) {
        call_answer(t, call);
    }
}

static void call_send(struct transcript *t, const struct session_action *action)
{
    struct call *const call = find_call(t, action->call_id);
    if (call != NULL && !call->is_done) {
        vy_buf_append(&call->body, action->bytes);
        call->credit += action->bytes.len;
    }
}

/* Hands the session one thing that a call holds for it. True when there was one. */
static bool call_step(struct transcript *t, struct call *call)
{
    struct session *const session = t->session;
    if (call->credit > 0 && !call->is_done) {
        const size_t credit = cut(t, call->credit);
        call->credit -= credit;
        session->ops->call_writable(session, call->id, credit);
        return true;
    }
    if (vy_buf_len(&call->stream) > 0 && !session->output_full) {
        const struct vy_bytes bytes = vy_buf_bytes(&call->stream);
        const size_t size = cut(t, bytes.len);
        const size_t taken =
            session->ops->call_data(session, call->id, vy_bytes_slice(bytes, 0, size));
        VY_ASSERT(taken <= size);
        if (call->id != 0) {
            vy_buf_consume(&call->stream, taken);
        }
        return true;
    }
    if (call->is_done && !call->stays_open && vy_buf_len(&call->stream) == 0) {
        struct call ended = *call;
        *call = (struct call){.id = 0};
        session->ops->call_ended(session, ended.id, ended.err, vy_buf_bytes(&ended.reply), 0);
        call_free(&ended);
        return true;
    }
    return false;
}

/* ---- actions ---- */

static void perform(struct transcript *t, const struct session_action *action)
{
    struct call *call = NULL;
    switch (action->kind) {
    case SESSION_SEND:
        vy_buf_append(&t->out, action->bytes);
        break;
    case SESSION_CALL:
        call_start(t, action);
        break;
    case SESSION_CALL_SEND:
        call_send(t, action);
        break;
    case SESSION_CALL_END:
        call = find_call(t, action->call_id);
        if (call != NULL && !call->is_done) {
            call_answer(t, call);
        }
        break;
    case SESSION_CALL_CANCEL:
        call = find_call(t, action->call_id);
        if (call != NULL) {
            call_free(call);
        }
        break;
    case SESSION_HASH:
        t->wants_hash = true;
        t->hash_id = action->call_id;
        break;
    case SESSION_START_TLS:
        t->wants_tls = true;
        break;
    case SESSION_READ_STOP:
        t->is_read_stopped = true;
        break;
    case SESSION_READ_START:
        t->is_read_stopped = false;
        break;
    case SESSION_CLOSE:
        t->is_closed = true;
        break;
    case SESSION_TIMER:
    case SESSION_LOG:
    case SESSION_COMMAND:
        break;
    }
}

static void perform_all(struct transcript *t)
{
    struct session_action action;
    while (!t->is_closed && t->session->ops->next_action(t->session, &action)) {
        perform(t, &action);
    }
}

static bool give_hash(struct transcript *t)
{
    static const uint8_t tag[32] = {0};
    if (!t->wants_hash) {
        return false;
    }
    t->wants_hash = false;
    t->session->ops->hash_done(t->session, t->hash_id, vy_ok(), vy_bytes(tag, sizeof(tag)));
    return true;
}

static bool give_input(struct transcript *t)
{
    const struct vy_bytes waiting = vy_buf_bytes(&t->input);
    if (waiting.len == 0 || t->is_read_stopped || t->wants_tls) {
        return false;
    }
    const size_t size = cut(t, waiting.len);
    t->session->ops->receive(t->session, vy_bytes_slice(waiting, 0, size), t->now_ms);
    vy_buf_consume(&t->input, size);
    return true;
}

static void refill_streams(struct transcript *t)
{
    for (size_t i = 0; i < CALLS_MAX; i++) {
        if (t->calls[i].id != 0 && t->calls[i].stays_open && t->protocol->stream_more != NULL) {
            t->protocol->stream_more(t->backend, &t->calls[i].stream);
        }
    }
}

/* Goes on until nothing moves any more. */
static void settle(struct transcript *t)
{
    bool moved = true;
    while (moved && !t->failed) {
        t->session->now_ms = t->now_ms;
        perform_all(t);
        if (t->is_closed) {
            return;
        }
        refill_streams(t);
        moved = false;
        for (size_t i = 0; i < CALLS_MAX && !moved; i++) {
            moved = t->calls[i].id != 0 && call_step(t, &t->calls[i]);
        }
        moved = moved || give_hash(t) || give_input(t);
    }
}

void transcript_send(struct transcript *t, struct vy_bytes bytes)
{
    vy_buf_append(&t->input, bytes);
    settle(t);
}

void transcript_skip_output(struct transcript *t)
{
    vy_buf_reset(&t->out);
}

static bool start(struct transcript *t)
{
    if (t->session != NULL) {
        return true;
    }
    if (vy_failed(t->protocol->session_new(t->backend, &t->peer, &t->session))) {
        fail(t, "no session", vy_bytes(NULL, 0));
        return false;
    }
    settle(t);
    return true;
}

/* ---- expectations ---- */

static bool is_kind(uint8_t c, bool hex)
{
    return vy_ascii_is_digit(c) || (hex && vy_ascii_hex_value(c) >= 0);
}

/* pattern against text, with <any>, <n>, <hex>; <any> takes as little as it can. */
static bool matches(struct vy_bytes pattern, struct vy_bytes text)
{
    size_t p = 0;
    size_t at = 0;
    size_t back_p = SIZE_MAX;
    size_t back_at = 0;
    while (p < pattern.len || at < text.len) {
        const struct vy_bytes rest = vy_bytes_from(pattern, p);
        const bool is_hex = vy_bytes_starts_with(rest, VY_LIT("<hex>"));
        if (vy_bytes_starts_with(rest, VY_LIT("<any>"))) {
            back_p = p;
            back_at = at;
            p += 5;
            continue;
        }
        if ((is_hex || vy_bytes_starts_with(rest, VY_LIT("<n>"))) && at < text.len &&
            is_kind(text.data[at], is_hex)) {
            while (at < text.len && is_kind(text.data[at], is_hex)) {
                at++;
            }
            p += is_hex ? 5 : 3;
            continue;
        }
        if (p < pattern.len && at < text.len && pattern.data[p] == text.data[at]) {
            p++;
            at++;
            continue;
        }
        if (back_p == SIZE_MAX || back_at >= text.len) {
            return false;
        }
        back_at++;
        at = back_at;
        p = back_p + 5;
    }
    return true;
}

static bool take_line(struct transcript *t, struct vy_bytes *out)
{
    const struct vy_bytes waiting = vy_buf_bytes(&t->out);
    const size_t at = vy_bytes_find_byte(waiting, '\n', 0);
    if (waiting.len == 0) {
        return false;
    }
    const size_t size = at == SIZE_MAX ? waiting.len : at + 1;
    *out = vy_bytes_trim_crlf(vy_bytes_slice(waiting, 0, size));
    vy_buf_consume(&t->out, size);
    return true;
}

static void expect_line(struct transcript *t, struct vy_bytes pattern)
{
    struct vy_bytes line = {.data = NULL};
    if (!take_line(t, &line)) {
        fail(t, "the server says nothing; expected", pattern);
    } else if (!matches(pattern, line)) {
        fail(t, "the server says", line);
    }
}

static void expect_some_line(struct transcript *t, struct vy_bytes pattern)
{
    struct vy_bytes line = {.data = NULL};
    while (take_line(t, &line)) {
        if (matches(pattern, line)) {
            return;
        }
    }
    fail(t, "the server never says", pattern);
}

static void expect_state(struct transcript *t, struct vy_bytes what)
{
    if (vy_bytes_equal(what, VY_LIT("closed"))) {
        if (!t->is_closed) {
            fail(t, "the server has not closed", vy_bytes(NULL, 0));
        }
        return;
    }
    const struct session_tls tls = {.info = VY_LIT("TLSv1.3 TLS_AES_128_GCM_SHA256")};
    if (!t->wants_tls) {
        fail(t, "the server has not begun TLS", vy_bytes(NULL, 0));
        return;
    }
    t->wants_tls = false;
    vy_buf_reset(&t->input);
    t->session->ops->tls_started(t->session, &tls);
    settle(t);
}

/* ---- lines of the file ---- */

static void append_escaped(struct vy_buf *out, struct vy_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '\\' && i + 1 < text.len) {
            const uint8_t kind = text.data[++i];
            c = kind == 'r'   ? '\r'
                : kind == 'n' ? '\n'
                : kind == 't' ? '\t'
                : kind == '0' ? '\0'
                              : kind;
            if (kind == 'x' && i + 2 < text.len) {
                c = (uint8_t)(vy_ascii_hex_value(text.data[i + 1]) << 4 |
                              vy_ascii_hex_value(text.data[i + 2]));
                i += 2;
            }
        }
        vy_buf_append_byte(out, c);
    }
}

static void send_repeated(struct transcript *t, struct vy_bytes text)
{
    uint32_t count = 0;
    const struct vy_bytes number = vy_bytes_cut(&text, ' ');
    if (!vy_parse_u32(number, &count)) {
        fail(t, "not a count", number);
    }
    for (uint32_t i = 0; i < count; i++) {
        append_escaped(&t->input, text);
    }
    settle(t);
}

static void set_peer(struct transcript *t, struct vy_bytes words)
{
    while (words.len > 0) {
        const struct vy_bytes word = vy_bytes_cut(&words, ' ');
        if (vy_bytes_equal(word, VY_LIT("tls"))) {
            t->peer.is_tls = true;
            t->peer.tls_info = VY_LIT("TLSv1.3 TLS_AES_128_GCM_SHA256");
        } else if (vy_bytes_equal(word, VY_LIT("untrusted"))) {
            t->peer.is_trusted = false;
        } else if (vy_bytes_equal(word, VY_LIT("no-starttls"))) {
            t->peer.can_start_tls = false;
        }
    }
}

static uint32_t find_method(struct vy_bytes name)
{
#define X(method, id, request, reply, roles, stream)                                               \
    if (vy_bytes_equal(name, VY_LIT(#method))) {                                                   \
        return METHOD_##method;                                                                    \
    }
    SHARD_METHODS(X)
    META_METHODS(X)
#undef X
    return 0;
}

static void set_failure(struct transcript *t, struct vy_bytes words)
{
    const struct vy_bytes method = vy_bytes_cut(&words, ' ');
    t->fail_method = find_method(method);
    for (int code = 0; code < VY_CODE_COUNT; code++) {
        if (vy_bytes_equal(words, vy_cstr(vy_code_name((enum vy_code)code)))) {
            t->fail_code = (enum vy_code)code;
            if (t->fail_method != 0) {
                return;
            }
        }
    }
    fail(t, "no such method or code", method);
}

static void pass_time(struct transcript *t, struct vy_bytes text)
{
    uint64_t ms = 0;
    if (!vy_parse_u64(text, &ms)) {
        fail(t, "not a time", text);
    }
    t->now_ms += ms;
    t->session->now_ms = t->now_ms;
    t->session->ops->tick(t->session, t->now_ms);
    settle(t);
}

static bool is_word(struct vy_bytes line, const char *word, struct vy_bytes *rest)
{
    const struct vy_bytes prefix = vy_cstr(word);
    if (!vy_bytes_starts_with(line, prefix)) {
        return false;
    }
    *rest = vy_bytes_from(line, prefix.len);
    return true;
}

/* Lines that need a session. */
static bool play_dialogue(struct transcript *t, struct vy_bytes line)
{
    struct vy_bytes rest = {.data = NULL};
    if (is_word(line, "C: ", &rest)) {
        vy_buf_append(&t->input, rest);
        transcript_send(t, VY_LIT("\r\n"));
    } else if (vy_bytes_equal(line, VY_LIT("C:"))) {
        transcript_send(t, VY_LIT("\r\n"));
    } else if (is_word(line, "Cx ", &rest)) {
        append_escaped(&t->input, rest);
        settle(t);
    } else if (is_word(line, "C* ", &rest)) {
        send_repeated(t, rest);
    } else if (is_word(line, "S: ", &rest) || is_word(line, "S:", &rest)) {
        expect_line(t, rest);
    } else if (is_word(line, "S* ", &rest)) {
        expect_some_line(t, rest);
    } else if (is_word(line, "S! ", &rest)) {
        expect_state(t, rest);
    } else if (is_word(line, "S- ", &rest)) {
        if (vy_bytes_find(vy_buf_bytes(&t->out), rest, 0) != SIZE_MAX) {
            fail(t, "the server does say", rest);
        }
    } else if (is_word(line, "tick ", &rest)) {
        pass_time(t, rest);
    } else if (vy_bytes_equal(line, VY_LIT("eof"))) {
        t->session->ops->closed(t->session);
        settle(t);
    } else if (vy_bytes_equal(line, VY_LIT("drain"))) {
        t->session->ops->drain(t->session);
        settle(t);
    } else {
        return false;
    }
    return true;
}

static bool is_setup_word(struct vy_bytes line)
{
    static const char *const words[] = {"mailbox ",        "message ", "| ",
                                        "seen-by-others ", "account ", "service "};
    for (size_t i = 0; i < VY_COUNT_OF(words); i++) {
        if (vy_bytes_starts_with(line, vy_cstr(words[i]))) {
            return true;
        }
    }
    return vy_bytes_equal(line, VY_LIT("|"));
}

static void play_line(struct transcript *t, struct vy_bytes line)
{
    struct vy_bytes rest = {.data = NULL};
    if (line.len == 0 || line.data[0] == '#') {
        return;
    }
    if (is_word(line, "peer ", &rest)) {
        set_peer(t, rest);
        return;
    }
    if (is_word(line, "fail ", &rest)) {
        set_failure(t, rest);
        return;
    }
    /* What stands before the first line of the dialogue is set up before the session begins. */
    const bool is_setup = t->session == NULL && is_setup_word(line);
    if (!is_setup && !start(t)) {
        return;
    }
    if (is_setup || !play_dialogue(t, line)) {
        if (!t->protocol->directive(t->backend, t, line)) {
            fail(t, "not a line of a transcript", line);
        }
        if (t->session != NULL) {
            settle(t);
        }
    }
}

/* ---- files ---- */

static void close_all(struct transcript *t)
{
    for (size_t i = 0; i < CALLS_MAX; i++) {
        call_free(&t->calls[i]);
    }
    if (t->session != NULL) {
        t->session->ops->free(t->session);
    }
    t->protocol->backend_free(t->backend);
    vy_buf_deinit(&t->input);
    vy_buf_deinit(&t->out);
}

static bool play(const struct transcript_protocol *protocol, const char *path, struct vy_bytes text,
                 uint64_t seed)
{
    struct transcript t = {.protocol = protocol, .path = path, .seed = seed, .now_ms = 1000};
    t.peer = (struct session_peer){
        .remote_ip = VY_LIT("192.0.2.1"),
        .remote_port = 40000,
        .local_ip = VY_LIT("192.0.2.2"),
        .is_trusted = true,
        .can_start_tls = true,
        .trace_id = {1,  2},
        .seed = { 1, 2, 3, 4},
        .now_ms = 1000,
        .wall_ms = 1700000000000,
    };
    vy_buf_init(&t.input, BYTES_MAX);
    vy_buf_init(&t.out, BYTES_MAX);
    t.backend = protocol->backend_new();
    while (text.len > 0 && !t.failed) {
        t.line++;
        const struct vy_bytes line = vy_bytes_cut(&text, '\n');
        play_line(&t, line);
    }
    if (!t.failed && vy_buf_len(&t.out) > 0) {
        fail(&t, "the server says more", vy_buf_bytes(&t.out));
    }
    close_all(&t);
    return !t.failed;
}

static const struct transcript_protocol *find_protocol(const char *path)
{
    for (size_t i = 0; i < VY_COUNT_OF(protocols); i++) {
        char folder[64];
        (void)snprintf(folder, sizeof(folder), "/%s/", protocols[i]->folder);
        if (strstr(path, folder) != NULL) {
            return protocols[i];
        }
    }
    return NULL;
}

static bool read_file(const char *path, struct vy_buf *out)
{
    FILE *const file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    size_t got = 1;
    while (got > 0) {
        uint8_t *const room = vy_buf_reserve(out, 4096);
        got = room == NULL ? 0 : fread(room, 1, 4096, file);
        if (got > 0) {
            vy_buf_added(out, got);
        }
    }
    (void)fclose(file);
    return !out->failed;
}

static bool play_file(const char *path)
{
    const struct transcript_protocol *const protocol = find_protocol(path);
    struct vy_buf text;
    vy_buf_init(&text, BYTES_MAX);
    bool is_fine = protocol != NULL && read_file(path, &text);
    if (!is_fine) {
        fprintf(stderr, "%s: cannot be played\n", path);
    }
    /* 0: whole; 1: byte by byte; 1000 and up: seeds of random cuts */
    for (uint64_t run = 0; is_fine && run < RANDOM_RUNS + 2; run++) {
        is_fine = play(protocol, path, vy_buf_bytes(&text), run < 2 ? run : 1000 + run);
    }
    vy_buf_deinit(&text);
    return is_fine;
}

int main(int argc, char **argv)
{
    int failures = 0;
    for (int i = 1; i < argc; i++) {
        failures += play_file(argv[i]) ? 0 : 1;
    }
    printf("%d transcripts, %d failed\n", argc - 1, failures);
    return failures == 0 && argc > 1 ? 0 : 1;
}
