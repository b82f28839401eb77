# S22: a message that is larger than it said and than the limit.
service mx size=1000
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example> SIZE=10
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C* 12 0123456789012345678901234567890123456789012345678901234567890123456789012345678\r\n
C* 1 xxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n
C: .
S: 552 5.3.4 <any>
C: NOOP
S: 250 2.0.0 Ok
copies 1 0
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C* 12 0123456789012345678901234567890123456789012345678901234567890123456789012345678\r\n
C* 1 xxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n
C: .
S: 552 5.3.4 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C* 12 0123456789012345678901234567890123456789012345678901234567890123456789012345678\r\n
C* 1 xxxxxxxxxxxxxxxxxxxxxxxxxx\r\n
C: .
S: 250 2.0.0 <any>
copies 1 1
