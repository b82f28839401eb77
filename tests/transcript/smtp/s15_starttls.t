# S16, RFC 3207: everything said before is forgotten with TLS; no second time.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: STARTTLS
S: 220 2.0.0 <any>
S! tls
C: MAIL FROM:<a@b.example>
S: 503 5.5.1 <any>
C: STARTTLS
S: 503 5.5.1 <any>
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
S: 503 5.5.1 <any>
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: .
S: 250 2.0.0 <any>
trace 1 with ESMTPS (TLSv1.3 TLS_AES_128_GCM_SHA256)
