# I16: 64 items a command; one more is refused before anything is read.
mailbox INBOX messages=1
S: * OK <any>
login
select INBOX
Cx a1 FETCH 1 (BODY.PEEK[TEXT]
C* 64 \x20BODY.PEEK[TEXT]
C: )
S: a1 NO [LIMIT] <any>
Cx a2 FETCH 1 (BODY.PEEK[2]
C* 63 \x20BODY.PEEK[2]
C: )
S: * 1 FETCH (BODY[2] NIL<any>BODY[2] NIL)
S: a2 OK <any>
