# S32: the client goes in the middle of the message: nothing is stored.
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

Cx hello\r\n
eof
S! closed
copies 1 0
