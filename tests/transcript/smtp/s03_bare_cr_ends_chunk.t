# S3: a CR that the last chunk ends with is a bare one.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>

C: BDAT 8 LAST
Cx A: b\r\n\rX
S: 550 5.5.2 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: BDAT 7 LAST
Cx A: b\r\n\r
S: 550 5.5.2 <any>
copies 1 0
