# From the second wrong password on strangers wait.
peer tls untrusted
service submission
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S- 535
tick 1000
S: 535 5.7.8 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
tick 1000
S- 535
tick 1000
S: 535 5.7.8 <any>
