# P5: what SELECT says of identity does not change; a mailbox is left before another is opened.
mailbox INBOX uidvalidity=7 messages=2
S: * OK <any>
login
C: a1 SELECT INBOX
S* * OK [UIDVALIDITY 7] <any>
S: * OK [UIDNEXT 3] <any>
S* a1 OK <any>
C: a2 STORE 2 +FLAGS.SILENT (\Deleted)
S: a2 OK <any>
C: a3 CLOSE
S: a3 OK <any>
C: a4 APPEND INBOX {1+}
C: x
S: a4 OK [APPENDUID 7 3] <any>
C: a5 EXAMINE INBOX
S* * 2 EXISTS
S* * OK [UIDVALIDITY 7] <any>
S: * OK [UIDNEXT 4] <any>
S* a5 OK [READ-ONLY] <any>
C: a6 FETCH 1:* UID
S: * 1 FETCH (UID 1)
S: * 2 FETCH (UID 3)
S: a6 OK <any>
