# P4, I20: bare LF and CR are stored as sent; NUL comes by literal8 only to those who send it.
S: * OK <any>
login
select INBOX
Cx a1 APPEND INBOX {9+}\r\na\nb\rc\n\r\nd\r\n
S: * 1 EXISTS
S: * 1 RECENT
S: a1 OK <any>
C: a2 FETCH 1 (RFC822.SIZE BODY.PEEK[]<0.2>)
S: * 1 FETCH (RFC822.SIZE 9 BODY[]<0> {2}
S: a
S: )
S: a2 OK <any>
