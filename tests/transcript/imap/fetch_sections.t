# RFC 3501 section 6.4.5: sections of a message, with and without setting \Seen.
mailbox INBOX
message INBOX
| From: a@dev.test
| Subject: Sections
| X-Other: 1
|
| First line
| Second line
S: * OK <any>
login
select INBOX
C: a1 FETCH 1 BODY.PEEK[HEADER]
S: * 1 FETCH (BODY[HEADER] {51}
S: From: a@dev.test
S: Subject: Sections
S: X-Other: 1
S:
S: )
S: a1 OK <any>
C: a2 FETCH 1 (BODY.PEEK[HEADER.FIELDS (subject X-none)] BODY.PEEK[HEADER.FIELDS.NOT (From)])
S: * 1 FETCH (BODY[HEADER.FIELDS (subject X-none)] {21}
S: Subject: Sections
S:
S:  BODY[HEADER.FIELDS.NOT (From)] {33}
S: Subject: Sections
S: X-Other: 1
S:
S: )
S: a2 OK <any>
C: a3 FETCH 1 BODY.PEEK[1]
S: * 1 FETCH (BODY[1] {25}
S: First line
S: Second line
S: )
S: a3 OK <any>
C: a4 FETCH 1 (BODY.PEEK[2] BODY.PEEK[1.MIME] BODY.PEEK[1.2.3.TEXT])
S: * 1 FETCH (BODY[2] NIL BODY[1.MIME] NIL BODY[1.2.3.TEXT] NIL)
S: a4 OK <any>
C: a5 FETCH 1 BODY.PEEK[TEXT]<0.5>
S: * 1 FETCH (BODY[TEXT]<0> {5}
S: First)
S: a5 OK <any>
C: a6 FETCH 1 BODY.PEEK[TEXT]<20.4294967295>
S: * 1 FETCH (BODY[TEXT]<20> {5}
S: ine
S: )
S: a6 OK <any>
C: a7 FETCH 1 BODY.PEEK[TEXT]<1000.5>
S: * 1 FETCH (BODY[TEXT]<1000> {0}
S: )
S: a7 OK <any>
C: a8 FETCH 1 FLAGS
S: * 1 FETCH (FLAGS (\Recent))
S: a8 OK <any>
