# S16: no password over plaintext; nothing is sent without one.
peer untrusted
service submission
S: 220 <any>
C: EHLO client.example
S* 250-STARTTLS
S: 250 DSN
C: AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=
S: 538 5.7.11 <any>
C: MAIL FROM:<dev@dev.test>
S: 530 5.7.0 <any>
C: STARTTLS
S: 220 2.0.0 <any>
S! tls
C: EHLO client.example
S* 250-AUTH SCRAM-SHA-256 PLAIN LOGIN
S: 250 DSN
C: AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=
S: 235 2.7.0 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=
S: 503 5.5.1 <any>
C: EHLO client.example
S* 250-SIZE <n>
S: 250 DSN
