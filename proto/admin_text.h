/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Words of the admin API's failures that its clients look at; all else is for people. */

/* How the message of a member that does not lead begins: another one has the answer. */
#define ADMIN_TEXT_NOT_LEADER "this member does not lead"
