/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/smtp/address.h"

/* What stands between the quotes, without its backslashes. */
static struct vy_err unquote(struct vy_arena *arena, struct vy_bytes local, struct vy_bytes *out)
{
    uint8_t *text = vy_arena_alloc(arena, local.len + 1);
    size_t len = 0;
    if (text == NULL) {
        return vy_error(VY_CODE_LIMIT, "address");
    }
    const bool is_quoted = local.data[0] == '"';
    for (size_t at = is_quoted; at + (is_quoted ? 1 : 0) < local.len; at++) {
        if (is_quoted && local.data[at] == '\\') {
            at++;
        }
        text[len++] = local.data[at];
    }
    *out = vy_bytes(text, len);
    return vy_ok();
}

struct vy_err smtp_address_canonical(struct vy_arena *arena, const struct smtp_path *path,
                                     struct vy_bytes hostname, struct vy_bytes *out)
{
    struct vy_bytes local = {.data = NULL};
    const struct vy_bytes domain = path->domain.len == 0 ? hostname : path->domain;
    VY_TRY(unquote(arena, path->local, &local));
    if (domain.len > 0 && domain.data[0] == '[') {
        return vy_error(VY_CODE_ARGUMENT, "address literal");
    }
    uint8_t *text = vy_arena_alloc(arena, local.len + 1 + domain.len);
    if (text == NULL) {
        return vy_error(VY_CODE_LIMIT, "address");
    }
    memcpy(text, local.data, local.len);
    text[local.len] = '@';
    for (size_t i = 0; i < domain.len; i++) {
        text[local.len + 1 + i] = vy_ascii_lower(domain.data[i]);
    }
    *out = vy_bytes(text, local.len + 1 + domain.len);
    return vy_ok();
}
