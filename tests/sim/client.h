/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A mail client: one connection at a time to a frontend, and a script of lines to say there, each
 * when the one before was answered. It hangs up when an answer is a refusal, when it has waited for
 * too long, or at the end of the script. Knows how answers end, not what they mean.
 */
#include "base/buf.h"
#include "tests/sim/roles.h"

#define CLIENT_STEPS_MAX 16U

enum client_wait {
    CLIENT_WAIT_SMTP, /* replies of RFC 5321, as many as the step says */
    CLIENT_WAIT_IMAP  /* the line that begins with the step's tag */
};
struct client_step {
    enum client_wait wait;
    unsigned replies;    /* SMTP */
    char tag[8];         /* IMAP; "*": the greeting */
    struct vy_buf text;  /* what is said */
    struct vy_buf reply; /* what came, with what came before the end of it */
    uint64_t delay_ms;   /* between the answer before and this */
    bool is_said;
    bool is_answered;
    bool is_refused;
};
enum client_end {
    CLIENT_DONE,    /* every step was answered well */
    CLIENT_REFUSED, /* the last one that was answered was refused */
    CLIENT_CUT,     /* the connection ended */
    CLIENT_LATE,    /* no answer in time */
    CLIENT_AWAY     /* there was nobody to connect to; nothing was said */
};

struct client {
    struct sim_world *world;
    unsigned number;
    struct client_step steps[CLIENT_STEPS_MAX];
    unsigned count;
    unsigned at;      /* step that waits for its answer */
    int fd;           /* -1: hung up */
    size_t sent;      /* bytes of that step's text */
    bool is_thinking; /* it is not said yet */
    struct sim_process *frontend;
    uint64_t serial; /* of the script: late events of older ones are known by it */
    uint64_t patience_ms;
    void (*on_answer)(void *arg, unsigned step); /* of each good one; NULL: nobody asks */
    void (*on_end)(void *arg, enum client_end end);
    void *arg;
};

void client_init(struct client *client, struct sim_world *world, unsigned number);
void client_deinit(struct client *client);
/* A new script: the greeting comes first. */
void client_script(struct client *client, enum client_wait wait);
struct client_step *client_say(struct client *client, const char *format, ...) VY_PRINTF(2, 3);
struct client_step *client_say_bytes(struct client *client, struct vy_bytes text);
/* on_end once, from the world's events, never within the call. */
void client_run(struct client *client, struct sim_process *frontend, enum sim_port port,
                void (*on_end)(void *arg, enum client_end end), void *arg);
/* Reads what has come. To be called after steps of the world. */
void client_look(struct client *client);
/* What came as answer to a step so far, as text. */
const char *client_reply(const struct client *client, unsigned step);
