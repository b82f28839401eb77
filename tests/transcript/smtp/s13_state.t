# S13: commands out of their order.
service mx
S: 220 <any>
C: MAIL FROM:<a@b.example>
S: 503 5.5.1 <any>
C: RCPT TO:<dev@dev.test>
S: 503 5.5.1 <any>
C: DATA
S: 503 5.5.1 <any>
C: STARTTLS
S: 503 5.5.1 <any>
C: HELO client.example
S: 250 mx.dev.test
C: DATA
S: 503 5.5.1 <any>
C: RCPT TO:<dev@dev.test>
S: 503 5.5.1 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: MAIL FROM:<a@b.example>
S: 503 5.5.1 <any>
C: DATA
S: 503 5.5.1 <any>
C: HELO other.example
S: 503 5.5.1 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: EHLO other.example
S: 503 5.5.1 <any>
C: DATA
S: 354 <any>
C: .
S: 250 2.0.0 <any>
trace 1 from client.example ([192.0.2.1])
trace 1 with SMTP
