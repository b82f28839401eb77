# I15: sections that cannot be are BAD, those that are not there NIL.
mailbox INBOX messages=1
S: * OK <any>
login
select INBOX
C: a1 FETCH 1 BODY.PEEK[0]
S: a1 BAD <any>
C: a2 FETCH 1 BODY.PEEK[1.0]
S: a2 BAD <any>
Cx a3 FETCH 1 BODY.PEEK[1
C* 199 .1
C: ]
S: a3 BAD <any>
Cx a4 FETCH 1 BODY.PEEK[1
C* 60 .1
C: ]
S: * 1 FETCH (BODY[1.<any>] NIL)
S: a4 OK <any>
C: a5 FETCH 1 BODY.PEEK[4294967295]
S: * 1 FETCH (BODY[65535] NIL)
S: a5 OK <any>
C: a6 FETCH 1 BODY.PEEK[]<4294967295.4294967295>
S: * 1 FETCH (BODY[]<4294967295> {0}
S: )
S: a6 OK <any>
C: a7 FETCH 1 BODY.PEEK[]<4294967296.1>
S: a7 BAD <any>
C: a8 FETCH 1 BODY.PEEK[]<1.0>
S: a8 BAD <any>
C: a9 FETCH 1 BODY.PEEK[MIME]
S: a9 BAD <any>
C: b1 FETCH 1 BODY.PEEK[1.]
S: b1 BAD <any>
C: b2 FETCH 1 BODY.PEEK[HEADER.FIELDS ()]
S: b2 BAD <any>
C: b3 FETCH 1 BODY.PEEK[HEADER
S: b3 BAD <any>
Cx b4 FETCH 1 BODY.PEEK[HEADER.FIELDS (a
C* 1000 \x20a
C: )]
S: b4 BAD <any>
C: b5 FETCH 1 BODY.PEEK[HEADER.FIELDS ("X y" {3+}
C: To )]
S: * 1 FETCH (BODY[HEADER.FIELDS ("X y" "To ")] {2}
S:
S: )
S: b5 OK <any>
