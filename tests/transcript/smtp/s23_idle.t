# S23: a command that does not come, or comes one byte at a time.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
tick 299999
tick 1
S: 421 4.4.2 <any>
S! closed
