# S3: a bare CR in a chunk; the session stays in step by the count.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>

C: BDAT 17 LAST
Cx Subject: x\r\n\r\na\rb
S: 550 5.5.2 <any>
C: NOOP
S: 250 2.0.0 Ok
copies 1 0
