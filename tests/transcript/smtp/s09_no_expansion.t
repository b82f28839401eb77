# S9: what other servers expanded is an unknown user here.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<${run{/bin/sh}}@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<|cmd@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<"../../etc/passwd"@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<%s%n%n@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<../../etc/passwd@dev.test>
S: 550 5.1.1 <any>
C: RCPT TO:<a..b@dev.test>
S: 550 5.1.1 <any>
