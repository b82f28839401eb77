/* SPDX-License-Identifier: Apache-2.0 */
/* SCRAM messages of clients (A7): first byte chooses which one. What parses must stay in bounds. */
#include "meta/scram.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct vy_bytes part, struct vy_bytes whole)
{
    VY_ASSERT(part.len <= whole.len);
    VY_ASSERT(part.len == 0 || vy_bytes_find(whole, part, 0) != SIZE_MAX);
}

static void fuzz_first(struct vy_arena *arena, struct vy_bytes text)
{
    struct scram_client_first first;
    if (vy_failed(scram_parse_client_first(arena, text, &first))) {
        return;
    }
    check_inside(first.bare, text);
    check_inside(first.gs2_header, text);
    VY_ASSERT(first.bare.len + first.gs2_header.len == text.len);
    VY_ASSERT(first.name.len > 0 && first.nonce.len > 0);
    VY_ASSERT(first.nonce.len <= SCRAM_NONCE_BYTES_MAX);
}

static void fuzz_final(struct vy_arena *arena, struct vy_bytes text)
{
    struct scram_client_final final;
    struct vy_bytes message;
    if (vy_failed(scram_parse_client_final(arena, text, &final))) {
        return;
    }
    check_inside(final.without_proof, text);
    check_inside(final.nonce, text);
    if (!vy_failed(scram_auth_message(arena, VY_LIT("n=u,r=a"), VY_LIT("r=ab,s=AA==,i=4096"),
                                      final.without_proof, &message))) {
        static const uint8_t key[SCRAM_KEY_BYTES] = {1};
        VY_ASSERT(!scram_check_proof(vy_bytes(key, sizeof(key)), message, final.proof));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vy_arena arena;
    if (size == 0) {
        return 0;
    }
    vy_arena_init(&arena, 64U * 1024);
    const struct vy_bytes text = vy_bytes(data + 1, size - 1);
    if ((data[0] & 1) == 0) {
        fuzz_first(&arena, text);
    } else {
        fuzz_final(&arena, text);
    }
    vy_arena_deinit(&arena);
    return 0;
}
