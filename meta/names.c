/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/names.h"

#include "mail/smtp_path.h"
#include "meta/tables.h"

static struct vy_err as_argument(struct vy_err err, const char *what)
{
    return err.code == VY_CODE_SYNTAX || err.code == VY_CODE_LIMIT
               ? vy_error(VY_CODE_ARGUMENT, what)
               : err;
}

struct vy_err names_canonical_domain(struct vy_arena *arena, struct vy_bytes typed,
                                     struct vy_bytes *out)
{
    struct vy_bytes domain = {.len = 0};
    VY_TRY(as_argument(mail_domain_canonical(arena, typed, &domain), "not a domain name"));
    if (domain.len == 0 || domain.len > META_ADDRESS_BYTES_MAX - 2 || domain.data[0] == '[') {
        return vy_error(VY_CODE_ARGUMENT, "not a domain name");
    }
    *out = domain;
    return vy_ok();
}

static struct vy_err join(struct vy_arena *arena, struct vy_bytes local, struct vy_bytes domain,
                          struct vy_bytes *out)
{
    const size_t len = local.len + 1 + domain.len;
    if (local.len == 0 || domain.len == 0 || len > META_ADDRESS_BYTES_MAX ||
        vy_bytes_find_byte(local, 0, 0) != SIZE_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "not an address");
    }
    uint8_t *joined = vy_arena_alloc(arena, len);
    if (joined == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for an address");
    }
    memcpy(joined, local.data, local.len);
    joined[local.len] = '@';
    memcpy(joined + local.len + 1, domain.data, domain.len);
    *out = vy_bytes(joined, len);
    return vy_ok();
}

struct vy_err names_canonical_address(struct vy_arena *arena, struct vy_bytes typed,
                                      struct vy_bytes *out)
{
    struct mail_path path;
    struct vy_bytes local = {.len = 0};
    struct vy_bytes domain = {.len = 0};
    VY_TRY(as_argument(mail_address_parse(arena, typed, &path), "not an address"));
    VY_TRY(as_argument(mail_local_canonical(arena, path.local, &local), "not an address"));
    VY_TRY(names_canonical_domain(arena, path.domain, &domain));
    return join(arena, local, domain, out);
}

struct vy_err names_canonical_new_address(struct vy_arena *arena, struct vy_bytes typed,
                                          struct vy_bytes *out)
{
    struct vy_bytes address = {.len = 0};
    VY_TRY(names_canonical_address(arena, typed, &address));
    if (vy_bytes_find_byte(address, '+', 0) != SIZE_MAX) {
        return vy_error(VY_CODE_ARGUMENT,
                        "an account or alias has no '+' in its name: what follows it is a detail");
    }
    *out = address;
    return vy_ok();
}
