/* SPDX-License-Identifier: Apache-2.0 */
#include "deploy/allinone/dev.h"

#include "base/net.h"
#include "base/rng.h"
#include "base/tls.h"
#include "proto/cluster_key.h"
#include "proto/settings.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_BYTES_MAX (64U * 1024U)

/* The ports of the contract: what is added to the base. */
static const struct {
    const char *name;
    unsigned offset;
} dev_ports[] = {
    {"smtp",        25 },
    {"lmtp",        24 },
    {"submission",  587},
    {"submissions", 465},
    {"imap",        143},
    {"imaps",       993},
    {"ops",         90 },
    {"admin",       50 },
};

static struct vy_err say(const char *path, const char *problem, struct vy_err err)
{
    fprintf(stderr, "error: %s: %s (%s%s%s)\n", path, problem, vy_code_text(err.code),
            err.sys == 0 ? "" : ": ", err.sys == 0 ? "" : strerror(err.sys));
    return err;
}

static struct vy_err make_directory(const char *path)
{
    struct stat info;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return say(path, "cannot make the directory; choose another with --data",
                   vy_error_sys(VY_CODE_IO, errno, "mkdir"));
    }
    if (lstat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
        return say(path, "is not a directory", vy_error(VY_CODE_ARGUMENT, "data directory"));
    }
    if (access(path, W_OK | X_OK) != 0) {
        return say(path, "cannot be written to", vy_error_sys(VY_CODE_DENIED, errno, "access"));
    }
    return vy_ok();
}

/* The listener takes an IP address and dev mode signs in without TLS: never beyond this machine. */
static struct vy_err check_loopback(const char *address)
{
    static const char *const loopback[] = {"127.0.0.0/8", "::1/128"};
    struct vy_net wanted;
    if (!vy_failed(vy_net_parse(vy_cstr(address), &wanted)) && strchr(address, '/') == NULL) {
        for (size_t i = 0; i < sizeof(loopback) / sizeof(loopback[0]); i++) {
            struct vy_net net;
            VY_TRY(vy_net_parse(vy_cstr(loopback[i]), &net));
            const size_t bytes = net.prefix_bits / 8;
            if (memcmp(net.address, wanted.address, bytes) == 0) {
                return vy_ok();
            }
        }
    }
    return say(
        address,
        "is not a loopback address; `volary dev` is for this machine alone, see `volary serve`",
        vy_error(VY_CODE_ARGUMENT, "--listen"));
}

static void write_config(const struct dev_options *options, const char *data, struct vy_buf *out)
{
    vy_buf_printf(
        out,
        "cluster: {name: volary-dev}\n"
        "node: {name: volary}\n"
        "listen: {host: \"%s\"}\n"
        "meta:\n  members:\n    - {id: 1, node: volary, link: \"inproc:meta\"}\n"
        "group:\n  id: 1\n  members:\n    - {id: 2, node: volary, link: \"inproc:shard\"}\n"
        "data: {dir: \"%s\", key_file: \"%s/cluster.key\"}\n"
        "tls: {certificate: \"%s/tls.pem\", key: \"%s/tls.key\"}\n"
        "smtp: {hostname: localhost}\n"
        "admin: {loopback_operator: true}\n"
        "auth: {plaintext_networks: [\"127.0.0.0/8\", \"::1\"]}\n"
        "limits: {connections_per_ip: 20000}\n"
        "ports:\n",
        options->listen, data, data, data, data);
    for (size_t i = 0; i < sizeof(dev_ports) / sizeof(dev_ports[0]); i++) {
        vy_buf_printf(out, "  %s: %lu\n", dev_ports[i].name,
                      (unsigned long)(options->port_base + dev_ports[i].offset));
    }
}

static struct vy_err make_keys(const char *data)
{
    char certificate[PATH_MAX + 16];
    char key[PATH_MAX + 16];
    (void)snprintf(key, sizeof(key), "%s/cluster.key", data);
    const struct vy_err err = cluster_key_create(key, vy_rng_system());
    if (vy_failed(err) && err.code != VY_CODE_EXISTS) {
        return say(key, "cannot write the cluster key", err);
    }
    (void)snprintf(certificate, sizeof(certificate), "%s/tls.pem", data);
    (void)snprintf(key, sizeof(key), "%s/tls.key", data);
    const struct vy_err tls_err =
        vy_tls_write_self_signed(certificate, key, "localhost,127.0.0.1,::1");
    return vy_failed(tls_err) ? say(certificate, "cannot write a certificate", tls_err) : vy_ok();
}

static struct vy_err load_config(const struct dev_options *options, const char *data,
                                 struct vy_config **out)
{
    const struct vy_config_spec spec = {
        .keys = settings_keys, .count = settings_key_count, .role = SETTINGS_ALL};
    struct vy_buf text;
    struct vy_buf report;
    vy_buf_init(&text, CONFIG_BYTES_MAX);
    vy_buf_init(&report, CONFIG_BYTES_MAX);
    write_config(options, data, &text);
    struct vy_err err = vy_buf_error(&text);
    if (!vy_failed(err)) {
        err = vy_config_parse(&spec, "volary dev", vy_buf_bytes(&text),
                              (const char *const *)environ, &report, out);
        fprintf(stderr, "%.*s", VY_PRI(vy_buf_bytes(&report)));
    }
    vy_buf_deinit(&report);
    vy_buf_deinit(&text);
    return err;
}

struct vy_err dev_prepare(const struct dev_options *options, struct vy_config **out)
{
    char data[PATH_MAX];
    VY_TRY(check_loopback(options->listen));
    VY_TRY(make_directory(options->data));
    if (realpath(options->data, data) == NULL) {
        return say(options->data, "cannot be resolved",
                   vy_error_sys(VY_CODE_IO, errno, "realpath"));
    }
    if (strpbrk(data, "\"\\\n\r\t") != NULL) {
        return say(data, "has characters in its name that a configuration file cannot hold",
                   vy_error(VY_CODE_ARGUMENT, "--data"));
    }
    VY_TRY(make_keys(data));
    return load_config(options, data, out);
}
