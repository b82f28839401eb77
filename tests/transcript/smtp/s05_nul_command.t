# S5: NUL in a command.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
Cx NO\0OP\r\n
S: 500 5.5.2 <any>
Cx MAIL FROM:<a\0@b.example>\r\n
S: 500 5.5.2 <any>
C: NOOP
S: 250 2.0.0 Ok
