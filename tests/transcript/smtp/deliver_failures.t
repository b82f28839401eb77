# P3: what the shard cannot take is answered, and nothing is stored.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>

fail SHARD_MESSAGE_DELIVER FULL
C: DATA
S: 354 <any>
C: .
S: 452 4.3.1 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
fail SHARD_MESSAGE_DELIVER LIMIT
C: DATA
S: 354 <any>
C: .
S: 552 5.3.4 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
fail SHARD_MESSAGE_DELIVER NOT_FOUND
C: DATA
S: 354 <any>
C: .
S: 451 4.3.0 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<full@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: .
S: 452 4.2.2 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<gone@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: .
S: 451 4.2.1 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<refused@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: .
S: 550 5.7.1 <any>
copies 1 0
