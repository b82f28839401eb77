# I13: "1,1,1,..." thousands of times is one message.
mailbox INBOX messages=2
S: * OK <any>
login
select INBOX
Cx a1 FETCH 1
C* 9000 ,1
C:  UID
S: * 1 FETCH (UID 1)
S: a1 OK <any>
