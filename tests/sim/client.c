/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_BYTES_MAX (2U * 1024 * 1024)
#define READ_BYTES 65536U

void client_init(struct client *client, struct sim_world *world, unsigned number)
{
    *client = (struct client){.world = world, .number = number, .fd = -1, .patience_ms = 4000};
    for (unsigned i = 0; i < CLIENT_STEPS_MAX; i++) {
        vy_buf_init(&client->steps[i].text, TEXT_BYTES_MAX);
        vy_buf_init(&client->steps[i].reply, TEXT_BYTES_MAX);
    }
}

void client_deinit(struct client *client)
{
    if (client->fd >= 0) {
        (void)close(client->fd);
    }
    for (unsigned i = 0; i < CLIENT_STEPS_MAX; i++) {
        vy_buf_deinit(&client->steps[i].text);
        vy_buf_deinit(&client->steps[i].reply);
    }
}

/* ---- scripts ---- */

static struct client_step *add_step(struct client *client, enum client_wait wait)
{
    VY_ASSERT(client->count < CLIENT_STEPS_MAX);
    struct client_step *step = &client->steps[client->count];
    vy_buf_reset(&step->text);
    vy_buf_reset(&step->reply);
    step->wait = wait;
    step->replies = 1;
    step->delay_ms = 0;
    step->is_said = false;
    step->is_answered = false;
    step->is_refused = false;
    (void)snprintf(step->tag, sizeof(step->tag), "%s%u", client->count == 0 ? "*" : "a",
                   client->count);
    client->count++;
    return step;
}

void client_script(struct client *client, enum client_wait wait)
{
    VY_ASSERT(client->fd < 0);
    client->count = 0;
    client->at = 0;
    client->sent = 0;
    client->on_answer = NULL;
    struct client_step *greeting = add_step(client, wait);
    (void)snprintf(greeting->tag, sizeof(greeting->tag), "*");
}

struct client_step *client_say_bytes(struct client *client, struct vy_bytes text)
{
    struct client_step *step = add_step(client, client->steps[0].wait);
    if (step->wait == CLIENT_WAIT_IMAP) {
        vy_buf_printf(&step->text, "%s ", step->tag);
    }
    vy_buf_append(&step->text, text);
    return step;
}

struct client_step *client_say(struct client *client, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    const int len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    VY_ASSERT(len > 0 && (size_t)len < sizeof(text));
    return client_say_bytes(client, vy_bytes((const uint8_t *)text, (size_t)len));
}

const char *client_reply(const struct client *client, unsigned step)
{
    const struct vy_bytes reply = vy_buf_bytes(&client->steps[step].reply);
    return reply.len == 0 ? "" : (const char *)reply.data; /* a zero byte follows it */
}

/* ---- the end ---- */

static void end_script(struct client *client, enum client_end end)
{
    if (client->fd >= 0) {
        (void)close(client->fd);
        client->fd = -1;
        sim_touch(client->frontend); /* it sees that */
    }
    client->serial++;
    sim_note(client->world, 300 + end);
    client->on_end(client->arg, end);
}

/* To itself, for later; void once the script is over. */
struct note {
    struct client *client;
    uint64_t serial;
    enum client_end end;
};

static struct note *note_new(struct client *client, enum client_end end)
{
    struct note *note = sim_alloc(sizeof(*note));
    *note = (struct note){.client = client, .serial = client->serial, .end = end};
    return note;
}

/* False: it is void. */
static bool note_take(void *arg, struct note *out)
{
    *out = *(struct note *)arg;
    free(arg);
    return !out->client->world->is_ending && out->client->serial == out->serial;
}

static void on_alarm(void *arg)
{
    struct note note;
    if (note_take(arg, &note)) {
        end_script(note.client, note.end);
    }
}

static void set_alarm(struct client *client, uint64_t after_ms, enum client_end end)
{
    sim_at(client->world, after_ms, NULL, on_alarm, note_new(client, end));
}

/* ---- answers ---- */

static bool find_line(struct vy_bytes text, size_t from, struct vy_bytes *line, size_t *next)
{
    const uint8_t *end = from < text.len ? memchr(text.data + from, '\n', text.len - from) : NULL;
    if (end == NULL) {
        return false;
    }
    *line = vy_bytes(text.data + from, (size_t)(end - text.data) - from);
    *next = (size_t)(end - text.data) + 1;
    return true;
}

