# A client that writes its commands and closes gets its answers.
mailbox INBOX messages=1
S: * OK <any>
Cx a1 LOGIN dev@dev.test secret\r\na2 SELECT INBOX\r\na3 FETCH 1 UID\r\n
eof
S* a1 OK <any>
S* a2 OK <any>
S: * 1 FETCH (UID 1)
S: a3 OK <any>
S! closed
