# I25: a thousand pipelined commands; reading stops and goes on.
mailbox INBOX messages=1
S: * OK <any>
login
select INBOX
C* 1000 a FETCH 1 FLAGS\r\n
C: end NOOP
S* end OK <any>
