/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the meta role share: the running role, and its face to operators. */
#include "meta/admin.h"
#include "meta/expel_call.h"
#include "meta/fence.h"
#include "meta/meta.h"
#include "meta/probe.h"
#include "meta/role.h"
#include "proto/grpc_server.h"
#include "proto/settings.h"

/* ---- operators: gRPC on a unix socket and on the admin port (role_admin.c) ---- */

struct meta_admin_face {
    const struct role_env *env; /* borrowed */
    struct meta *meta;          /* borrowed */
    struct vy_tls_context *tls; /* owned; NULL: no certificates, cleartext on loopback */
    bool loopback_operates;     /* admin.loopback_operator: `volary dev` alone sets it */
    struct grpc_server *server; /* owned */
    struct grpc_service service;
    bool (*is_serving)(void *arg); /* for health */
    void *is_serving_arg;
};
/* Listens where the configuration says. What went wrong was logged. */
VY_CHECKED struct vy_err meta_admin_face_open(struct meta_admin_face *face);
void meta_admin_face_close(struct meta_admin_face *face);
/* Whether the caller may administer, and as whom: the operator of the machine (unix socket), the
 * holder of a certificate of this cluster with the role admin, or, where the
 * configuration allows it and there are no certificates, whoever is on loopback. *out borrows from
 * peer. @errors AUTH nobody; DENIED somebody else */
VY_CHECKED struct vy_err meta_admin_face_identify(const struct meta_admin_face *face,
                                                  const struct grpc_peer *peer,
                                                  struct meta_actor *out);
