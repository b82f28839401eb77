/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/smtp/address.h"

#include "mail/smtp_path.h"

#define ADDRESS_TEXT_BYTES_MAX 1024U /* folding may make a local part longer */

/* The parts as mail/smtp_path.h reads them: stricter than what a path may be. */
static struct vy_err parse(struct vy_arena *arena, const struct smtp_path *path,
                           struct vy_bytes hostname, struct mail_path *out)
{
    if (path->domain.len > 0) {
        return mail_address_parse(arena, path->text, out);
    }
    *out = (struct mail_path){.local = path->local, .domain = hostname};
    return vy_ok();
}

static struct vy_err join(struct vy_arena *arena, const struct mail_path *parts,
                          struct vy_bytes *out)
{
    struct vy_buf text;
    vy_buf_init(&text, ADDRESS_TEXT_BYTES_MAX);
    mail_path_append(&text, parts);
    struct vy_err err = vy_buf_error(&text);
    if (!vy_failed(err)) {
        err = vy_arena_dup(arena, vy_buf_bytes(&text), out);
    }
    vy_buf_deinit(&text);
    return err;
}

struct vy_err smtp_address_canonical(struct vy_arena *arena, const struct smtp_path *path,
                                     struct vy_bytes hostname, struct vy_bytes *out)
{
    struct mail_path parts;
    struct vy_bytes local = {.data = NULL};
    struct vy_bytes domain = {.data = NULL};
    const struct vy_err err = parse(arena, path, hostname, &parts);
    const bool is_too_long =
        path->local.len > MAIL_LOCAL_BYTES_MAX || path->text.len > MAIL_ADDRESS_BYTES_MAX;
    if (err.code == VY_CODE_NOMEM || (err.code == VY_CODE_LIMIT && !is_too_long)) {
        return err; /* of memory: no word about the address */
    }
    if (vy_failed(err) || parts.is_literal) {
        return vy_error(VY_CODE_ARGUMENT, "not an address of a mailbox");
    }
    VY_TRY(mail_local_canonical(arena, parts.local, &local));
    VY_TRY(mail_domain_canonical(arena, parts.domain, &domain));
    return join(arena, &(struct mail_path){.local = local, .domain = domain}, out);
}
