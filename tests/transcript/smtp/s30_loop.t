# S30: a hundred Received fields are fine, one more is a loop.
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

C* 100 Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n
Cx \r\nx\r\n.\r\n
S: 250 2.0.0 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C* 101 Received: from a\r\n\tby b; Thu, 1 Jan 2026 00:00:00 +0000\r\n
Cx \r\nx\r\n.\r\n
S: 554 5.4.6 <any>
copies 1 1
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C* 1 Subject: x\r\n\r\n
C* 101 Received: in the body\r\n
C: .
S: 250 2.0.0 <any>
copies 1 2
