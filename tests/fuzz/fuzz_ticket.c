/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets (P12): what parses is bounded and names the member itself. */
#include "replica/ticket.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ticket(const struct ticket *ticket)
{
    size_t self_count = 0;
    VY_ASSERT(ticket->peer_count >= 1 && ticket->peer_count <= REPLICA_MEMBERS_MAX);
    VY_ASSERT(ticket->group_id != 0 && ticket->member_id != 0);
    for (size_t i = 0; i < ticket->peer_count; i++) {
        const size_t len = strlen(ticket->peers[i].address);
        VY_ASSERT(len >= 1 && len <= REPLICA_ADDRESS_BYTES_MAX);
        VY_ASSERT(ticket->peers[i].id != 0);
        self_count += ticket->peers[i].id == ticket->member_id ? 1 : 0;
    }
    VY_ASSERT(self_count == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vy_arena arena;
    struct ticket ticket;
    vy_arena_init(&arena, 16U * 1024);
    if (!vy_failed(ticket_parse(&arena, vy_bytes(data, size), &ticket))) {
        check_ticket(&ticket);
    }
    vy_arena_deinit(&arena);
    return 0;
}
