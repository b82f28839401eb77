/* SPDX-License-Identifier: Apache-2.0 */
/* ENABLE (RFC 5161): unknown names are passed over; only what was switched on now is told. */
#include "frontend/imap/commands.h"

struct enable_args {
    uint32_t bits;
};

static struct vy_err enable_parse(struct imap_session *s, struct imap_parser *p)
{
    struct enable_args *const args = VY_ARENA_NEW(p->arena, struct enable_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    VY_TRY(imap_parse_space(p));
    do {
        struct vy_bytes name = {.data = NULL};
        VY_TRY(imap_parse_atom(p, &name));
        args->bits |= imap_find_enable(name);
    } while (imap_parse_try(p, ' '));
    return vy_ok();
}

static void enable_start(struct imap_session *s)
{
    const struct enable_args *const args = s->run.args;
    const uint32_t fresh = args->bits & ~s->enabled;
    vy_buf_append_cstr(&s->out, "* ENABLED");
    for (uint32_t bit = 1; bit != 0; bit <<= 1) {
        if ((fresh & bit) != 0) {
            vy_buf_append_byte(&s->out, ' ');
            vy_buf_append(&s->out, imap_enable_name(bit));
        }
    }
    vy_buf_append_cstr(&s->out, "\r\n");
    s->enabled |= args->bits;
    imap_end_ok(s, NULL, "Enabled");
}

/* clang-format off */
static const struct imap_command enable_rows[] = {
    /* name     legal in         traits  parse         start         resume */
    { "ENABLE", IMAP_IN_ACCOUNT, 0,      enable_parse, enable_start, NULL },
};
/* clang-format on */
const struct imap_extension imap_ext_enable = {
    .capability = "ENABLE", .capability_states = IMAP_IN_ANY, IMAP_COMMANDS(enable_rows)};
