# RSET ends the transaction, and only that.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>

C: RSET
S: 250 2.0.0 Ok
C: DATA
S: 503 5.5.1 <any>
C: RSET now
S: 501 5.5.4 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: .
S: 250 2.0.0 <any>
