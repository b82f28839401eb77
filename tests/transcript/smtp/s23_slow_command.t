# S23: single bytes do not put it off.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
Cx N
tick 200000
Cx O
tick 99999
Cx O
tick 1
S: 421 4.4.2 <any>
S! closed
