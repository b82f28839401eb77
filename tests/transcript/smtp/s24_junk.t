# S24: commands that do no work: slow from the eleventh on for strangers, over with the twenty-first.
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
C: VRFY x
S: 252 <any>
C: VRFY x
S: 252 <any>
C: VRFY x
S: 252 <any>
C: VRFY x
S: 252 <any>
C: VRFY x
S: 252 <any>
C: RSET
S: 250 <any>
C: RSET
S: 250 <any>
C: RSET
S: 250 <any>
C: RSET
S: 250 <any>
C: RSET
S: 250 <any>
C: FOO
S: 500 <any>
C: FOO
S: 500 <any>
C: FOO
S: 500 <any>
C: FOO
S: 500 <any>
C: FOO
S: 500 <any>

C: EXPN x
S: 502 5.5.1 <any>
S: 421 4.7.0 <any>
S! closed
