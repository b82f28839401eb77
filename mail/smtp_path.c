/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/smtp_path.h"

#include "base/codec.h"
#include <idn2.h>
#include <stdlib.h>
#include <utf8proc.h>

#define LABEL_BYTES_MAX 63U /* RFC 1035 section 2.3.4 */

static struct vy_err syntax(const char *what)
{
    return vy_error(VY_CODE_SYNTAX, what);
}

static struct vy_err too_long(const char *what)
{
    return vy_error(VY_CODE_LIMIT, what);
}

/* RFC 5321 atext, with RFC 6531 section 3.3. */
static bool is_atext(uint8_t c)
{
    return vy_ascii_is_alnum(c) || c >= 0x80 ||
           (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* ---- local parts ---- */

/* Dot-string as it stands: no dot at an end, no two together. 0: none. */
static size_t dot_string_bytes(struct vy_bytes in)
{
    size_t at = 0;
    bool is_after_dot = true;
    while (at < in.len && (is_atext(in.data[at]) || in.data[at] == '.')) {
        const bool is_dot = in.data[at] == '.';
        if (is_dot && is_after_dot) {
            return 0;
        }
        is_after_dot = is_dot;
        at++;
    }
    return is_after_dot ? 0 : at;
}

/* With both quotes; 0: does not end, or holds what no quoted string may (S7, S8). */
static size_t quoted_bytes(struct vy_bytes in)
{
    size_t at = 1;
    while (at < in.len && in.data[at] != '"') {
        at += in.data[at] == '\\' ? 1 : 0;
        if (at >= in.len || in.data[at] < ' ' || in.data[at] == 0x7F) {
            return 0;
        }
        at++;
    }
    return at < in.len ? at + 1 : 0;
}

static struct vy_err unquote(struct vy_arena *arena, struct vy_bytes quoted, struct vy_bytes *out)
{
    uint8_t *const text = vy_arena_alloc(arena, quoted.len);
    size_t len = 0;
    if (text == NULL) {
        return too_long("address");
    }
    for (size_t i = 1; i + 1 < quoted.len; i++) {
        i += quoted.data[i] == '\\' ? 1 : 0;
        text[len++] = quoted.data[i];
    }
    *out = vy_bytes(text, len);
    return vy_ok();
}

/* UTF-8 by `options` of utf8proc, in arena memory. */
static struct vy_err map_utf8(struct vy_arena *arena, struct vy_bytes in, utf8proc_option_t options,
                              struct vy_bytes *out)
{
    uint8_t *mapped = NULL;
    const utf8proc_ssize_t len =
        utf8proc_map(in.data, (utf8proc_ssize_t)in.len, &mapped, options | UTF8PROC_STABLE);
    if (len < 0) {
        free(mapped);
        return len == UTF8PROC_ERROR_NOMEM ? vy_error(VY_CODE_NOMEM, "address")
                                           : syntax("not UTF-8");
    }
    const struct vy_err err = vy_arena_dup(arena, vy_bytes(mapped, (size_t)len), out);
    free(mapped);
    return err;
}

static struct vy_err take_local(struct vy_arena *arena, struct vy_bytes *rest, struct vy_bytes *out)
{
    const bool is_quoted = rest->len > 0 && rest->data[0] == '"';
    const size_t len = is_quoted ? quoted_bytes(*rest) : dot_string_bytes(*rest);
    if (len == 0) {
        return syntax("local part");
    }
    if (len > MAIL_LOCAL_BYTES_MAX) {
        return too_long("local part is too long");
    }
    *out = vy_bytes_slice(*rest, 0, len);
    *rest = vy_bytes_from(*rest, len);
    if (is_quoted) {
        VY_TRY(unquote(arena, *out, out));
    }
    if (out->len == 0) {
        return syntax("local part is empty");
    }
    return map_utf8(arena, *out, UTF8PROC_COMPOSE, out);
}

/* ---- domains ---- */

static size_t domain_bytes(struct vy_bytes in)
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
        if (label > LABEL_BYTES_MAX * 4) { /* of UTF-8; as A-label it is checked when canonical */
            return 0;
        }
    }
    return label == 0 ? 0 : at;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]": characters only; the address itself is the caller's. */
