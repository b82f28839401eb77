# S28: international addresses need SMTPUTF8.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
Cx MAIL FROM:<\xc3\xa9@b.example>\r\n
S: 553 5.6.7 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
Cx RCPT TO:<j\xc3\xbcrgen@dev.test>\r\n
S: 553 5.6.7 <any>
C: RSET
S: 250 2.0.0 Ok
Cx MAIL FROM:<\xc3\xa9@b.example> SMTPUTF8\r\n
S: 250 2.1.0 <any>
Cx RCPT TO:<j\xc3\xbcrgen@dev.test>\r\n
S: 250 2.1.5 <any>
Cx RCPT TO:<j\xc0\xafrgen@dev.test>\r\n
S: 553 5.6.7 <any>
C: DATA
S: 354 <any>
C: .
S: 250 2.0.0 <any>
copies 9 1
trace 9 with UTF8SMTP
