/* SPDX-License-Identifier: Apache-2.0 */
/* ID (RFC 2971): at most 30 pairs (I28); the client's name and version go to the log, escaped
 * there. */
#include "frontend/imap/commands.h"

#define ID_PAIRS_MAX 30U /* RFC 2971 section 3.3 */
#define ID_FIELD_BYTES_MAX 30U
#define ID_VALUE_BYTES_MAX 1024U

struct id_args {
    struct vy_bytes name;
    struct vy_bytes version;
};

static struct vy_err parse_pair(struct imap_parser *p, struct id_args *args)
{
    struct vy_bytes field = {.data = NULL};
    struct vy_bytes value = {.data = NULL};
    VY_TRY(imap_parse_string(p, &field));
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_nstring(p, &value));
    if (field.len > ID_FIELD_BYTES_MAX || value.len > ID_VALUE_BYTES_MAX) {
        return vy_error(VY_CODE_SYNTAX, "ID value is too long");
    }
    if (vy_bytes_equal_nocase(field, VY_LIT("name"))) {
        args->name = value;
    } else if (vy_bytes_equal_nocase(field, VY_LIT("version"))) {
        args->version = value;
    }
    return vy_ok();
}

static struct vy_err id_parse(struct imap_session *s, struct imap_parser *p)
{
    struct id_args *const args = VY_ARENA_NEW(p->arena, struct id_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    VY_TRY(imap_parse_space(p));
    if (imap_parse_try_word(p, "NIL")) {
        return vy_ok();
    }
    VY_TRY(imap_parse_byte(p, '(', "a list is missing"));
    for (uint32_t pairs = 0; !imap_parse_try(p, ')'); pairs++) {
        if (pairs == ID_PAIRS_MAX) {
            return vy_error(VY_CODE_SYNTAX, "too many ID pairs");
        }
        VY_TRY(parse_pair(p, args));
        (void)imap_parse_try(p, ' ');
    }
    return vy_ok();
}

static void id_start(struct imap_session *s)
{
    const struct id_args *const args = s->run.args;
    if (args->name.len > 0) {
        const struct vy_log_field fields[] = {VY_STR("client.name", args->name),
                                              VY_STR("client.version", args->version)};
        imap_log(s, VY_LOG_INFO, "imap.client.id", fields, 2);
    }
    vy_buf_append_cstr(&s->out, "* ID (\"name\" \"Volary\")\r\n");
    imap_end_ok(s, NULL, "ID completed");
}

/* clang-format off */
static const struct imap_command id_rows[] = {
    /* name legal in     traits  parse     start     resume */
    { "ID", IMAP_IN_ANY, 0,      id_parse, id_start, NULL },
};
/* clang-format on */
const struct imap_extension imap_ext_id = {
    .capability = "ID", .capability_states = IMAP_IN_ANY, IMAP_COMMANDS(id_rows)};
