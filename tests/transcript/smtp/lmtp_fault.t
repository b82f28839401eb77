# RFC 2033: a fault of the message is told for each recipient.
service lmtp size=5
S: 220 <any>
C: LHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: RCPT TO:<two@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: hello
C: .
S: 552 5.3.4 <any>
S: 552 5.3.4 <any>
