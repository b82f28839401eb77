/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * `volary dev`: a whole Volary for one machine's own use, without a configuration file. Loopback
 * only; makes its directory, keys, a self-signed certificate and a first account.
 */
#include "base/config.h"
#include "proto/role.h"

struct dev_options {
    const char *data;          /* directory, made when missing */
    const char *listen;        /* a loopback address */
    uint64_t port_base;        /* ports are base + the service's number */
    const char *account;       /* the first account's address */
    const char *password_file; /* NULL: generate and print once */
    bool show_hints;           /* copyable lines for a first mail */
};
#define DEV_PORT_BASE_MAX 64000U /* base + 993 stays a port */

/* Makes what is missing in options->data and the configuration of all roles; what is wrong is said
 * on stderr. */
VY_CHECKED struct vy_err dev_prepare(const struct dev_options *options, struct vy_config **out);

/*
 * The first account, made through the admin socket as any operator would, on a thread of its own.
 * Once: a note in the data directory says that it is there. @errors are said on stderr; done comes
 * all the same, from the loop.
 */
struct dev_account;
VY_CHECKED struct vy_err dev_account_new(const struct dev_options *options,
                                         struct dev_account **out);
void dev_account_free(struct dev_account *account); /* joins its thread; NULL is allowed */
/* As the on_ready of a program; arg: the dev_account. */
void dev_account_make(void *arg, const struct role_env *env, vy_loop_fn done, void *done_arg);
