# S22: the same in chunks.
service mx size=10
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: BDAT 10
Cx A: b\r\n\r\nab
S: 250 2.0.0 10 octets received
C: BDAT 1 LAST
Cx c
S: 552 5.3.4 <any>
C: NOOP
S: 250 2.0.0 Ok
copies 1 0
