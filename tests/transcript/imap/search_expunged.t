# A message that this session has not been told of is not reported (EXISTS comes first).
mailbox INBOX messages=2
S: * OK <any>
login
select INBOX
other INBOX append
C: a1 SEARCH ALL
S: * SEARCH 1 2
S: a1 OK <any>
C: a2 UID SEARCH ALL
S: * SEARCH 1 2
S: * 3 EXISTS
S: * 3 RECENT
S: a2 OK <any>
C: a3 SEARCH ALL
S: * SEARCH 1 2 3
S: a3 OK <any>
