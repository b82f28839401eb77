# S31: shutdown while commands are awaited.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>

drain
S: 421 4.3.2 <any>
S! closed
copies 1 0
