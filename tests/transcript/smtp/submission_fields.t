# RFC 6409 section 8: Date and Message-ID are added where they lack.
service submission
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<dev@dev.test>
S: 530 5.7.0 <any>
C: AUTH PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=
S: 235 2.7.0 <any>
C: MAIL FROM:<dev@dev.test>
S: 250 2.1.0 <any>
C: RCPT TO:<two@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: Subject: x
C:
C: hello
C: .
S: 250 2.0.0 <any>
has 2 Subject: x\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <
has 2 @mx.dev.test>\r\n\r\nhello\r\n
trace 2 with ESMTPA
C: MAIL FROM:<dev@dev.test>
S: 250 2.1.0 <any>
C: RCPT TO:<two@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: date: Mon, 1 Jan 2024 00:00:00 +0000
C: Message-Id : <a@b>
C:
C: hello
C: .
S: 250 2.0.0 <any>
body 2 date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-Id : <a@b>\r\n\r\nhello\r\n
C: MAIL FROM:<dev@dev.test>
S: 250 2.1.0 <any>
C: RCPT TO:<two@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
C: no header at all
C: .
S: 250 2.0.0 <any>
has 2 Message-ID: <
has 2 >\r\n\r\nno header at all\r\n
