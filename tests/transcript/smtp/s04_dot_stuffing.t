# S4: dots at the beginning of lines, whatever the segments (every cut is played).
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

Cx ..first\r\n...\r\n..\r\n.x\r\na.b\r\n..\r\n.\r\n
S: 250 2.0.0 <any>
body 1 .first\r\n..\r\n.\r\nx\r\na.b\r\n.\r\n
