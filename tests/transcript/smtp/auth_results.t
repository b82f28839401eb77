# Acceptance 1.2: one table of answers; a wrong password and an unknown name read the same (A1, AUTH-1).
service submission
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 Authentication credentials invalid
C: AUTH PLAIN AG5vYm9keUBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 Authentication credentials invalid
C: AUTH PLAIN AGRpc2FibGVkQGRldi50ZXN0AHdyb25n
S: 535 5.7.8 Authentication credentials invalid
C: AUTH PLAIN AGRpc2FibGVkQGRldi50ZXN0AHNlY3JldA==
S: 525 5.7.13 Ask the desk
# "limited" is told as late as meta says.
C: AUTH PLAIN AGxpbWl0ZWRAZGV2LnRlc3QAc2VjcmV0
tick 999
S- 454
tick 1
S: 454 4.7.0 Too many sign-in attempts<any>
C: AUTH PLAIN AGRvd25AZGV2LnRlc3QAc2VjcmV0
S: 454 4.7.0 <any>
