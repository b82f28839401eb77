# S23: a byte every thirty seconds.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>

Cx a
tick 30000
Cx b
tick 30000
S: 421 4.4.2 <any>
S! closed
copies 1 0
