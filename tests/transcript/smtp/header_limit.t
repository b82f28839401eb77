# A header of more than a mebibyte.
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

C* 13000 X-Filler: 0123456789012345678901234567890123456789012345678901234567890\r\n
Cx \r\n
C* 1 X-Filler: 0123456789012345678901234567890123456789012345678901234567890\r\n
C: .
S: 250 2.0.0 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C* 15000 X-Filler: 0123456789012345678901234567890123456789012345678901234567890\r\n
Cx \r\nx\r\n.\r\n
S: 552 5.3.4 <any>
