# RFC 3501 section 9: what is no fetch-att.
mailbox INBOX messages=1
S: * OK <any>
login
select INBOX
C: a1 FETCH 1
S: a1 BAD <any>
C: a2 FETCH 1 ()
S: a2 BAD <any>
C: a3 FETCH 1 (FLAGS
S: a3 BAD <any>
C: a4 FETCH 1 FLAGS)
S: a4 BAD <any>
C: a5 FETCH 1 COLOUR
S: a5 BAD <any>
C: a6 FETCH one FLAGS
S: a6 BAD <any>
C: a7 FETCH 1 (ALL)
S: a7 BAD <any>
C: a8 FETCH 1 FLAGS UID
S: a8 BAD <any>
