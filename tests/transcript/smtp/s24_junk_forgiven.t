# S24: a delivery forgives what was before.
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
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: .
S: 250 2.0.0 <any>
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
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
C: NOOP
S: 250 2.0.0 Ok
