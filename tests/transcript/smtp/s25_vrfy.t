# S25: nothing is told about names.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: VRFY dev
S: 252 2.5.0 <any>
C: VRFY nobody
S: 252 2.5.0 <any>
C: EXPN both
S: 502 5.5.1 <any>
C: HELP
S: 214 2.0.0 EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY EXPN HELP QUIT STARTTLS