/* Is the answer whole? *is_refused: it says no. */
static bool is_whole(const struct client_step *step, bool *is_refused)
{
    const struct vy_bytes text = vy_buf_bytes(&step->reply);
    const size_t tag_len = strlen(step->tag);
    struct vy_bytes line;
    unsigned replies = 0;
    *is_refused = step->wait == CLIENT_WAIT_SMTP; /* unless one of them is good: LMTP */
    for (size_t at = 0; find_line(text, at, &line, &at);) {
        if (step->wait == CLIENT_WAIT_SMTP) {
            if (line.len >= 4 && line.data[3] == ' ') {
                replies++;
                *is_refused = *is_refused && line.data[0] >= '4';
            }
            if (replies == step->replies) {
                return true;
            }
        } else if (line.len > tag_len + 3 && memcmp(line.data, step->tag, tag_len) == 0 &&
                   line.data[tag_len] == ' ') {
            *is_refused = memcmp(line.data + tag_len + 1, "OK", 2) != 0;
            return true;
        }
    }
    return false;
}

static void say(struct client *client)
{
    const struct vy_bytes text = vy_buf_bytes(&client->steps[client->at].text);
    while (client->sent < text.len) {
        const ssize_t n =
            send(client->fd, text.data + client->sent, text.len - client->sent, MSG_NOSIGNAL);
        if (n <= 0) {
            break; /* full: later; closed: reading tells */
        }
        client->sent += (size_t)n;
        sim_touch(client->frontend);
    }
    client->steps[client->at].is_said = client->sent == text.len;
}

static void on_thought(void *arg)
{
    struct note note;
    if (note_take(arg, &note)) {
        note.client->is_thinking = false;
        say(note.client);
    }
}

/* The step's answer is there: the next one. */
static void go_on(struct client *client, bool is_refused)
{
    struct client_step *step = &client->steps[client->at];
    step->is_answered = true;
    step->is_refused = is_refused;
    sim_note(client->world, vy_buf_len(&step->reply));
    if (is_refused) {
        end_script(client, CLIENT_REFUSED);
        return;
    }
    if (client->on_answer != NULL) {
        client->on_answer(client->arg, client->at);
    }
    if (client->at + 1 == client->count) {
        end_script(client, CLIENT_DONE);
        return;
    }
    client->at++;
    client->sent = 0;
    if (client->steps[client->at].delay_ms == 0) {
        say(client);
    } else {
        client->is_thinking = true;
        sim_at(client->world, client->steps[client->at].delay_ms, NULL, on_thought,
               note_new(client, CLIENT_DONE));
    }
}

void client_look(struct client *client)
{
    static char bytes[READ_BYTES];
    while (client->fd >= 0) {
        struct client_step *step = &client->steps[client->at];
        bool is_refused = false;
        if (!client->is_thinking) {
            say(client);
        }
        const ssize_t n = recv(client->fd, bytes, sizeof(bytes), 0);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (n <= 0) {
            end_script(client, CLIENT_CUT);
            return;
        }
        vy_buf_append(&step->reply, vy_bytes((const uint8_t *)bytes, (size_t)n));
        vy_buf_append_byte(&step->reply, 0); /* for those who look for words in it */
        vy_buf_truncate(&step->reply, vy_buf_len(&step->reply) - 1);
        VY_ASSERT(!vy_failed(vy_buf_error(&step->reply)));
        if (is_whole(step, &is_refused)) {
            go_on(client, is_refused);
        }
    }
}

/* ---- connecting ---- */

void client_run(struct client *client, struct sim_process *frontend, enum sim_port port,
                void (*on_end)(void *arg, enum client_end end), void *arg)
{
    int fds[2];
    client->on_end = on_end;
    client->arg = arg;
    client->serial++;
    client->at = 0;
    client->sent = 0;
    client->is_thinking = false;
    client->frontend = frontend;
    if (!sim_is_up(frontend) || sim_is_paused(frontend)) {
        set_alarm(client, 1, CLIENT_AWAY);
        return;
    }
    VY_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    client->fd = fds[0];
    set_alarm(client, client->patience_ms, CLIENT_LATE);
    sim_frontend_accept(frontend, port, fds[1]);
}
