/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The frontend as a role of a program (proto/role.h): reads its settings, runs the loops, registers
 * at meta, says how it does, drains.
 */
#include "proto/role.h"

extern const struct role_ops frontend_role;
