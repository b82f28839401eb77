# S5: NUL in a header field.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>

Cx Subject: a\0b\r\n\r\nhello\r\n.\r\n
S: 550 5.6.0 <any>
C: NOOP
S: 250 2.0.0 Ok
copies 1 0
