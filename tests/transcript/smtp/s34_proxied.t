# S34: strangers do not speak for others.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: XCLIENT ADDR=127.0.0.1
S: 550 5.7.1 <any>
C: XFORWARD ADDR=127.0.0.1
S: 550 5.7.1 <any>
C: PROXY TCP4 127.0.0.1 127.0.0.1 1 25
S: 550 5.7.1 <any>
C: GET / HTTP/1.1
S: 554 5.5.0 <any>
S! closed
