/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * IP addresses and networks: text forms, "10.0.0.0/8" and "2001:db8::/32" lists, listening sockets.
 * IPv4-mapped IPv6 addresses count as IPv4.
 */
#include "base/bytes.h"
#include "base/err.h"
#include <sys/socket.h>

#define NETWORK_IP_TEXT_BYTES 46U /* INET6_ADDRSTRLEN */

struct network {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t prefix_bits; /* of the 128 */
};

/* @errors SYNTAX; bits beyond the prefix must be zero (a typing error otherwise) */
VY_CHECKED struct vy_err network_parse(struct vy_bytes text, struct network *out);
bool network_contains(const struct network *network, const struct sockaddr_storage *address);
bool network_list_contains(const struct network *networks, size_t count,
                           const struct sockaddr_storage *address);
/* out: NETWORK_IP_TEXT_BYTES */
void network_ip_text(const struct sockaddr_storage *address, char *out, uint16_t *out_port);
/* A non-blocking listening socket. host: an IP address. @errors ARGUMENT not an address; EXISTS in
 * use; DENIED; IO */
VY_CHECKED struct vy_err network_listen(const char *host, uint16_t port, int *out_fd);
