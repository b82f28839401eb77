# S2: CR LF . CR inside DATA is refused, and what stands behind it is never a command (PIPE-6).
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test>
S: 250 2.1.5 <any>
C: DATA
S: 354 <any>
Cx Subject: x\r\n\r\nhello\r\n.\rxMAIL FROM:<evil@b.example>\r\nRCPT TO:<two@dev.test>\r\n
S: 550 5.5.2 <any>
S! closed
copies 1 0
copies 2 0
