# S30: delivered to this recipient before.
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

Cx Delivered-To: Dev@dev.test\r\n\r\nx\r\n.\r\n
S: 554 5.4.6 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
Cx Delivered-To: other@dev.test\r\n\r\nx\r\n.\r\n
S: 250 2.0.0 <any>
copies 1 1
