# S7: senders that are none.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
Cx MAIL FROM:<a\rb@c.example>\r\n
S: 501 5.5.2 <any>
Cx MAIL FROM:<a\nb@c.example>\r\n
S: 501 5.5.2 <any>
C: MAIL FROM:<<a@b.example>
S: 501 5.1.7 <any>
C: MAIL FROM:<"a@b.example>
S: 501 5.1.7 <any>
C: MAIL FROM:<a"b@c.example>
S: 501 5.1.7 <any>
C: MAIL FROM:a@b.example
S: 501 5.1.7 <any>
C: MAIL FROM:<a@b.example>x
S: 501 5.1.7 <any>
C: MAIL FROM:<a@b.example
S: 501 5.1.7 <any>
C: MAIL FROM:
S: 501 5.1.7 <any>
C: MAIL
S: 501 5.1.7 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
