/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/ctl/qr.h"

#include <errno.h>
#include <qrencode.h>

#define QUIET_MODULES 4 /* ISO/IEC 18004 section 5.3.8 */
#define BYTES_MAX 2000U /* well under what version 40 holds */

static bool is_dark(const QRcode *code, int row, int column)
{
    const int side = code->width;
    return row >= 0 && row < side && column >= 0 && column < side &&
           (code->data[row * side + column] & 1) != 0;
}

/* Rows `row` and `row + 1`. */
static void append_line(struct vy_buf *out, const QRcode *code, int row, enum ctl_qr_ink ink)
{
    static const char *const blocks[] = {" ", "\u2584", "\u2580", "\u2588"};
    vy_buf_append_cstr(out, ink == CTL_QR_COLOURS ? "\033[30;107m" : "");
    for (int column = -QUIET_MODULES; column < code->width + QUIET_MODULES; column++) {
        const unsigned upper = is_dark(code, row, column) ? 2 : 0;
        const unsigned lower = is_dark(code, row + 1, column) ? 1 : 0;
        vy_buf_append_cstr(out, blocks[upper | lower]);
    }
    vy_buf_append_cstr(out, ink == CTL_QR_COLOURS ? "\033[0m\n" : "\n");
}

struct vy_err ctl_qr_append(struct vy_buf *out, struct vy_bytes text, enum ctl_qr_ink ink)
{
    if (text.len == 0 || text.len > BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "text of a QR code");
    }
    /* The lowest level of correction: a screen has no scratches, and a small code fits it. */
    QRcode *code = QRcode_encodeData((int)text.len, text.data, 0, QR_ECLEVEL_L);
    if (code == NULL) {
        return errno == ENOMEM ? vy_error(VY_CODE_NOMEM, "QR code")
                               : vy_error(VY_CODE_LIMIT, "text of a QR code");
    }
    for (int row = -QUIET_MODULES; row < code->width + QUIET_MODULES; row += 2) {
        append_line(out, code, row, ink);
    }
    QRcode_free(code);
    return vy_buf_error(out);
}