static size_t literal_bytes(struct vy_bytes in)
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

static struct vy_err lower(struct vy_arena *arena, struct vy_bytes in, struct vy_bytes *out)
{
    uint8_t *const text = vy_arena_alloc(arena, in.len);
    if (text == NULL) {
        return too_long("domain");
    }
    for (size_t i = 0; i < in.len; i++) {
        text[i] = vy_ascii_lower(in.data[i]);
    }
    *out = vy_bytes(text, in.len);
    return vy_ok();
}

static struct vy_err take_domain(struct vy_arena *arena, struct vy_bytes *rest,
                                 struct vy_bytes *out)
{
    const bool is_literal = rest->len > 0 && rest->data[0] == '[';
    const size_t len = is_literal ? literal_bytes(*rest) : domain_bytes(*rest);
    if (len == 0) {
        return syntax("domain");
    }
    if (len > MAIL_DOMAIN_BYTES_MAX) {
        return too_long("domain is too long");
    }
    VY_TRY(lower(arena, vy_bytes_slice(*rest, 0, len), out));
    *rest = vy_bytes_from(*rest, len);
    return vy_ok();
}

/* ---- paths ---- */

static void split_detail(struct mail_path *path)
{
    const size_t plus = vy_bytes_find_byte(path->local, '+', 0);
    path->base = path->local;
    if (plus == SIZE_MAX || plus == 0) {
        return;
    }
    path->base = vy_bytes_slice(path->local, 0, plus);
    path->detail = vy_bytes_from(path->local, plus + 1);
}

static bool has_8bit(struct vy_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] >= 0x80) {
            return true;
        }
    }
    return false;
}

/* Takes "local@domain", or "postmaster", from the front. */
static struct vy_err take_mailbox(struct vy_arena *arena, struct vy_bytes *rest,
                                  struct mail_path *out)
{
    const struct vy_bytes whole = *rest;
    *out = (struct mail_path){.is_null = false};
    VY_TRY(take_local(arena, rest, &out->local));
    if (rest->len > 0 && rest->data[0] == '@') {
        *rest = vy_bytes_from(*rest, 1);
        out->is_literal = rest->len > 0 && rest->data[0] == '[';
        VY_TRY(take_domain(arena, rest, &out->domain));
    } else if (!vy_bytes_equal_nocase(out->local, VY_LIT("postmaster"))) {
        return syntax("address without a domain");
    }
    const struct vy_bytes text = vy_bytes_slice(whole, 0, whole.len - rest->len);
    if (text.len > MAIL_ADDRESS_BYTES_MAX) {
        return too_long("address is too long");
    }
    if (!vy_utf8_is_valid(text)) {
        return syntax("address is not UTF-8");
    }
    out->is_utf8 = has_8bit(text);
    split_detail(out);
    return vy_ok();
}

/* "@a,@b:" is read over. */
static struct vy_err skip_route(struct vy_arena *arena, struct vy_bytes *rest)
{
    bool is_last = rest->len == 0 || rest->data[0] != '@';
    while (!is_last) {
        struct vy_bytes hop;
        if (rest->len == 0 || rest->data[0] != '@') {
            return syntax("source route");
        }
        *rest = vy_bytes_from(*rest, 1);
        VY_TRY(take_domain(arena, rest, &hop));
        if (rest->len == 0 || (rest->data[0] != ',' && rest->data[0] != ':')) {
            return syntax("source route");
        }
        is_last = rest->data[0] == ':';
        *rest = vy_bytes_from(*rest, 1);
    }
    return vy_ok();
}

struct vy_err mail_path_parse(struct vy_arena *arena, struct vy_bytes text, struct mail_path *out)
{
    if (text.len < 2 || text.data[0] != '<' || text.data[text.len - 1] != '>') {
        return syntax("path without brackets");
    }
    struct vy_bytes rest = vy_bytes_slice(text, 1, text.len - 2);
    if (rest.len == 0) {
        *out = (struct mail_path){.is_null = true};
        return vy_ok();
    }
    if (rest.len > 4U * MAIL_DOMAIN_BYTES_MAX) {
        return too_long("path is too long");
    }
    struct mail_path path;
    VY_TRY(skip_route(arena, &rest));
    VY_TRY(take_mailbox(arena, &rest, &path));
    if (rest.len > 0) {
        return syntax("text behind the address");
    }
    *out = path;
    return vy_ok();
}

