/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/charset.h"

#include "base/assert.h"
#include "base/codec.h"
#include <errno.h>
#include <iconv.h>

#define NAME_BYTES_MAX 40U
#define REPLACEMENT "\xEF\xBF\xBD"

/*
 * What may be given to iconv, under the name that iconv knows. Closed, because glibc's converters
 * differ in quality and some expand without measure. Position is the id on disk: append only.
 * windows-1252 stands for ISO-8859-1 too: senders say the one and mean the other, and 0x80..0x9F
 * are controls in the one.
 */
static const char *const charsets[] = {
    NULL,           "UTF-8",        "US-ASCII",     "WINDOWS-1252", "ISO-8859-2",   "ISO-8859-3",
    "ISO-8859-4",   "ISO-8859-5",   "ISO-8859-6",   "ISO-8859-7",   "ISO-8859-8",   "ISO-8859-9",
    "ISO-8859-10",  "ISO-8859-11",  "ISO-8859-13",  "ISO-8859-14",  "ISO-8859-15",  "ISO-8859-16",
    "WINDOWS-1250", "WINDOWS-1251", "WINDOWS-1253", "WINDOWS-1254", "WINDOWS-1255", "WINDOWS-1256",
    "WINDOWS-1257", "WINDOWS-1258", "KOI8-R",       "KOI8-U",       "GB18030",      "BIG5-HKSCS",
    "EUC-JP",       "SHIFT_JIS",    "ISO-2022-JP",  "EUC-KR",       "ISO-2022-KR",  "TIS-620",
    "UTF-16",       "UTF-16BE",     "UTF-16LE",     "UTF-7",        "MACINTOSH",    "IBM850",
    "IBM437",       "IBM866",       "VISCII",       "CP949",        "CP932",        "ISO-2022-CN",
    "IBM852",       "UTF-32",
};
#define CHARSET_UTF7 39U

