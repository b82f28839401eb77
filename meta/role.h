/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The meta role as a program starts it (proto/role.h); its parts are in role_private.h. */
#include "proto/role.h"

extern const struct role_ops meta_role;
