# RFC 3030: a message in chunks, the last one empty; nothing is unstuffed.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>

C: BDAT 8
Cx A: b\r\n\r\n
S: 250 2.0.0 8 octets received
C: BDAT 5
Cx ..\r\n\r
S: 250 2.0.0 5 octets received
C: BDAT 4
Cx \n.\r\n
S: 250 2.0.0 4 octets received
C: BDAT 0 LAST
S: 250 2.0.0 Stored <any>
body 1 A: b\r\n\r\n..\r\n\r\n.\r\n
