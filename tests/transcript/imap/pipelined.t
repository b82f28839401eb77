# I25: pipelined commands run in order; SELECT and FETCH mix.
mailbox INBOX messages=1
mailbox Work messages=2
S: * OK <any>
login
Cx a1 SELECT INBOX\r\na2 FETCH 1 UID\r\na3 SELECT Work\r\na4 FETCH 1:* UID\r\na5 NOOP\r\na6 LOGOUT\r\n
S* a1 OK <any>
S: * 1 FETCH (UID 1)
S: a2 OK <any>
S* a3 OK <any>
S: * 1 FETCH (UID 1)
S: * 2 FETCH (UID 2)
S: a4 OK <any>
S: a5 OK <any>
S: * BYE <any>
S: a6 OK <any>
S! closed
