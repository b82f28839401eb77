# S27: no relay, in no disguise.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<user@other.example>
S: 550 5.7.1 Relaying is denied
C: RCPT TO:<user%other.example@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<@dev.test:user@other.example>
S: 550 5.7.1 <any>
C: RCPT TO:<"user@other.example"@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<other.example!user@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<dev@[192.0.2.2]>
S: 550 5.1.1 <any>
