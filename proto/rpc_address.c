/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct vy_err copy_name(struct vy_bytes name, struct rpc_address *out)
{
    if (name.len == 0 || name.len >= sizeof(out->name) ||
        vy_bytes_find_byte(name, 0, 0) != SIZE_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "link address name");
    }
    memcpy(out->name, name.data, name.len);
    out->name[name.len] = '\0';
    return vy_ok();
}

static struct vy_err parse_port(struct vy_bytes text, uint16_t *out)
{
    uint32_t port = 0;
    if (!vy_parse_u32(text, &port) || port > UINT16_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "link address port");
    }
    *out = (uint16_t)port;
    return vy_ok();
}

/* "host:port" or "[v6]:port" */
static struct vy_err parse_tcp(struct vy_bytes text, struct rpc_address *out)
{
    if (vy_bytes_starts_with(text, VY_LIT("["))) {
        const size_t close = vy_bytes_find(text, VY_LIT("]:"), 0);
        if (close == SIZE_MAX) {
            return vy_error(VY_CODE_ARGUMENT, "link address brackets");
        }
        VY_TRY(parse_port(vy_bytes_from(text, close + 2), &out->port));
        return copy_name(vy_bytes_slice(text, 1, close - 1), out);
    }
    const size_t colon = vy_bytes_find_byte(text, ':', 0);
    if (colon == SIZE_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "link address port");
    }
    VY_TRY(parse_port(vy_bytes_from(text, colon + 1), &out->port));
    return copy_name(vy_bytes_slice(text, 0, colon), out);
}

struct vy_err rpc_address_parse(const char *text, struct rpc_address *out)
{
    struct rpc_address address = {.kind = RPC_ADDRESS_TCP};
    const struct vy_bytes all = vy_cstr(text);
    if (vy_bytes_starts_with(all, VY_LIT("tcp://"))) {
        VY_TRY(parse_tcp(vy_bytes_from(all, 6), &address));
    } else if (vy_bytes_starts_with(all, VY_LIT("ipc:///"))) {
        address.kind = RPC_ADDRESS_IPC;
        VY_TRY(copy_name(vy_bytes_from(all, 6), &address));
    } else if (vy_bytes_starts_with(all, VY_LIT("inproc:"))) {
        address.kind = RPC_ADDRESS_INPROC;
        VY_TRY(copy_name(vy_bytes_from(all, 7), &address));
    } else {
        return vy_error(VY_CODE_ARGUMENT, "link address scheme");
    }
    *out = address;
    return vy_ok();
}

bool rpc_address_is_literal(const struct rpc_address *address)
{
    struct in6_addr v6;
    struct in_addr v4;
    return inet_pton(AF_INET, address->name, &v4) == 1 ||
           inet_pton(AF_INET6, address->name, &v6) == 1;
}

bool rpc_address_is_loopback(const struct rpc_address *address)
{
    struct in6_addr v6;
    struct in_addr v4;
    if (inet_pton(AF_INET, address->name, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    return inet_pton(AF_INET6, address->name, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}
