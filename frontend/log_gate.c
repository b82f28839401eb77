/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/log_gate.h"

static void refill(struct log_gate *gate, uint64_t now_ms)
{
    const uint64_t full = LOG_GATE_BURST * 1000U;
    const uint64_t elapsed_ms = now_ms > gate->at_ms ? now_ms - gate->at_ms : 0;
    const uint64_t more = VY_MIN(elapsed_ms, full) * LOG_GATE_PER_S;
    gate->tokens_milli = gate->is_begun ? VY_MIN(full, gate->tokens_milli + more) : full;
    gate->at_ms = VY_MAX(now_ms, gate->at_ms);
    gate->is_begun = true;
}

bool log_gate_pass(struct log_gate *gate, uint64_t now_ms)
{
    refill(gate, now_ms);
    if (gate->tokens_milli < 1000) {
        gate->left_out++;
        return false;
    }
    gate->tokens_milli -= 1000;
    return true;
}

uint64_t log_gate_take_left_out(struct log_gate *gate, uint64_t now_ms)
{
    const uint64_t count = gate->left_out;
    refill(gate, now_ms);
    if (gate->tokens_milli < 1000) {
        return 0;
    }
    gate->left_out = 0;
    return count;
}
