# A connection has ten wrong passwords.
service submission
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdAB3cm9uZw==
S: 535 5.7.8 <any>
S: 421 4.7.0 <any>
S! closed
