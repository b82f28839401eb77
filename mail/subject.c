/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/subject.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* White space runs become one space; ends are trimmed (RFC 5256 section 2.1 step 1). */
static void append_collapsed(struct vy_buf *out, struct vy_bytes text)
{
    text = vy_bytes_trim(text);
    while (text.len > 0) {
        size_t len = 0;
        while (len < text.len && !is_space(text.data[len])) {
            len++;
        }
        vy_buf_append(out, vy_bytes_slice(text, 0, len));
        text = vy_bytes_from(text, len);
        const struct vy_bytes rest = vy_bytes_trim(text);
        if (rest.len > 0) {
            vy_buf_append_byte(out, ' ');
        }
        text = rest;
    }
}

/* subj-blob: "[...]" without brackets inside, with the space behind it; 0: none. */
static size_t blob_bytes(struct vy_bytes text)
{
    if (text.len == 0 || text.data[0] != '[') {
        return 0;
    }
    for (size_t i = 1; i < text.len; i++) {
        if (text.data[i] == '[') {
            return 0;
        }
        if (text.data[i] == ']') {
            i++;
            while (i < text.len && is_space(text.data[i])) {
                i++;
            }
            return i;
        }
    }
    return 0;
}

/* subj-refwd: "re", "fw" or "fwd", then an optional blob and ':'; 0: none. */
static size_t refwd_bytes(struct vy_bytes text)
{
    static const char *const words[] = {"fwd", "re", "fw"};
    for (size_t i = 0; i < 3; i++) {
        const struct vy_bytes word = vy_cstr(words[i]);
        if (!vy_bytes_starts_with_nocase(text, word)) {
            continue;
        }
        size_t at = word.len;
        while (at < text.len && is_space(text.data[at])) {
            at++;
        }
        at += blob_bytes(vy_bytes_from(text, at));
        if (at < text.len && text.data[at] == ':') {
            return at + 1;
        }
    }
    return 0;
}

/* subj-leader: blobs, then "re:", or just space. 0: none. */
static size_t leader_bytes(struct vy_bytes text)
{
    size_t at = 0;
    if (text.len > 0 && is_space(text.data[0])) {
        return 1;
    }
    for (size_t blob = blob_bytes(text); blob > 0; blob = blob_bytes(vy_bytes_from(text, at))) {
        at += blob;
    }
    const size_t refwd = refwd_bytes(vy_bytes_from(text, at));
    return refwd == 0 ? 0 : at + refwd;
}

/* subj-trailer: "(fwd)" and space at the end. */
static struct vy_bytes cut_trailers(struct vy_bytes text, bool *is_reply)
{
    for (;;) {
        text = vy_bytes_trim(text);
        if (text.len < 5 ||
            !vy_bytes_equal_nocase(vy_bytes_from(text, text.len - 5), VY_LIT("(fwd)"))) {
            return text;
        }
        text.len -= 5;
        *is_reply = true;
    }
}

/* Steps 3 to 5: leaders, and one blob in front of something else at a time. */
static struct vy_bytes cut_leaders(struct vy_bytes text, bool *is_reply)
{
    for (;;) {
        const size_t leader = leader_bytes(text);
        if (leader > 0) {
            *is_reply = *is_reply || leader > 1 || !is_space(text.data[0]);
            text = vy_bytes_from(text, leader);
            continue;
        }
        const size_t blob = blob_bytes(text);
        if (blob == 0 || blob == text.len) {
            return text;
        }
        text = vy_bytes_from(text, blob);
    }
}

/* Step 6: "[fwd: ...]". */
static bool cut_wrapper(struct vy_bytes *text, bool *is_reply)
{
    if (text->len < 6 || !vy_bytes_starts_with_nocase(*text, VY_LIT("[fwd:")) ||
        text->data[text->len - 1] != ']') {
        return false;
    }
    *text = vy_bytes_slice(*text, 5, text->len - 6);
    *is_reply = true;
    return true;
}

void subject_append_base(struct vy_buf *out, struct vy_bytes utf8, bool *is_reply)
{
    struct vy_buf collapsed;
    bool reply = false;

    vy_buf_init(&collapsed, utf8.len);
    append_collapsed(&collapsed, utf8);
    struct vy_bytes text = vy_buf_bytes(&collapsed);
    do {
        text = cut_trailers(text, &reply);
        text = cut_leaders(text, &reply);
    } while (cut_wrapper(&text, &reply));
    vy_buf_append(out, vy_bytes_trim(text));
    out->failed = out->failed || collapsed.failed;
    vy_buf_deinit(&collapsed);
    if (is_reply != NULL) {
        *is_reply = reply;
    }
}
