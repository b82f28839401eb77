# S33: responses that are none; another try is not disturbed.
service submission
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: AUTH PLAIN
S: 334 
C: *
S: 501 5.7.0 <any>
C: AUTH PLAIN !!!!
S: 501 5.5.2 <any>
C: AUTH PLAIN =
S: 501 5.5.2 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ
S: 501 5.5.2 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ= x
S: 501 5.5.2 <any>
C: AUTH PLAIN
S: 334 
C* 102400 A
Cx \r\n
S: 501 5.5.2 <any>
C: AUTH
S: 501 5.5.4 <any>
C: AUTH CRAM-MD5
S: 504 5.5.4 <any>
C: AUTH SCRAM-SHA-256-PLUS
S: 504 5.5.4 <any>
C: AUTH PLAIN dHdvAGRldkBkZXYudGVzdABzZWNyZXQ=
S: 535 5.7.8 <any>
C: AUTH PLAIN ZGV2QGRldi50ZXN0AGRldkBkZXYudGVzdABzZWNyZXQ=
S: 235 2.7.0 <any>
