# S5: NUL in the body of a chunk is kept; in its header it is not.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>

C: BDAT 14 LAST
Cx A: b\r\n\r\na\0b\r\n\0
S: 250 2.0.0 <any>
body 1 A: b\r\n\r\na\0b\r\n\0
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: BDAT 11 LAST
Cx A: \0\r\n\r\nab\r\n
S: 550 5.6.0 <any>
copies 1 1
