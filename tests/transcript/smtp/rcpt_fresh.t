# A refusal is certain: meta is asked a second time, fresh.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<late@dev.test>
S: 250 2.1.5 <any>
lookups 2
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
lookups 4
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
lookups 5
C: RCPT TO:<closed@dev.test>
S: 550 5.2.1 <any>
C: RCPT TO:<postmaster>
S: 250 2.1.5 <any>
