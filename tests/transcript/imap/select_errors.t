# RFC 3501 section 6.3.1: a failed SELECT leaves nothing selected. I10: names are keys, never paths.
mailbox INBOX messages=1
S: * OK <any>
login
C: a1 SELECT INBOX
S* a1 OK [READ-WRITE] <any>
C: a2 SELECT nosuch
S: * OK [CLOSED] <any>
S: a2 NO [NONEXISTENT] <any>
C: a3 FETCH 1 FLAGS
S: a3 BAD <any>
C: a4 SELECT ../other
S: a4 NO [NONEXISTENT] <any>
C: a5 SELECT ~other
S: a5 NO [NONEXISTENT] <any>
C: a6 SELECT user/bob
S: a6 NO [NONEXISTENT] <any>
C: a7 SELECT
S: a7 BAD <any>
C: a8 SELECT INBOX (QUX)
S: a8 BAD <any>
