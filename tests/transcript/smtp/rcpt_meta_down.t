# Meta cannot be asked: never a refusal for good.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
fail META_RESOLVE UNAVAILABLE
C: RCPT TO:<dev@dev.test>
S: 451 4.3.0 <any>
fail META_RESOLVE DENIED
C: RCPT TO:<dev@dev.test>
S: 451 4.3.0 <any>
fail META_RESOLVE ARGUMENT
C: RCPT TO:<dev@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
