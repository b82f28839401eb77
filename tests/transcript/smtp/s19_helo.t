# S19: names that are none.
service mx
S: 220 <any>
C: EHLO
S: 501 5.5.4 <any>
C: EHLO a b
S: 501 5.5.4 <any>
Cx EHLO a\x01b\r\n
S: 501 5.5.4 <any>
Cx EHLO a\nb\r\n
S: 501 5.5.2 <any>
C* 1 EHLO 
C* 10240 x
Cx \r\n
S: 501 5.5.4 <any>
C: HELO [192.0.2.1]
S: 250 mx.dev.test
C: HELO [IPv6:2001:db8::1]
S: 250 mx.dev.test
C: LHLO client.example
S: 500 5.5.2 <any>
