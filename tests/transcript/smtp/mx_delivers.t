# RFC 5321 appendix D.1: a message for one recipient.
service mx
S: 220 mx.dev.test ESMTP Volary (id <hex>)
C: EHLO client.example
S: 250-mx.dev.test
S: 250-PIPELINING
S: 250-8BITMIME
S: 250-SMTPUTF8
S: 250-CHUNKING
S: 250-ENHANCEDSTATUSCODES
S: 250-SIZE 52428800
S: 250-STARTTLS
S: 250 DSN
C: MAIL FROM:<a@b.example> SIZE=100
S: 250 2.1.0 Sender ok
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 End with <CRLF>.<CRLF>
C: Subject: x
C:
C: hello
C: ..dot
C: .
S: 250 2.0.0 Stored (id <hex>)
body 1 Subject: x\r\n\r\nhello\r\n.dot\r\n
trace 1 Received: from client.example ([192.0.2.1])\r\n\tby mx.dev.test with ESMTP\r\n\tid
C: QUIT
S: 221 2.0.0 Bye
S! closed
