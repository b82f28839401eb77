/* SPDX-License-Identifier: Apache-2.0 */
/*
 * THE table: every family of commands and every capability. Dispatch, state check and CAPABILITY
 * read it; adding an extension is a file and a line here.
 */
#include "frontend/imap/commands.h"
#include "frontend/auth/sasl.h"

#define NAME_BYTES_MAX 24U

/* Capabilities whose code lives in a command's own file. */
static const struct imap_extension cap_rev1 = {.capability = "IMAP4rev1",
                                               .capability_states = IMAP_IN_ANY};
/* RFC 7888; literals are bounded as they are read, so "+" costs nothing. */
static const struct imap_extension cap_literal_plus = {.capability = "LITERAL+",
                                                       .capability_states = IMAP_IN_ANY};
/* RFC 4959, cmd_auth.c */
static const struct imap_extension cap_sasl_ir = {.capability = "SASL-IR",
                                                  .capability_states = IMAP_IN(UNAUTHENTICATED)};
/* RFC 3348, cmd_list.c */
static const struct imap_extension cap_children = {.capability = "CHILDREN",
                                                   .capability_states = IMAP_IN_ACCOUNT};
/* RFC 6154, cmd_list.c and cmd_mailbox.c */
static const struct imap_extension cap_special_use = {.capability = "SPECIAL-USE",
                                                      .capability_states = IMAP_IN_ACCOUNT};
static const struct imap_extension cap_create_special_use = {.capability = "CREATE-SPECIAL-USE",
                                                             .capability_states = IMAP_IN_ACCOUNT};
/* RFC 5258 and 5819, cmd_list.c */
static const struct imap_extension cap_list_extended = {.capability = "LIST-EXTENDED",
                                                        .capability_states = IMAP_IN_ACCOUNT};
static const struct imap_extension cap_list_status = {.capability = "LIST-STATUS",
                                                      .capability_states = IMAP_IN_ACCOUNT};
/* RFC 8438, cmd_status.c */
static const struct imap_extension cap_status_size = {.capability = "STATUS=SIZE",
                                                      .capability_states = IMAP_IN_ACCOUNT};
/* RFC 4731, cmd_search.c */
static const struct imap_extension cap_esearch = {.capability = "ESEARCH",
                                                  .capability_states = IMAP_IN_ACCOUNT};
/* RFC 5032, search_keys.c */
static const struct imap_extension cap_within = {.capability = "WITHIN",
                                                 .capability_states = IMAP_IN_ACCOUNT};
/* RFC 7162 section 3.1, in FETCH, STORE, SEARCH, SELECT and STATUS */
static const struct imap_extension cap_condstore = {.capability = "CONDSTORE",
                                                    .capability_states = IMAP_IN_ACCOUNT,
                                                    .enable_name = "CONDSTORE",
                                                    .enable_bit = IMAP_ENABLED_CONDSTORE};
/* RFC 8474, in SELECT, STATUS, CREATE, FETCH and SEARCH */
static const struct imap_extension cap_objectid = {.capability = "OBJECTID",
                                                   .capability_states = IMAP_IN_ACCOUNT};
/* RFC 8514, in FETCH and SEARCH, is announced when SEARCH has its keys. RFC 8970, in FETCH: */
static const struct imap_extension cap_preview = {.capability = "PREVIEW",
                                                  .capability_states = IMAP_IN_ACCOUNT};

static const struct imap_extension *const extensions[] = {
    &cap_rev1,
    &cap_literal_plus,
    &cap_sasl_ir,
    &imap_any_commands,
    &imap_auth_commands,
    &imap_select_commands,
    &imap_mailbox_commands,
    &imap_list_commands,
    &imap_status_commands,
    &imap_append_commands,
    &imap_fetch_commands,
    &imap_store_commands,
    &imap_search_commands,
    &imap_copy_commands,
    &imap_expunge_commands,
    &imap_ext_id,
    &imap_ext_enable,
    &imap_ext_idle,
    &imap_ext_namespace,
    &imap_ext_uidplus,
    &imap_ext_unselect,
    &imap_ext_move,
    &cap_children,
    &cap_special_use,
    &cap_create_special_use,
    &cap_list_extended,
    &cap_list_status,
    &cap_status_size,
    &cap_esearch,
    &cap_within,
    &cap_condstore,
    &cap_objectid,
    &cap_preview,
    &imap_ext_quota,
};

