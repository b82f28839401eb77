# RFC 3030: a chunk that is not wanted is read past.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: BDAT 6 LAST
Cx NOOP\r\n
S: 503 5.5.1 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: BDAT 6
Cx QUIT\r\n
S: 503 5.5.1 <any>
C: RSET
S: 250 2.0.0 Ok
