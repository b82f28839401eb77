# Outbound delivery is a later issue: said plainly.
service submission
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=
S: 235 2.7.0 <any>
C: MAIL FROM:<dev@dev.test>
S: 250 2.1.0 <any>
C: RCPT TO:<user@other.example>
S: 550 5.7.1 Outbound delivery is not built yet<any>
