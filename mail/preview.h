/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The first words of a message as plain text (RFC 8970, acceptance IMAP-P1): quoted text and "On
 * ... wrote:" left out, signature dropped, white space collapsed. Empty for encrypted messages and
 * for those without text; of multipart/signed only the first part is looked at.
 */
#include "mail/mime.h"

/* @head  first bytes of the message; what lies behind them is not looked at. Appends at most
 * chars_max characters of clean UTF-8. */
void preview_append(struct vy_buf *out, const struct mime_structure *structure,
                    struct vy_bytes head, size_t chars_max);
/* The first chars_max characters, not ending in white space: what PREVIEW shows (200). */
struct vy_bytes preview_cut(struct vy_bytes preview, size_t chars_max);
