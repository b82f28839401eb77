# S11: the same recipient again, and aliases that meet: one copy each.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<alias@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<both@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<dev@DEV.TEST>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: .
S: 250 2.0.0 <any>
copies 1 1
copies 2 1
