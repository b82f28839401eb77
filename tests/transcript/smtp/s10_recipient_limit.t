# S10: the recipient behind the limit, and those before it are kept.
service mx rcpts=2
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<two@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<far@dev.test>
S: 452 4.5.3 <any>
C: RCPT TO:<far@dev.test>
S: 452 4.5.3 <any>
C: DATA
S: 354 <any>
C: .
S: 250 2.0.0 <any>
copies 1 1
copies 2 1
copies 3 0
