/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The shard role as a program starts it (proto/role.h): one member of one replica group. */
#include "proto/role.h"

extern const struct role_ops shard_role;
