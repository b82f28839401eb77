/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Lines of the log that strangers can cause at will (refused sign-ins): some a second, then they
 * are counted (AUTH-2). Belongs to one loop.
 */
#include "base/bytes.h"

#define LOG_GATE_BURST 50U /* lines at once */
#define LOG_GATE_PER_S 10U /* lines a second behind them */

struct log_gate {
    uint64_t tokens_milli;
    uint64_t at_ms;
    uint64_t left_out; /* since it was last said */
    bool is_begun;
};
/* May this line be written? */
bool log_gate_pass(struct log_gate *gate, uint64_t now_ms);
/* How many were left out; to be said now. 0: none, or the flood goes on. */
uint64_t log_gate_take_left_out(struct log_gate *gate, uint64_t now_ms);