struct vy_err mail_address_parse(struct vy_arena *arena, struct vy_bytes text,
                                 struct mail_path *out)
{
    struct mail_path path;
    VY_TRY(take_mailbox(arena, &text, &path));
    if (text.len > 0 || path.domain.len == 0) {
        return syntax("address");
    }
    *out = path;
    return vy_ok();
}

void mail_path_append(struct vy_buf *out, const struct mail_path *path)
{
    if (path->local.len > 0 && dot_string_bytes(path->local) == path->local.len) {
        vy_buf_append(out, path->local);
    } else if (path->local.len > 0) {
        vy_buf_append_byte(out, '"');
        for (size_t i = 0; i < path->local.len; i++) {
            const uint8_t c = path->local.data[i];
            if (c == '"' || c == '\\') {
                vy_buf_append_byte(out, '\\');
            }
            vy_buf_append_byte(out, c);
        }
        vy_buf_append_byte(out, '"');
    }
    if (path->domain.len > 0) {
        vy_buf_append_byte(out, '@');
        vy_buf_append(out, path->domain);
    }
}

/* ---- canonical forms ---- */

typedef int idn_function(const char *in, char **out, int flags);

static struct vy_err run_idn(struct vy_arena *arena, struct vy_bytes domain, idn_function *function,
                             int flags, struct vy_bytes *out)
{
    const char *const text = vy_arena_cstr(arena, domain);
    char *mapped = NULL;
    if (text == NULL) {
        return too_long("domain");
    }
    const int result = function(text, &mapped, flags);
    if (result != IDN2_OK) {
        return result == IDN2_MALLOC ? vy_error(VY_CODE_NOMEM, "domain") : syntax("domain");
    }
    const struct vy_err err = vy_arena_dup(arena, vy_cstr(mapped), out);
    idn2_free(mapped);
    return err;
}

struct vy_err mail_domain_canonical(struct vy_arena *arena, struct vy_bytes domain,
                                    struct vy_bytes *out)
{
    if (domain.len > 0 && domain.data[0] == '[') {
        return domain.len <= MAIL_DOMAIN_BYTES_MAX && literal_bytes(domain) == domain.len
                   ? lower(arena, domain, out)
                   : syntax("domain");
    }
    if (domain.len > 1 && domain.data[domain.len - 1] == '.') {
        domain.len--;
    }
    if (domain.len > 4U * MAIL_DOMAIN_BYTES_MAX || domain_bytes(domain) != domain.len ||
        domain.len == 0 || !vy_utf8_is_valid(domain)) {
        return syntax("domain");
    }
    struct vy_bytes name;
    VY_TRY(run_idn(arena, domain, idn2_to_ascii_8z, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL, &name));
    /* Mapping may have made dots of other characters; and an A-label must be what it says. */
    if (name.len > MAIL_DOMAIN_BYTES_MAX || domain_bytes(name) != name.len) {
        return syntax("domain");
    }
    return lower(arena, name, out);
}

struct vy_err mail_domain_unicode(struct vy_arena *arena, struct vy_bytes domain,
                                  struct vy_bytes *out)
{
    if (domain.len > MAIL_DOMAIN_BYTES_MAX || vy_bytes_find_byte(domain, 0, 0) != SIZE_MAX) {
        return syntax("domain");
    }
    return run_idn(arena, domain, idn2_to_unicode_8z8z, 0, out);
}

struct vy_err mail_local_canonical(struct vy_arena *arena, struct vy_bytes local,
                                   struct vy_bytes *out)
{
    if (!vy_utf8_is_valid(local)) {
        return syntax("not UTF-8");
    }
    return map_utf8(arena, local, UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD, out);
}
