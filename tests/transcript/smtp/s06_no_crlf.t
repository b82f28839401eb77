# S6: a megabyte without a line end.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C* 16384 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
S: 500 5.5.2 Line too long
S! closed
