# S6: a line of a megabyte in a message.
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

Cx Subject: x\r\n\r\n
C* 16384 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
Cx \r\n.\r\n
S: 250 2.0.0 <any>
copies 1 1
