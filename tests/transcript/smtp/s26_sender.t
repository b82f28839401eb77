# S26: a submission is sent in a name of the account.
service submission
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=
S: 235 2.7.0 <any>
C: MAIL FROM:<two@dev.test>
S: 553 5.7.1 <any>
C: MAIL FROM:<someone@else.example>
S: 553 5.7.1 <any>
C: MAIL FROM:<alias@dev.test>
S: 250 2.1.0 <any>
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<>
S: 250 2.1.0 <any>
