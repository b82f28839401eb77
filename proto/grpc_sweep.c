/* SPDX-License-Identifier: Apache-2.0 */
/* What a client may let wait, and for how long: deadlines of calls, streams that nobody reads or
 * sends, connections that greet late or have no calls (H2). */
#include "base/assert.h"
#include "proto/grpc_private.h"

#define TIMEOUT_DIGITS_MAX 8U
#define STATUS_DEADLINE_EXCEEDED 4

uint64_t grpc_parse_timeout(struct vy_bytes value)
{
    static const struct {
        uint8_t unit;
        uint64_t ms;  /* this many milliseconds */
        uint64_t per; /* are this many of the unit */
    } units[] = {
        {'H', 3600000, 1      },
        {'M', 60000,   1      },
        {'S', 1000,    1      },
        {'m', 1,       1      },
        {'u', 1,       1000   },
        {'n', 1,       1000000},
    };
    uint32_t count = 0;
    if (value.len < 2 || value.len > TIMEOUT_DIGITS_MAX + 1 ||
        !vy_parse_u32(vy_bytes_slice(value, 0, value.len - 1), &count)) {
        return UINT64_MAX;
    }
    for (size_t i = 0; i < VY_COUNT_OF(units); i++) {
        if (units[i].unit == value.data[value.len - 1]) {
            return (count * units[i].ms + units[i].per - 1) / units[i].per;
        }
    }
    return UINT64_MAX;
}

/* A handler's work is bounded by itself, a watch has no end: of others bytes must move. */
static bool is_stalled(const struct grpc_call *call, uint64_t now)
{
    const bool is_at_work = call->is_started && !call->is_handler_done;
    const bool is_quiet_watch = call->is_watch && vy_buf_len(&call->out) == 0;
    return !is_at_work && !is_quiet_watch &&
           now - call->active_ms >= call->conn->server->config.stream_idle_timeout_ms;
}

static void sweep_call(struct grpc_call *call, uint64_t now)
{
    if (is_stalled(call, now)) {
        (void)nghttp2_submit_rst_stream(call->conn->http, NGHTTP2_FLAG_NONE, call->stream_id,
                                        NGHTTP2_CANCEL);
    } else if (call->deadline_ms <= now) {
        grpc_call_end(call, STATUS_DEADLINE_EXCEEDED, "the deadline is over");
    }
}

bool grpc_sweep_conn(struct grpc_conn *conn)
{
    const struct grpc_server_config *config = &conn->server->config;
    const uint64_t now = vy_loop_now_ms(config->loop);
    if (!conn->is_greeted) {
        return now - conn->opened_ms < config->greeting_timeout_ms;
    }
    VY_LIST_FOREACH(item, &conn->calls)
    {
        sweep_call(VY_CONTAINER_OF(item, struct grpc_call, link), now);
    }
    if (vy_list_is_empty(&conn->calls) && now - conn->active_ms >= config->idle_timeout_ms) {
        (void)nghttp2_session_terminate_session(conn->http, NGHTTP2_NO_ERROR);
    }
    return true;
}
