# S20: the largest number; what follows could not be told from commands.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>

C: BDAT 18446744073709551615
S: 501 5.5.4 <any>
S! closed
