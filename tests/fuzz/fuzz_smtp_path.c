/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an SMTP path: what is accepted can be written and is read to the same again (S7, S8,
 * S28). */
#include "base/assert.h"
#include "base/codec.h"
#include "mail/smtp_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(struct vy_arena *arena, const struct mail_path *path)
{
    struct vy_buf text;
    struct mail_path again;
    vy_buf_init(&text, 2048);
    vy_buf_append_byte(&text, '<');
    mail_path_append(&text, path);
    vy_buf_append_byte(&text, '>');
    const struct vy_err err = mail_path_parse(arena, vy_buf_bytes(&text), &again);
    /* Quoting and NFC can make it longer than a path may be. */
    if (err.code != VY_CODE_LIMIT) {
        VY_ASSERT(!vy_failed(err));
        VY_ASSERT(vy_bytes_equal(again.local, path->local) &&
                  vy_bytes_equal(again.domain, path->domain));
    }
    vy_buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct vy_bytes text = vy_bytes(data, size);
    struct vy_arena arena;
    struct mail_path path;
    struct vy_bytes domain;
    vy_arena_init(&arena, 1024U * 1024U);
    if (!vy_failed(mail_path_parse(&arena, text, &path))) {
        VY_ASSERT(vy_utf8_is_valid(path.local) && vy_utf8_is_valid(path.domain));
        VY_ASSERT(path.is_null == (path.local.len == 0));
        check_again(&arena, &path);
    }
    if (!vy_failed(mail_domain_canonical(&arena, text, &domain))) {
        struct vy_bytes again;
        VY_ASSERT(domain.len > 0 && domain.len <= MAIL_DOMAIN_BYTES_MAX + 2);
        VY_ASSERT(!vy_failed(mail_domain_canonical(&arena, domain, &again)));
        VY_ASSERT(vy_bytes_equal(domain, again));
    }
    vy_ignore(mail_local_canonical(&arena, text, &domain), "only to be survived");
    vy_ignore(mail_domain_unicode(&arena, text, &domain), "only to be survived");
    vy_arena_deinit(&arena);
    return 0;
}
