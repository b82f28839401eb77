# S24: a stranger waits for the eleventh answer.
peer untrusted
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S- 250
tick 999
S- 250
tick 1
S: 250 2.0.0 Ok
C: NOOP
tick 1000
S: 250 2.0.0 Ok
