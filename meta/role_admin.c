/* SPDX-License-Identifier: Apache-2.0 */
/* The admin API on its sockets: who may call, and the way of a call to its handler and back. */
#include "meta/role_private.h"
#include "proto/admin_text.h"
#include <stdio.h>
#include <stdlib.h>

#define SOCKET_PATH_BYTES_MAX 108U /* sun_path */
#define MESSAGE_BYTES_MAX 512U

/* ---- who calls ---- */

/* spiffe://CLUSTER/admin/NAME; false: it is something else. */
static bool parse_admin_uri(struct vy_bytes uri, const char *cluster, struct vy_bytes *out_name)
{
    if (!vy_bytes_starts_with(uri, VY_LIT("spiffe://"))) {
        return false;
    }
    struct vy_bytes rest = vy_bytes_from(uri, sizeof("spiffe://") - 1);
    const struct vy_bytes domain = vy_bytes_cut(&rest, '/');
    const struct vy_bytes role = vy_bytes_cut(&rest, '/');
    if (!vy_bytes_equal(domain, vy_cstr(cluster)) || !vy_bytes_equal(role, VY_LIT("admin")) ||
        rest.len == 0 || vy_bytes_find_byte(rest, '/', 0) != SIZE_MAX) {
        return false;
    }
    *out_name = rest;
    return true;
}

struct vy_err meta_admin_face_identify(const struct meta_admin_face *face,
                                       const struct grpc_peer *peer, struct meta_actor *out)
{
    struct vy_bytes name;
    if (peer->is_local) {
        *out = (struct meta_actor){
            .kind = VY_LIT("operator"), .name = VY_LIT("local"), .peer = peer->address};
        return vy_ok();
    }
    if (peer->is_authenticated) {
        if (!parse_admin_uri(peer->uri, vy_config_text(face->env->config, "cluster.name"), &name)) {
            return vy_error(VY_CODE_DENIED,
                            "this certificate is not an administrator's: its URI must be "
                            "spiffe://CLUSTER/admin/NAME");
        }
        *out =
            (struct meta_actor){.kind = VY_LIT("certificate"), .name = name, .peer = peer->address};
        return vy_ok();
    }
    if (face->loopback_operates && face->tls == NULL) {
        *out = (struct meta_actor){
            .kind = VY_LIT("operator"), .name = VY_LIT("loopback"), .peer = peer->address};
        return vy_ok();
    }
    return vy_error(VY_CODE_AUTH, "the admin API serves its unix socket and certificates of role "
                                  "admin; use the unix socket in data.dir, or node certificates");
}

/* ---- a call ---- */

struct admin_answer {
    struct meta_admin_face *face;
    struct grpc_call *call;
};

/* Whom to ask instead goes into the words: volaryctl tries all servers, people read it. */
static void fail_not_leader(struct admin_answer *answer, struct vy_err err)
{
    const char *hint = meta_leader_hint(answer->face->meta);
    char text[MESSAGE_BYTES_MAX];
    (void)snprintf(text, sizeof(text), ADMIN_TEXT_NOT_LEADER "; %s%s",
                   hint == NULL ? "no leader is known yet, try again" : "the leader is ",
                   hint == NULL ? "" : hint);
    grpc_call_fail(answer->call, err, text);
}

static void admin_on_reply(void *arg, struct vy_err err, const char *message, struct vy_bytes reply)
{
    struct admin_answer *answer = arg;
    if (!vy_failed(err)) {
        grpc_call_reply(answer->call, reply);
    } else if (err.code == VY_CODE_NOT_LEADER) {
        fail_not_leader(answer, err);
    } else {
        grpc_call_fail(answer->call, err, message);
    }
    free(answer);
}

static void admin_on_call(void *arg, struct grpc_call *call, const struct vy_pb_method *method,
                          struct vy_bytes request)
{
    struct meta_admin_face *face = arg;
    const struct grpc_peer *peer = grpc_call_peer(call);
    struct meta_actor actor;
    const struct vy_err err = meta_admin_face_identify(face, peer, &actor);
    if (vy_failed(err)) {
        vy_log(face->env->log, VY_LOG_WARN, "meta.admin.denied", VY_STR("conn.ip", peer->address),
               VY_STR("conn.uri", peer->uri), VY_CSTR("rpc.method", method->method),
               VY_LOG_ERR(err));
        grpc_call_fail(call, err, err.what);
        return;
    }
    struct admin_answer *answer = calloc(1, sizeof(*answer));
    if (answer == NULL) {
        grpc_call_fail(call, vy_error(VY_CODE_NOMEM, "admin call"), NULL);
        return;
    }
    *answer = (struct admin_answer){.face = face, .call = call};
    meta_admin_call(face->meta, method, request, &actor, admin_on_reply, answer);
}

