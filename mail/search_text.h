/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Text for SEARCH and previews: header fields and parts decoded to UTF-8 and folded (Unicode
 * case folding, compatibility decomposition), so that a substring test on bytes is a search. Every
 * output is bounded.
 */
#include "mail/mime.h"

#define SEARCH_TEXT_PART_BYTES_MAX                                                                 \
    (16U * 1024U * 1024U) /* of one part's decoded text; rest unseen */

/* Appends folded `utf8`; what is not UTF-8 becomes U+FFFD first. */
void search_text_append_folded(struct vy_buf *out, struct vy_bytes utf8);
/* A search key or any text, folded, in arena memory. @errors LIMIT arena */
VY_CHECKED struct vy_err search_text_fold(struct vy_arena *arena, struct vy_bytes utf8,
                                          struct vy_bytes *out);
/* A raw header field value: encoded words decoded, then folded. */
void search_text_append_field(struct vy_buf *out, struct vy_bytes value);
/* Body of a text part as stored: transfer encoding, charset and (HTML) tags removed; not folded.
 * Other parts give nothing. At most `bytes_max` of decoded text are made. */
void search_text_append_part(struct vy_buf *out, const struct mime_node *node, struct vy_bytes body,
                             size_t bytes_max);
bool search_text_contains(struct vy_bytes folded_text, struct vy_bytes folded_key);

/*
 * Does the key stand in the message: in the text of its parts (BODY), and with `headers` also in
 * its headers, those of parts and of messages inside included (TEXT)?
 *
 * @message  all bytes of it
 * @folded_key  made by search_text_fold(); empty matches
 * @errors   NOMEM
 */
VY_CHECKED struct vy_err search_text_match(const struct mime_tree *tree, struct vy_bytes message,
                                           struct vy_bytes folded_key, bool headers, bool *out);

/* HTML to text: tags, comments, script and style removed, common entities decoded, block tags are
 * line breaks. One pass, output never longer than input times 2 (M19). */
void search_text_strip_html(struct vy_buf *out, struct vy_bytes html_utf8);
