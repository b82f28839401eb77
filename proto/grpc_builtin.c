/* SPDX-License-Identifier: Apache-2.0 */
/* The services that every server has: grpc.health.v1.Health and server reflection (v1 and v1alpha).
 */
#include "base/assert.h"
#include "proto/grpc_private.h"
#include "proto/reflection.pb.h"

#define BUILTIN_REQUEST_ARENA_BYTES 65536U
#define BUILTIN_SERVICES_MAX 64U

static struct vy_bytes path_of(const struct grpc_call *call)
{
    return vy_cstr(call->path);
}

static bool is_path(const struct grpc_call *call, const char *path)
{
    return vy_bytes_equal(path_of(call), vy_cstr(path));
}

static void append_encoded(struct grpc_call *call, const struct vy_pb_desc *desc,
                           const void *message)
{
    struct vy_buf encoded;
    vy_buf_init(&encoded, GRPC_MESSAGE_BYTES_MAX);
    if (vy_failed(vy_pb_encode(desc, message, &encoded))) {
        grpc_call_end(call, vy_code_grpc_status(VY_CODE_LIMIT), "the reply is too large");
    } else {
        grpc_call_append(call, vy_buf_bytes(&encoded));
    }
    vy_buf_deinit(&encoded);
}

/* ---- health ---- */

static bool is_served(const struct grpc_server *server, struct vy_bytes name)
{
    if (name.len == 0) {
        return true;
    }
    for (size_t s = 0; s < server->config.services_count; s++) {
        const struct grpc_service *service = &server->config.services[s];
        for (size_t m = 0; m < service->methods_count; m++) {
            if (vy_bytes_equal(name, vy_cstr(service->methods[m].service))) {
                return true;
            }
        }
    }
    return false;
}

static void tell_health(struct grpc_call *call, bool is_serving)
{
    const struct health_check_reply reply = {.status = is_serving ? SERVING_STATUS_SERVING
                                                                  : SERVING_STATUS_NOT_SERVING};
    call->was_serving = is_serving;
    append_encoded(call, &health_check_reply_desc, &reply);
}

static void handle_health(struct grpc_call *call, struct vy_bytes request)
{
    struct vy_arena arena;
    struct health_check_request check;
    vy_arena_init(&arena, BUILTIN_REQUEST_ARENA_BYTES);
    if (vy_failed(vy_pb_decode(&health_check_request_desc, &arena, request, &check))) {
        grpc_call_end(call, vy_code_grpc_status(VY_CODE_SYNTAX), "not a HealthCheckRequest");
    } else if (!is_served(call->conn->server, check.service)) {
        grpc_call_end(call, vy_code_grpc_status(VY_CODE_NOT_FOUND), "no such service here");
    } else {
        call->is_watch = is_path(call, "/grpc.health.v1.Health/Watch");
        const struct grpc_server_config *config = &call->conn->server->config;
        tell_health(call, config->is_serving(config->is_serving_arg));
        if (!call->is_watch) {
            grpc_call_end(call, 0, "");
        }
    }
    vy_arena_deinit(&arena);
}

void grpc_builtin_tell_health(struct grpc_server *server)
{
    const bool is_serving = server->config.is_serving(server->config.is_serving_arg);
    VY_LIST_FOREACH(c, &server->conns)
    {
        struct grpc_conn *conn = VY_CONTAINER_OF(c, struct grpc_conn, link);
        VY_LIST_FOREACH(k, &conn->calls)
        {
            struct grpc_call *call = VY_CONTAINER_OF(k, struct grpc_call, link);
            if (call->is_watch && !call->is_ended && call->was_serving != is_serving) {
                tell_health(call, is_serving);
            }
        }
    }
}

/* ---- reflection ---- */

