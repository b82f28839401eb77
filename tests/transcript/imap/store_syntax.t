# RFC 3501 section 6.4.6: \Recent and unknown system flags cannot be set; what is no STORE is BAD.
mailbox INBOX messages=1
S: * OK <any>
login
select INBOX
C: a1 STORE 1 +FLAGS (\Recent)
S: a1 BAD <any>
C: a2 STORE 1 +FLAGS (\Foo)
S: a2 BAD <any>
C: a3 STORE 1 FLAG (\Seen)
S: a3 BAD <any>
C: a4 STORE 1 +FLAGS
S: a4 BAD <any>
C: a5 STORE 1 +FLAGS (\Seen
S: a5 BAD <any>
C: a6 STORE 9 +FLAGS (\Seen)
S: a6 OK <any>
C: a7 STORE 0 +FLAGS (\Seen)
S: a7 BAD <any>
C: a8 STORE 1 +FLAGS (\*)
S: a8 BAD <any>