/* Other names senders use. */
static const struct {
    const char *alias;
    const char *name;
} aliases[] = {
    {"UTF8",              "UTF-8"       },
    {"UNICODE-1-1-UTF-8", "UTF-8"       },
    {"ASCII",             "US-ASCII"    },
    {"ANSI_X3.4-1968",    "US-ASCII"    },
    {"ISO646-US",         "US-ASCII"    },
    {"US",                "US-ASCII"    },
    {"ISO-8859-1",        "WINDOWS-1252"},
    {"ISO_8859-1",        "WINDOWS-1252"},
    {"ISO8859-1",         "WINDOWS-1252"},
    {"ISO8859_1",         "WINDOWS-1252"},
    {"LATIN1",            "WINDOWS-1252"},
    {"LATIN-1",           "WINDOWS-1252"},
    {"L1",                "WINDOWS-1252"},
    {"CP1252",            "WINDOWS-1252"},
    {"CP-1252",           "WINDOWS-1252"},
    {"CP819",             "WINDOWS-1252"},
    {"LATIN2",            "ISO-8859-2"  },
    {"ISO8859-2",         "ISO-8859-2"  },
    {"ISO8859-5",         "ISO-8859-5"  },
    {"ISO8859-7",         "ISO-8859-7"  },
    {"ISO-8859-8-I",      "ISO-8859-8"  },
    {"ISO-8859-6-I",      "ISO-8859-6"  },
    {"ISO8859-9",         "ISO-8859-9"  },
    {"LATIN5",            "ISO-8859-9"  },
    {"ISO8859-15",        "ISO-8859-15" },
    {"LATIN9",            "ISO-8859-15" },
    {"CP1250",            "WINDOWS-1250"},
    {"CP1251",            "WINDOWS-1251"},
    {"CP1253",            "WINDOWS-1253"},
    {"CP1254",            "WINDOWS-1254"},
    {"CP1255",            "WINDOWS-1255"},
    {"CP1256",            "WINDOWS-1256"},
    {"CP1257",            "WINDOWS-1257"},
    {"CP1258",            "WINDOWS-1258"},
    {"KOI8",              "KOI8-R"      },
    {"GB2312",            "GB18030"     },
    {"GB_2312-80",        "GB18030"     },
    {"CSGB2312",          "GB18030"     },
    {"EUC-CN",            "GB18030"     },
    {"GBK",               "GB18030"     },
    {"CP936",             "GB18030"     },
    {"X-GBK",             "GB18030"     },
    {"BIG5",              "BIG5-HKSCS"  },
    {"BIG-5",             "BIG5-HKSCS"  },
    {"CN-BIG5",           "BIG5-HKSCS"  },
    {"X-X-BIG5",          "BIG5-HKSCS"  },
    {"EUCJP",             "EUC-JP"      },
    {"X-EUC-JP",          "EUC-JP"      },
    {"SJIS",              "CP932"       },
    {"SHIFT-JIS",         "CP932"       },
    {"X-SJIS",            "CP932"       },
    {"MS_KANJI",          "CP932"       },
    {"WINDOWS-31J",       "CP932"       },
    {"CSWINDOWS31J",      "CP932"       },
    {"CSISO2022JP",       "ISO-2022-JP" },
    {"KS_C_5601-1987",    "CP949"       },
    {"KSC5601",           "CP949"       },
    {"KSC_5601",          "CP949"       },
    {"KS_C_5601",         "CP949"       },
    {"UHC",               "CP949"       },
    {"X-WINDOWS-949",     "CP949"       },
    {"WINDOWS-949",       "CP949"       },
    {"EUCKR",             "EUC-KR"      },
    {"WINDOWS-874",       "TIS-620"     },
    {"CP874",             "TIS-620"     },
    {"UNICODE-1-1-UTF-7", "UTF-7"       },
    {"UCS-2",             "UTF-16"      },
    {"MAC",               "MACINTOSH"   },
    {"X-MAC-ROMAN",       "MACINTOSH"   },
    {"MACROMAN",          "MACINTOSH"   },
    {"CP850",             "IBM850"      },
    {"CP437",             "IBM437"      },
    {"CP866",             "IBM866"      },
    {"CP852",             "IBM852"      },
};

static const char *real_name(struct vy_bytes name)
{
    for (size_t i = 0; i < VY_COUNT_OF(aliases); i++) {
        if (vy_bytes_equal_nocase(name, vy_cstr(aliases[i].alias))) {
            return aliases[i].name;
        }
    }
    return NULL;
}

uint16_t charset_find(struct vy_bytes name)
{
    name = vy_bytes_trim(name);
    if (name.len == 0) {
        return CHARSET_ASCII;
    }
    if (name.len > NAME_BYTES_MAX) {
        return CHARSET_UNKNOWN;
    }
    const char *const real = real_name(name);
    const struct vy_bytes wanted = real == NULL ? name : vy_cstr(real);
    for (size_t i = 1; i < VY_COUNT_OF(charsets); i++) {
        if (vy_bytes_equal_nocase(wanted, vy_cstr(charsets[i]))) {
            return (uint16_t)i;
        }
    }
    return CHARSET_UNKNOWN;
}

bool charset_is_known(uint16_t charset)
{
    return charset != CHARSET_UNKNOWN && charset < VY_COUNT_OF(charsets);
}

/* ---- UTF-8 ---- */

/* Bytes at the front that are ASCII. */
static size_t ascii_bytes(struct vy_bytes text)
{
    size_t at = 0;
    for (; at + 8 <= text.len; at += 8) {
        uint64_t word;
        memcpy(&word, text.data + at, sizeof(word));
        if ((word & 0x8080808080808080U) != 0) {
            break;
        }
    }
    while (at < text.len && text.data[at] < 0x80) {
        at++;
    }
    return at;
}

