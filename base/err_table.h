/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of errors: X(name, log text, worth retrying, SMTP reply, IMAP response code, gRPC
 * code). A name says what the caller can do about it, not who failed. SMTP text is "code
 * enhanced-code" (RFC 3463); an empty IMAP code means a plain NO. No include guard: meant to be
 * included with X defined.
 */
/* clang-format off */
X(OK,           "ok",                                  false, "250 2.0.0", "",                     0)
X(SYNTAX,       "not well formed",                     false, "501 5.5.2", "CLIENTBUG",            3)
X(ARGUMENT,     "argument is not acceptable",          false, "501 5.5.4", "CANNOT",               3)
X(LIMIT,        "over a limit",                        false, "552 5.3.4", "LIMIT",                8)
X(BUSY,         "too much in flight, try again",       true,  "451 4.3.2", "INUSE",                8)
X(NOMEM,        "out of memory",                       true,  "451 4.3.0", "UNAVAILABLE",          8)
X(NOT_FOUND,    "does not exist",                      false, "550 5.1.1", "NONEXISTENT",          5)
X(EXISTS,       "exists already",                      false, "553 5.1.0", "ALREADYEXISTS",        6)
X(PRECONDITION, "state does not allow this",           false, "550 5.2.0", "CANNOT",               9)
X(CONFLICT,     "changed meanwhile, try again",        true,  "451 4.3.0", "UNAVAILABLE",         10)
X(AUTH,         "credentials refused",                 false, "535 5.7.8", "AUTHENTICATIONFAILED", 16)
X(DISABLED,     "account is disabled",                 false, "525 5.7.13", "",                    7)
X(DENIED,       "not permitted",                       false, "550 5.7.1", "NOPERM",               7)
X(PRIVACY,      "needs TLS first",                     false, "538 5.7.11", "PRIVACYREQUIRED",     9)
X(QUOTA,        "mailbox is full",                     false, "452 4.2.2", "OVERQUOTA",            8)
X(FULL,         "storage is full",                     true,  "452 4.3.1", "UNAVAILABLE",          8)
X(STALE,        "epoch is over, sign in again",        false, "421 4.7.0", "EXPIRED",              9)
X(MOVED,        "lives elsewhere",                     true,  "451 4.3.0", "UNAVAILABLE",          9)
X(NOT_LEADER,   "another member leads",                true,  "451 4.3.0", "UNAVAILABLE",         14)
X(UNAVAILABLE,  "not reachable now, nothing was done", true,  "451 4.3.0", "UNAVAILABLE",         14)
X(UNKNOWN,      "outcome is unknown, ask again",       true,  "451 4.3.0", "UNAVAILABLE",          4)
X(CANCELLED,    "cancelled",                           false, "451 4.3.0", "UNAVAILABLE",          1)
X(UNSUPPORTED,  "not supported",                       false, "502 5.5.1", "CANNOT",              12)
X(CORRUPT,      "damaged data",                        false, "451 4.3.0", "SERVERBUG",           15)
X(IO,           "input or output failed",              true,  "451 4.3.0", "UNAVAILABLE",         14)
X(CLOSED,       "closed",                              true,  "421 4.3.2", "UNAVAILABLE",         14)
X(INTERNAL,     "internal error",                      false, "451 4.3.0", "SERVERBUG",           13)
/* clang-format on */
