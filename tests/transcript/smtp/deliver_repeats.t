# A call that is lost is repeated while the whole message is at hand.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>

fail SHARD_MESSAGE_DELIVER UNAVAILABLE
C: DATA
S: 354 <any>
C: .
tick 49
S- 250
tick 1
S: 250 2.0.0 <any>
copies 1 1
