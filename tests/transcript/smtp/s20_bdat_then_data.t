# S20: DATA and others behind a chunk; RSET ends it.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>

C: BDAT 6
Cx A: b\r\n
S: 250 2.0.0 6 octets received
C: DATA
S: 503 5.5.1 <any>
C: RCPT TO:<two@dev.test>
S: 503 5.5.1 <any>
C: MAIL FROM:<a@b.example>
S: 503 5.5.1 <any>
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: .
S: 250 2.0.0 <any>
copies 1 1