/* Invalid UTF-8 becomes U+FFFD (M11). */
static void append_utf8(struct vy_buf *out, struct vy_bytes text)
{
    while (text.len > 0) {
        const size_t plain = ascii_bytes(text);
        vy_buf_append(out, vy_bytes_slice(text, 0, plain));
        text = vy_bytes_from(text, plain);
        size_t at = 0;
        uint32_t codepoint = 0;
        while (at < text.len && text.data[at] >= 0x80 && vy_utf8_next(text, &at, &codepoint)) {
            vy_utf8_append(out, codepoint);
        }
        text = vy_bytes_from(text, at);
    }
}

/* Charsets that say nothing about bytes above 0x7F. */
static void append_unknown(struct vy_buf *out, struct vy_bytes text)
{
    if (vy_utf8_is_valid(text)) {
        vy_buf_append(out, text);
        return;
    }
    while (text.len > 0) {
        const size_t plain = ascii_bytes(text);
        vy_buf_append(out, vy_bytes_slice(text, 0, plain));
        if (plain < text.len) {
            vy_buf_append_cstr(out, REPLACEMENT);
        }
        text = vy_bytes_from(text, plain + 1);
    }
}

/* ---- iconv ---- */

/* Gives all of `text` to the converter, in pieces of output; bytes it refuses become U+FFFD, one
 * each, so that the work is linear. */
static void convert(iconv_t converter, struct vy_buf *out, struct vy_bytes text)
{
    char piece[2048];
    char *in = (char *)(uintptr_t)text.data; /* iconv does not write there */
    size_t in_left = text.len;

    while (in_left > 0 && !out->failed) {
        char *to = piece;
        size_t room = sizeof(piece);
        const size_t result = iconv(converter, &in, &in_left, &to, &room);
        const int problem = result == (size_t)-1 ? errno : 0;
        append_utf8(out, vy_bytes(piece, sizeof(piece) - room));
        if (problem == EILSEQ || problem == EINVAL) {
            vy_buf_append_cstr(out, REPLACEMENT);
            in++;
            in_left--;
        } else if (problem != 0 && (problem != E2BIG || room == sizeof(piece))) {
            return;
        }
    }
    char *to = piece;
    size_t room = sizeof(piece);
    if (iconv(converter, NULL, NULL, &to, &room) != (size_t)-1) {
        append_utf8(out, vy_bytes(piece, sizeof(piece) - room));
    }
}

void charset_append_utf8(struct vy_buf *out, uint16_t charset, struct vy_bytes text)
{
    if (charset == CHARSET_UTF8) {
        append_utf8(out, text);
        return;
    }
    if (!charset_is_known(charset) || charset == CHARSET_ASCII) {
        append_unknown(out, text);
        return;
    }
    const iconv_t converter = iconv_open("UTF-8", charsets[charset]);
    if (converter == (iconv_t)-1) { /* the machine lacks this converter */
        append_unknown(out, text);
        return;
    }
    convert(converter, out, text);
    (void)iconv_close(converter);
}

/* ---- cleaning ---- */

static bool is_control(uint32_t codepoint)
{
    return codepoint < 0x20 || (codepoint >= 0x7F && codepoint < 0xA0);
}

/* All but TAB, which is white space, become U+FFFD: a line end that was encoded was no folding
 * (M9). */
static void append_without_controls(struct vy_buf *out, struct vy_bytes text)
{
    uint32_t codepoint = 0;
    for (size_t at = 0; vy_utf8_next(text, &at, &codepoint);) {
        if (is_control(codepoint) && codepoint != '\t') {
            vy_buf_append_cstr(out, REPLACEMENT);
        } else {
            vy_utf8_append(out, codepoint);
        }
    }
}

static bool is_plain(struct vy_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < ' ' || text.data[i] >= 0x7F) {
            return false;
        }
    }
    return true;
}

void charset_append_clean(struct vy_buf *out, struct vy_bytes text, bool no_controls)
{
    if (!no_controls) {
        append_utf8(out, text);
    } else if (is_plain(text)) {
        vy_buf_append(out, text);
    } else {
        append_without_controls(out, text);
    }
}
