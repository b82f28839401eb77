/* SPDX-License-Identifier: Apache-2.0 */
#include "base/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NET_BACKLOG 1024 /* a burst of reconnecting clients */

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

/* The 16-byte form of an address; false for other families. */
static bool address_bytes(const struct sockaddr_storage *address, uint8_t out[16])
{
    if (address->ss_family == AF_INET) {
        memcpy(out, v4_mapped, sizeof(v4_mapped));
        memcpy(out + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
        return true;
    }
    if (address->ss_family == AF_INET6) {
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
        return true;
    }
    return false;
}

static bool parse_ip(const char *text, uint8_t out[16], bool *out_is_v4)
{
    *out_is_v4 = inet_pton(AF_INET, text, out + 12) == 1;
    if (*out_is_v4) {
        memcpy(out, v4_mapped, sizeof(v4_mapped));
        return true;
    }
    return inet_pton(AF_INET6, text, out) == 1;
}

/* Whether all bits from `from_bit` on are zero. */
static bool is_zero_from(const uint8_t address[16], unsigned from_bit)
{
    for (unsigned bit = from_bit; bit < 128; bit++) {
        if ((address[bit / 8] & (0x80U >> (bit % 8))) != 0) {
            return false;
        }
    }
    return true;
}

struct vy_err vy_net_parse(struct vy_bytes text, struct vy_net *out)
{
    struct vy_bytes rest = text;
    const struct vy_bytes ip = vy_bytes_cut(&rest, '/');
    char host[VY_NET_IP_TEXT_BYTES] = {0};
    struct vy_net network = {.prefix_bits = 128};
    bool is_v4 = false;
    if (ip.len == 0 || ip.len >= sizeof(host)) {
        return vy_error(VY_CODE_SYNTAX, "network address");
    }
    memcpy(host, ip.data, ip.len);
    if (!parse_ip(host, network.address, &is_v4)) {
        return vy_error(VY_CODE_SYNTAX, "network address");
    }
    if (ip.len < text.len) {
        uint32_t bits = 0;
        if (!vy_parse_u32(rest, &bits) || bits > (is_v4 ? 32U : 128U)) {
            return vy_error(VY_CODE_SYNTAX, "network prefix length");
        }
        network.prefix_bits = (uint8_t)(is_v4 ? bits + 96 : bits);
    }
    if (!is_zero_from(network.address, network.prefix_bits)) {
        return vy_error(VY_CODE_SYNTAX, "network has bits set behind its prefix");
    }
    *out = network;
    return vy_ok();
}

static bool has_prefix(const uint8_t bytes[16], const struct vy_net *network)
{
    const unsigned whole = network->prefix_bits / 8;
    const unsigned rest = network->prefix_bits % 8;
    if (memcmp(bytes, network->address, whole) != 0) {
        return false;
    }
    return rest == 0 || ((bytes[whole] ^ network->address[whole]) >> (8 - rest)) == 0;
}

bool vy_net_covers(const struct vy_net *outer, const struct vy_net *inner)
{
    return inner->prefix_bits >= outer->prefix_bits && has_prefix(inner->address, outer);
}

bool vy_net_contains(const struct vy_net *network, const struct sockaddr_storage *address)
{
    uint8_t bytes[16];
    return address_bytes(address, bytes) && has_prefix(bytes, network);
}

bool vy_net_list_contains(const struct vy_net *networks, size_t count,
                          const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < count; i++) {
        if (vy_net_contains(&networks[i], address)) {
            return true;
        }
    }
    return false;
}

void vy_net_ip_text(const struct sockaddr_storage *address, char *out, uint16_t *out_port)
{
    uint8_t bytes[16] = {0};
    out[0] = '\0';
    *out_port = 0;
    if (!address_bytes(address, bytes)) {
        return;
    }
    const bool is_v4 = memcmp(bytes, v4_mapped, sizeof(v4_mapped)) == 0;
    (void)inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? bytes + 12 : bytes, out,
                    VY_NET_IP_TEXT_BYTES);
    *out_port = ntohs(address->ss_family == AF_INET
                          ? ((const struct sockaddr_in *)(const void *)address)->sin_port
                          : ((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
}

static bool make_address(const char *host, uint16_t port, struct sockaddr_storage *out,
                         socklen_t *out_len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *out_len = sizeof(*v4);
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    *out_len = sizeof(*v6);
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

static struct vy_err listen_error(int fd, const char *what)
{
    const int sys = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    const enum vy_code code = sys == EADDRINUSE ? VY_CODE_EXISTS
                              : sys == EACCES   ? VY_CODE_DENIED
                                                : VY_CODE_IO;
    return vy_error_sys(code, sys, what);
}

static struct vy_err listen_on(const struct sockaddr *address, socklen_t len, int *out_fd)
{
    const int on = 1;
    const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return listen_error(fd, "socket");
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
        return listen_error(fd, "SO_REUSEADDR");
    }
    if (bind(fd, address, len) != 0) {
        return listen_error(fd, errno == EADDRINUSE ? "another process listens there" : "bind");
    }
    if (listen(fd, NET_BACKLOG) != 0) {
        return listen_error(fd, "listen");
    }
    *out_fd = fd;
    return vy_ok();
}

struct vy_err vy_net_listen(const char *host, uint16_t port, int *out_fd)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    if (!make_address(host, port, &address, &len)) {
        return vy_error(VY_CODE_ARGUMENT, "listen address is not an IP address");
    }
    return listen_on((const struct sockaddr *)&address, len, out_fd);
}

struct vy_err vy_net_listen_unix(const char *path, int *out_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        return vy_error(VY_CODE_LIMIT, "unix socket path is too long");
    }
    memcpy(address.sun_path, path, strlen(path));
    (void)unlink(path);
    const mode_t old = umask(0177);
    const struct vy_err err = listen_on((const struct sockaddr *)&address, sizeof(address), out_fd);
    (void)umask(old);
    return err;
}

bool vy_net_is_loopback(const struct sockaddr_storage *address)
{
    static const struct vy_net loopback[] = {
        {.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127, 0, 0, 0}, .prefix_bits = 104},
        {.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},         .prefix_bits = 128},
    };
    return vy_net_list_contains(loopback, 2, address);
}

int vy_net_accept(int listening_fd, struct sockaddr_storage *out_peer)
{
    const int on = 1;
    socklen_t len = sizeof(*out_peer);
    memset(out_peer, 0, sizeof(*out_peer));
    const int fd =
        accept4(listening_fd, (struct sockaddr *)out_peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && out_peer->ss_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    return fd;
}

void vy_net_close(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}
