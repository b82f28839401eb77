# S20: sizes that cannot be.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>

C: BDAT -1
S: 501 5.5.4 <any>
C: BDAT
S: 501 5.5.4 <any>
C: BDAT x LAST
S: 501 5.5.4 <any>
C: BDAT 0 LAST
S: 501 5.5.4 <any>
C: BDAT 3
Cx abc
S: 503 5.5.1 <any>
C: NOOP
S: 250 2.0.0 Ok
