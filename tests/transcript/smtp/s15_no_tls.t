# STARTTLS where there is no certificate.
peer no-starttls
service mx
S: 220 <any>
C: EHLO client.example
S: 250-mx.dev.test
S: 250-PIPELINING
S: 250-8BITMIME
S: 250-SMTPUTF8
S: 250-CHUNKING
S: 250-ENHANCEDSTATUSCODES
S: 250-SIZE <n>
S: 250 DSN
C: STARTTLS
S: 454 4.7.0 <any>
