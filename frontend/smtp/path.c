/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/smtp/path.h"

#include "base/codec.h"

#define LABEL_BYTES_MAX 63U
#define PARAM_BYTES_MAX 1024U

static struct vy_err syntax(const char *what)
{
    return vy_error(VY_CODE_SYNTAX, what);
}

static bool is_atext(uint8_t c)
{
    static const char others[] = "!#$%&'*+-/=?^_`{|}~";
    return vy_ascii_is_alnum(c) || c >= 0x80 || (c != 0 && strchr(others, c) != NULL);
}

/* Atoms and dots, wherever the dots stand: a name like "../x" is an unknown user, not an error
 * (S9), and some carriers gave such names to people. */
static size_t dot_string_length(struct vy_bytes in)
{
    size_t len = 0;
    bool has_atom = false;
    while (len < in.len && (is_atext(in.data[len]) || in.data[len] == '.')) {
        has_atom |= in.data[len] != '.';
        len++;
    }
    return has_atom ? len : 0;
}

/* With both quotes; 0: not well formed. An empty one (S8) is no name. */
static size_t quoted_length(struct vy_bytes in)
{
    size_t at = 1;
    while (at < in.len && in.data[at] != '"') {
        const bool is_escape = in.data[at] == '\\';
        at += is_escape ? 1 : 0;
        if (at >= in.len || in.data[at] < ' ' || in.data[at] == 0x7F) {
            return 0;
        }
        at++;
    }
    return at < in.len && at > 1 ? at + 1 : 0;
}

static size_t domain_length(struct vy_bytes in)
{
    size_t at = 0;
    size_t label = 0;
    for (; at < in.len; at++) {
        const uint8_t c = in.data[at];
        if (c == '.' && label == 0) {
            return 0;
        }
        if (c != '.' && c != '-' && c != '_' && c < 0x80 && !vy_ascii_is_alnum(c)) {
            break;
        }
        label = c == '.' ? 0 : label + 1;
        if (label > LABEL_BYTES_MAX && c < 0x80) {
            return 0;
        }
    }
    return label == 0 ? 0 : at; /* a dot at the end is no part of a domain here */
}

static size_t literal_length(struct vy_bytes in)
{
    for (size_t at = 1; at < in.len; at++) {
        const uint8_t c = in.data[at];
        if (c == ']') {
            return at > 1 ? at + 1 : 0;
        }
        if (!vy_ascii_is_alnum(c) && c != '.' && c != ':' && c != '-') {
            return 0;
        }
    }
    return 0;
}

static struct vy_err take_domain(struct vy_bytes *rest, struct vy_bytes *out)
{
    const bool is_literal = rest->len > 0 && rest->data[0] == '[';
    const size_t len = is_literal ? literal_length(*rest) : domain_length(*rest);
    if (len == 0 || len > SMTP_DOMAIN_BYTES_MAX) {
        return syntax("domain");
    }
    *out = vy_bytes_slice(*rest, 0, len);
    *rest = vy_bytes_from(*rest, len);
    return vy_ok();
}

/* "@a,@b:" is read over (RFC 5321 appendix C). */
static struct vy_err take_route(struct vy_bytes *rest, struct smtp_path *out)
{
    while (rest->len > 0 && rest->data[0] == '@') {
        struct vy_bytes hop = {.data = NULL};
        *rest = vy_bytes_from(*rest, 1);
        VY_TRY(take_domain(rest, &hop));
        if (rest->len == 0 || (rest->data[0] != ',' && rest->data[0] != ':')) {
            return syntax("source route");
        }
        const bool is_last = rest->data[0] == ':';
        *rest = vy_bytes_from(*rest, 1);
        out->has_route = true;
        if (is_last) {
            return vy_ok();
        }
    }
    return out->has_route ? syntax("source route") : vy_ok();
}

static struct vy_err take_mailbox(struct vy_bytes *rest, struct smtp_path *out)
{
    const struct vy_bytes whole = *rest;
    const bool is_quoted = rest->len > 0 && rest->data[0] == '"';
    const size_t len = is_quoted ? quoted_length(*rest) : dot_string_length(*rest);
    if (len == 0 || len > SMTP_LOCAL_BYTES_MAX) {
        return syntax("local part");
    }
    out->local = vy_bytes_slice(*rest, 0, len);
    *rest = vy_bytes_from(*rest, len);
    if (rest->len > 0 && rest->data[0] == '@') {
        *rest = vy_bytes_from(*rest, 1);
        VY_TRY(take_domain(rest, &out->domain));
    } else if (!vy_bytes_equal_nocase(out->local, VY_LIT("postmaster"))) {
        return syntax("address without a domain");
    }
    out->text = vy_bytes_slice(whole, 0, whole.len - rest->len);
    return vy_ok();
}

static struct vy_err check_utf8(struct smtp_path *path)
{
    for (size_t i = 0; i < path->text.len; i++) {
        path->is_utf8 |= path->text.data[i] >= 0x80;
    }
    return vy_utf8_is_valid(path->text) ? vy_ok()
                                        : vy_error(VY_CODE_ARGUMENT, "address is not UTF-8");
}

struct vy_err smtp_path_parse(struct vy_bytes *rest, struct smtp_path *out)
{
    *out = (struct smtp_path){.has_route = false};
    *rest = vy_bytes_trim(*rest);
    if (rest->len < 2 || rest->data[0] != '<') {
        return syntax("path without <");
    }
    *rest = vy_bytes_from(*rest, 1);
    if (rest->data[0] != '>') {
        VY_TRY(take_route(rest, out));
        VY_TRY(take_mailbox(rest, out));
        VY_TRY(check_utf8(out));
    }
    if (rest->len == 0 || rest->data[0] != '>') {
        return syntax("path without >");
    }
    *rest = vy_bytes_from(*rest, 1);
    if (rest->len > 0 && rest->data[0] != ' ') {
        return syntax("text behind the path");
    }
    return vy_ok();
}

static bool is_param_value(struct vy_bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] <= ' ' || value.data[i] == '=' || value.data[i] == 0x7F) {
            return false;
        }
    }
    return vy_utf8_is_valid(value);
}

static bool is_keyword(struct vy_bytes key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (!vy_ascii_is_alnum(key.data[i]) && (key.data[i] != '-' || i == 0)) {
            return false;
        }
    }
    return key.len > 0;
}

struct vy_err smtp_param_next(struct vy_bytes *rest, struct smtp_param *out)
{
    *out = (struct smtp_param){.key = {.data = NULL}};
    *rest = vy_bytes_trim(*rest);
    if (rest->len == 0) {
        return vy_ok();
    }
    struct vy_bytes value = vy_bytes_cut(rest, ' ');
    const bool has_value = vy_bytes_find_byte(value, '=', 0) != SIZE_MAX;
    const struct vy_bytes key = vy_bytes_cut(&value, '=');
    if (!is_keyword(key) || value.len > PARAM_BYTES_MAX || !is_param_value(value)) {
        return syntax("parameter");
    }
    out->key = key;
    if (has_value) {
        out->value = value.len > 0 ? value : VY_LIT("");
    }
    return vy_ok();
}

bool smtp_helo_is_fine(struct vy_bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t c = name.data[i];
        if (!vy_ascii_is_alnum(c) && (c == 0 || strchr("-._:[]", c) == NULL)) {
            return false;
        }
    }
    return name.len > 0 && name.len <= SMTP_DOMAIN_BYTES_MAX;
}
