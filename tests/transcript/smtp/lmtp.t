# RFC 2033: one answer for each recipient.
service lmtp
S: 220 mx.dev.test LMTP <any>
C: EHLO client.example
S: 500 5.5.2 <any>
C: LHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<full@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<far@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<mixed@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: hello
C: .
S: 250 2.0.0 <any>
S: 452 4.2.2 <any>
S: 250 2.0.0 <any>
S: 451 4.3.0 <any>
S: 250 2.0.0 <any>
copies 1 1
copies 3 1
copies 4 0
trace 1 with LMTP
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: DATA
S: 503 5.5.1 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<two@dev.test>
S: 250 2.1.5 <any>
C: BDAT 6 LAST
Cx A: b\r\n
S: 250 2.0.0 <any>
S: 250 2.0.0 <any>
