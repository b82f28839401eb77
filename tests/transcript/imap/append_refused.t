# I20: an empty or too large message is NO [TOOBIG]; a day that is none is BAD; the session goes on.
S: * OK <any>
login
C: a1 APPEND INBOX {0+}
C:
S: a1 NO [TOOBIG] <any>
C: a2 APPEND INBOX {52428801}
S: a2 NO [TOOBIG] <any>
C: a3 APPEND INBOX "31-Feb-2020 10:00:00 +0100" {5}
S: + OK
C: abcde
S: a3 BAD <any>
C: a4 APPEND INBOX
S: a4 BAD <any>
C: a5 APPEND INBOX (\Recent) {3+}
C: abc
S: a5 BAD <any>
C: a6 APPEND INBOX {3+}
C: abc x
S: a6 BAD <any>
C: a7 APPEND INBOX {3+}
C: abc {3+}
S: * BYE <any>
S: a7 BAD <any>
S! closed
count INBOX 0