static size_t list_services(const struct grpc_server *server, struct service_response *out)
{
    static const char *const ours[] = {"grpc.health.v1.Health",
                                       "grpc.reflection.v1.ServerReflection"};
    size_t count = 0;
    for (size_t i = 0; i < VY_COUNT_OF(ours); i++) {
        out[count++].name = vy_cstr(ours[i]);
    }
    for (size_t s = 0; s < server->config.services_count; s++) {
        const struct grpc_service *service = &server->config.services[s];
        for (size_t m = 0; m < service->methods_count && count < BUILTIN_SERVICES_MAX; m++) {
            const struct vy_bytes name = vy_cstr(service->methods[m].service);
            if (!vy_bytes_equal(out[count - 1].name, name)) {
                out[count++].name = name;
            }
        }
    }
    return count;
}

/* The file that holds a symbol: its service, one of its methods or a message of its package. */
static const struct grpc_service *find_symbol(const struct grpc_server *server,
                                              struct vy_bytes symbol)
{
    for (size_t s = 0; s < server->config.services_count; s++) {
        const struct grpc_service *service = &server->config.services[s];
        const struct vy_bytes name =
            vy_cstr(service->methods_count == 0 ? "" : service->methods[0].service);
        size_t package = name.len;
        while (package > 0 && name.data[package - 1] != '.') {
            package--;
        }
        if (package > 0 && vy_bytes_starts_with(symbol, vy_bytes_slice(name, 0, package))) {
            return service;
        }
    }
    return NULL;
}

static const struct grpc_service *find_file(const struct grpc_server *server, struct vy_bytes name)
{
    for (size_t s = 0; s < server->config.services_count; s++) {
        if (vy_bytes_equal(name, vy_cstr(server->config.services[s].file_name))) {
            return &server->config.services[s];
        }
    }
    return NULL;
}

static void answer_reflection(struct grpc_call *call, const struct reflection_request *request)
{
    const struct grpc_server *server = call->conn->server;
    struct service_response services[BUILTIN_SERVICES_MAX] = {0};
    const struct list_service_response list = {.service = services,
                                               .service_count = list_services(server, services)};
    const struct error_response missing = {.error_code = vy_code_grpc_status(VY_CODE_NOT_FOUND),
                                           .error_message = VY_LIT("no such file or symbol here")};
    struct reflection_reply reply = {.valid_host = request->host, .original_request = request};
    struct file_descriptor_response file = {.file_descriptor_proto_count = 1};

    if (request->file_by_filename.len == 0 && request->file_containing_symbol.len == 0) {
        reply.list_services_response = &list;
    } else {
        const struct grpc_service *service =
            request->file_by_filename.len > 0
                ? find_file(server, request->file_by_filename)
                : find_symbol(server, request->file_containing_symbol);
        if (service == NULL || service->file_descriptor.len == 0) {
            reply.error_response = &missing;
        } else {
            file.file_descriptor_proto = &service->file_descriptor;
            reply.file_descriptor_response = &file;
        }
    }
    append_encoded(call, &reflection_reply_desc, &reply);
}

static void handle_reflection(struct grpc_call *call, struct vy_bytes request)
{
    struct vy_arena arena;
    struct reflection_request decoded;
    vy_arena_init(&arena, BUILTIN_REQUEST_ARENA_BYTES);
    if (vy_failed(vy_pb_decode(&reflection_request_desc, &arena, request, &decoded))) {
        grpc_call_end(call, vy_code_grpc_status(VY_CODE_SYNTAX), "not a ServerReflectionRequest");
    } else {
        answer_reflection(call, &decoded);
    }
    vy_arena_deinit(&arena);
}

bool grpc_builtin_handle(struct grpc_call *call)
{
    const bool is_health = is_path(call, "/grpc.health.v1.Health/Check") ||
                           is_path(call, "/grpc.health.v1.Health/Watch");
    const bool is_reflection =
        is_path(call, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo") ||
        is_path(call, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
    if (!is_health && !is_reflection) {
        return false;
    }
    struct vy_bytes request;
    size_t used = 0;
    while (!call->is_ended && grpc_call_take_message(call, &request, &used)) {
        if (is_health) {
            handle_health(call, request);
        } else {
            handle_reflection(call, request);
        }
        vy_buf_consume(&call->in, used);
    }
    if (call->input_is_over && !call->is_watch) {
        grpc_call_end(call, 0, "");
    }
    return true;
}
