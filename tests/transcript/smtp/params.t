# RFC 3461, 6152: parameters that are known, and those that are not.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example> BODY=8BITMIME RET=HDRS ENVID=abc AUTH=<>
S: 250 2.1.0 <any>
C: RCPT TO:<dev@dev.test> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;dev@dev.test
S: 250 2.1.5 <any>
C: RCPT TO:<two@dev.test> NOTIFY=NEVER,SUCCESS
S: 501 5.5.4 <any>
C: RCPT TO:<two@dev.test> FOO=1
S: 555 5.5.4 <any>
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@b.example> BODY=BINARYMIME
S: 501 5.5.4 <any>
C: MAIL FROM:<a@b.example> FOO
S: 555 5.5.4 <any>
C: MAIL FROM:<a@b.example> =x
S: 501 5.5.4 <any>
C: mail from: <a@b.example> size=10
S: 250 2.1.0 <any>
