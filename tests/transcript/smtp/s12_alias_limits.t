# S12: an alias in a circle, and one to very many; the limit of accounts for one message.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<loop@dev.test>
S: 550 5.4.6 <any>
C: RCPT TO:<many@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: .
S: 250 2.0.0 <any>
copies 100000 1
copies 100999 1
