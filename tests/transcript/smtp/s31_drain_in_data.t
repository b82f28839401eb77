# S31: shutdown while a message comes: it is finished and answered.
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

Cx hello\r\n
drain
Cx .\r\n
S: 250 2.0.0 <any>
S: 421 4.3.2 <any>
S! closed
copies 1 1
