/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Makes a database that was received from another member this member's own: its identity, term and
 * vote, the log begins behind what is applied, and what the sender had in its log beyond that is
 * gone with its payloads. Doing it twice does no harm. @blocks
 */
#include "replica/install.h"
#include "replica/store.h"

/* @errors CORRUPT, UNSUPPORTED, PRECONDITION (another cluster or group): of no use; IO, NOMEM */
VY_CHECKED struct vy_err adopt_store(struct store *store, const struct install_note *note);
