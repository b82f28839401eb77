# S6: what is too long is read past to its end.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C* 2000 0123456789
Cx \r\nNOOP\r\n
S: 500 5.5.2 <any>
S: 250 2.0.0 Ok
