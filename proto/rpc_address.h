/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Addresses of the link: "tcp://host:port", "ipc:///absolute/path", "inproc:name". Pure.
 */
#include "base/bytes.h"
#include "base/err.h"

#define RPC_ADDRESS_BYTES_MAX 256U

enum rpc_address_kind { RPC_ADDRESS_TCP, RPC_ADDRESS_IPC, RPC_ADDRESS_INPROC };
struct rpc_address {
    enum rpc_address_kind kind;
    char name[RPC_ADDRESS_BYTES_MAX]; /* host without brackets, path, or inproc name */
    uint16_t port;                    /* tcp */
};
/* @errors ARGUMENT. Port 0 is left to the caller to judge. */
VY_CHECKED struct vy_err rpc_address_parse(const char *text, struct rpc_address *out);
/* The host is a literal address of this machine's loopback (127.0.0.0/8, ::1); names are not,
 * whatever they mean. */
bool rpc_address_is_loopback(const struct rpc_address *address);
/* The host is a literal IPv4 or IPv6 address. */
bool rpc_address_is_literal(const struct rpc_address *address);
