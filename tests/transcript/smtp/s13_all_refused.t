# DATA when every recipient was refused.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<nobody@dev.test>
S: 550 5.1.1 <any>
C: DATA
S: 554 5.5.1 <any>