static const struct imap_command *find_row(struct vy_bytes name)
{
    for (size_t i = 0; i < VY_COUNT_OF(extensions); i++) {
        const struct imap_extension *const extension = extensions[i];
        for (size_t row = 0; row < extension->command_count; row++) {
            if (vy_bytes_equal_nocase(name, vy_cstr(extension->commands[row].name))) {
                return &extension->commands[row];
            }
        }
    }
    return NULL;
}

const struct imap_command *imap_find_command(struct imap_parser *p)
{
    struct vy_bytes word = {.data = NULL};
    const size_t from = p->at;
    if (vy_failed(imap_parse_atom(p, &word))) {
        return NULL;
    }
    if (vy_bytes_equal_nocase(word, VY_LIT("UID")) && imap_parse_try(p, ' ')) {
        if (vy_failed(imap_parse_atom(p, &word))) {
            return NULL;
        }
        word = vy_bytes_slice(p->in, from, p->at - from);
    }
    return word.len > NAME_BYTES_MAX ? NULL : find_row(word);
}

/* STARTTLS, LOGINDISABLED and AUTH= depend on the connection, not on a row. */
static void write_auth_capabilities(struct imap_session *s, struct vy_buf *out)
{
    const struct sasl_peer peer = {
        .protocol = LOGIN_PROTOCOL_IMAP,
        .is_secured = s->is_tls,
        .is_trusted = s->peer.is_trusted,
        .tls = s->peer.tls,
    };
    char names[SASL_MECHANISMS_BYTES_MAX];
    struct vy_bytes rest = sasl_mechanisms(&peer, names);
    if (!s->is_tls && s->peer.can_start_tls) {
        vy_buf_append_cstr(out, " STARTTLS");
    }
    if (rest.len == 0) {
        vy_buf_append_cstr(out, " LOGINDISABLED");
    }
    while (rest.len > 0) {
        const struct vy_bytes name = vy_bytes_cut(&rest, ' ');
        vy_buf_append_cstr(out, " AUTH=");
        vy_buf_append(out, name);
    }
}

void imap_write_capabilities(struct imap_session *s, struct vy_buf *out)
{
    /* The greeting speaks of the state it leads to. */
    const enum imap_state state =
        s->state == IMAP_STATE_GREETING ? IMAP_STATE_UNAUTHENTICATED : s->state;
    bool is_first = true;
    for (size_t i = 0; i < VY_COUNT_OF(extensions); i++) {
        if (extensions[i]->capability == NULL ||
            (extensions[i]->capability_states & (1U << state)) == 0) {
            continue;
        }
        vy_buf_append_cstr(out, is_first ? "" : " ");
        vy_buf_append_cstr(out, extensions[i]->capability);
        is_first = false;
    }
    if (state == IMAP_STATE_UNAUTHENTICATED) {
        write_auth_capabilities(s, out);
    }
}

uint32_t imap_find_enable(struct vy_bytes name)
{
    for (size_t i = 0; i < VY_COUNT_OF(extensions); i++) {
        if (extensions[i]->enable_name != NULL &&
            vy_bytes_equal_nocase(name, vy_cstr(extensions[i]->enable_name))) {
            return extensions[i]->enable_bit;
        }
    }
    return 0;
}

struct vy_bytes imap_enable_name(uint32_t bit)
{
    for (size_t i = 0; i < VY_COUNT_OF(extensions); i++) {
        if (extensions[i]->enable_name != NULL && extensions[i]->enable_bit == bit) {
            return vy_cstr(extensions[i]->enable_name);
        }
    }
    return vy_bytes(NULL, 0);
}
