# RFC 2920: a batch of commands is answered in order.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
Cx MAIL FROM:<a@b.example>\r\nRCPT TO:<dev@dev.test>\r\nRCPT TO:<nobody@dev.test>\r\nRCPT TO:<two@dev.test>\r\nDATA\r\n
S: 250 2.1.0 <any>
S: 250 2.1.5 <any>
S: 550 5.1.1 <any>
S: 250 2.1.5 <any>
S: 354 <any>
Cx hello\r\n.\r\nMAIL FROM:<a@b.example>\r\nRSET\r\nQUIT\r\n
S: 250 2.0.0 <any>
S: 250 2.1.0 <any>
S: 250 2.0.0 Ok
S: 221 2.0.0 Bye
S! closed
copies 1 1
copies 2 1
