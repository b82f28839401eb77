# Signing in is for submission.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=
S: 503 5.5.1 <any>
