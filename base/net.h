/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * IP addresses and networks: text forms, "10.0.0.0/8" and "2001:db8::/32" lists, listening sockets.
 * IPv4-mapped IPv6 addresses count as IPv4.
 */
#include "base/bytes.h"
#include "base/err.h"
#include <sys/socket.h>

#define VY_NET_IP_TEXT_BYTES 46U /* INET6_ADDRSTRLEN */

struct vy_net {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t prefix_bits; /* of the 128 */
};

/* @errors SYNTAX; bits beyond the prefix must be zero (a typing error otherwise) */
VY_CHECKED struct vy_err vy_net_parse(struct vy_bytes text, struct vy_net *out);
/* Whether the whole of `inner` lies in `outer`. */
bool vy_net_covers(const struct vy_net *outer, const struct vy_net *inner);
bool vy_net_contains(const struct vy_net *network, const struct sockaddr_storage *address);
bool vy_net_list_contains(const struct vy_net *networks, size_t count,
                          const struct sockaddr_storage *address);
/* out: VY_NET_IP_TEXT_BYTES */
void vy_net_ip_text(const struct sockaddr_storage *address, char *out, uint16_t *out_port);
bool vy_net_is_loopback(const struct sockaddr_storage *address);
/* A non-blocking listening socket. host: an IP address. @errors ARGUMENT not an address; EXISTS in
 * use; DENIED; IO */
VY_CHECKED struct vy_err vy_net_listen(const char *host, uint16_t port, int *out_fd);
/* A unix socket that only its owner may use (0600); an old socket file is replaced. */
VY_CHECKED struct vy_err vy_net_listen_unix(const char *path, int *out_fd);
/* The next client, non-blocking, or -1 with errno. TCP_NODELAY is set on TCP. */
int vy_net_accept(int listening_fd, struct sockaddr_storage *out_peer);
void vy_net_close(int fd); /* -1 is allowed */
