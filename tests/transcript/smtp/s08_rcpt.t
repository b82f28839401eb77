# S8: recipients that are none.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<"">
S: 501 5.1.3 <any>
C: RCPT TO:<""@dev.test>
S: 501 5.1.3 <any>
C: RCPT TO:<@>
S: 501 5.1.3 <any>
C: RCPT TO:<>
S: 501 5.1.3 <any>
C: RCPT TO:<dev@dev.test\>
S: 501 5.1.3 <any>
C: RCPT TO:<"dev\>
S: 501 5.1.3 <any>
C: RCPT TO:<"dev\"@dev.test>
S: 501 5.1.3 <any>
C: RCPT TO:<dev@>
S: 501 5.1.3 <any>
C: RCPT TO:<@dev.test>
S: 501 5.1.3 <any>
C* 1 RCPT TO:<
C* 256 x
Cx @dev.test>\r\n
S: 501 5.1.3 <any>
lookups 0