/* ---- listening ---- */

static void log_listener(const struct meta_admin_face *face, struct vy_err err, const char *address)
{
    if (vy_failed(err)) {
        vy_log(face->env->log, VY_LOG_ERROR, "meta.admin.failed", VY_CSTR("sys.address", address),
               VY_LOG_ERR(err));
    } else {
        vy_log(face->env->log, VY_LOG_INFO, "meta.admin.listening",
               VY_CSTR("sys.address", address));
    }
}

static struct vy_err open_tls(struct meta_admin_face *face)
{
    const struct vy_config *config = face->env->config;
    const struct vy_tls_config tls = {.certificate_file =
                                          vy_config_text(config, "node.certificate"),
                                      .key_file = vy_config_text(config, "node.key"),
                                      .ca_file = vy_config_text(config, "node.ca"),
                                      .alpn = "h2"};
    if (tls.certificate_file == NULL || tls.key_file == NULL || tls.ca_file == NULL) {
        return vy_ok();
    }
    return vy_tls_context_new_server(&tls, &face->tls);
}

static struct vy_err listen_unix(struct meta_admin_face *face)
{
    const char *path = vy_config_text(face->env->config, "admin.socket");
    char own[SOCKET_PATH_BYTES_MAX + 1];
    if (path == NULL) {
        (void)snprintf(own, sizeof(own), "%s/admin.sock",
                       vy_config_text(face->env->config, "data.dir"));
        path = own;
    }
    const struct vy_err err =
        strlen(path) >= SOCKET_PATH_BYTES_MAX
            ? vy_error(VY_CODE_ARGUMENT,
                       "path of the admin socket is longer than 107 bytes; set admin.socket")
            : grpc_server_listen_unix(face->server, path);
    log_listener(face, err, path);
    return err;
}

static struct vy_err listen_tcp(struct meta_admin_face *face)
{
    const uint64_t port = vy_config_u64(face->env->config, "ports.admin");
    const char *host = vy_config_text(face->env->config, "listen.host");
    char address[256];
    if (port == 0) {
        return vy_ok();
    }
    (void)snprintf(address, sizeof(address), "%s://%s port %u",
                   face->tls == NULL ? "http" : "https", host, (unsigned)port);
    const struct vy_err err = grpc_server_listen_tcp(face->server, host, (uint16_t)port);
    log_listener(face, err, address);
    return err;
}

static struct vy_err new_server(struct meta_admin_face *face)
{
    face->service = (struct grpc_service){
        .methods = admin_methods,
        .methods_count = admin_method_count,
        .file_descriptor = vy_bytes(admin_file_descriptor, admin_file_descriptor_bytes),
        .file_name = "admin.proto",
        .on_call = admin_on_call,
        .arg = face};
    const struct grpc_server_config config = {.loop = face->env->loop,
                                              .log = face->env->log,
                                              .tls = face->tls,
                                              .services = &face->service,
                                              .services_count = 1,
                                              .is_serving = face->is_serving,
                                              .is_serving_arg = face->is_serving_arg};
    return grpc_server_new(&config, &face->server);
}

struct vy_err meta_admin_face_open(struct meta_admin_face *face)
{
    face->loopback_operates = vy_config_bool(face->env->config, "admin.loopback_operator");
    struct vy_err err = open_tls(face);
    if (!vy_failed(err)) {
        err = new_server(face);
    }
    if (vy_failed(err)) {
        log_listener(face, err, "admin");
        return err;
    }
    VY_TRY(listen_unix(face));
    return listen_tcp(face);
}

void meta_admin_face_close(struct meta_admin_face *face)
{
    grpc_server_free(face->server);
    face->server = NULL;
    vy_tls_context_free(face->tls);
    face->tls = NULL;
}
