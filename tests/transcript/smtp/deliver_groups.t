# P2: two groups, one answer.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<pair@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<two@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C* 3000 0123456789012345678901234567890123456789012345678901234567890123456789\r\n
C: .
S: 250 2.0.0 <any>
copies 1 1
copies 2 1
copies 3 1
