# P18: a submission begins at the sender's own group, which knows whether the sign-in still holds.
service submission
S: 220 <any>
C: EHLO client.test
S* 250 DSN
C: AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=
S: 235 2.7.0 <any>
fail SHARD_QUOTA UNAVAILABLE
C: MAIL FROM:<dev@dev.test>
S: 451 4.3.0 <any>
C: MAIL FROM:<dev@dev.test>
S: 250 2.1.0 Sender ok
C: RSET
S: 250 <any>
fail SHARD_QUOTA STALE
C: MAIL FROM:<>
S: 421 4.7.0 Session is over, sign in again
S! closed
