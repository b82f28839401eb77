# S6: command lines at their limits; the CRLF counts.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C* 1 NOOP 
C* 505 x
Cx \r\n
S: 250 2.0.0 Ok
C* 1 NOOP 
C* 506 x
Cx \r\n
S: 500 5.5.2 <any>
C: NOOP
S: 250 2.0.0 Ok
C* 1 MAIL FROM:<a@b.example> X=
C* 4068 x
Cx \r\n
S: 501 5.5.4 <any>
C* 1 MAIL FROM:<a@b.example> X=
C* 4069 x
Cx \r\n
S: 500 5.5.2 <any>
