# S5: NUL in the body of DATA.
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

Cx Subject: a\r\n\r\nhel\0lo\r\n.\r\n
S: 550 5.6.0 <any>
copies 1 0
