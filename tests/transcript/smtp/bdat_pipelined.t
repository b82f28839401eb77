# PIPE-5: chunks may follow each other at once; their bytes are no input out of turn.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>

Cx BDAT 4\r\nQUITBDAT 2\r\n\r\nBDAT 6 LAST\r\nDATA\r\nNOOP\r\n
S: 250 2.0.0 4 octets received
S: 250 2.0.0 2 octets received
S: 250 2.0.0 Stored <any>
S: 250 2.0.0 Ok
body 1 QUIT\r\nDATA\r\n
