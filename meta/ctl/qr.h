/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * QR codes as text: two rows of modules in one line, by half blocks. The only file that includes
 * qrencode.h.
 */
#include "base/buf.h"

enum ctl_qr_ink {
    CTL_QR_PLAIN,  /* dark modules are blocks: for paper, files, light screens */
    CTL_QR_COLOURS /* black on white whatever the terminal's colours are */
};

/* Appends the code and its quiet zone. @errors LIMIT more than a code holds; NOMEM */
VY_CHECKED struct vy_err ctl_qr_append(struct vy_buf *out, struct vy_bytes text,
                                       enum ctl_qr_ink ink);
