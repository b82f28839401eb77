# S25: guessing recipients: from the eleventh refusal of a session on strangers wait; who is known is told at once.
peer tls untrusted
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
C: RSET
S: 250 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<nobody@dev.test>
S- 550
tick 1000
S: 550 5.1.1 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<x@elsewhere.example>
S- 550
tick 1000
S: 550 5.7.1 <any>
