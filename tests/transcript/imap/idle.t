# RFC 2177: what others do is told while it happens; DONE ends it.
mailbox INBOX messages=2
S: * OK <any>
login
select INBOX
C: a1 IDLE
S: + idling
other INBOX append
S: * 3 EXISTS
S: * 3 RECENT
other INBOX store 1 \Seen
S: * 1 FETCH (UID 1 FLAGS (\Seen \Recent))
other INBOX expunge 2
S: * 2 EXPUNGE
other Trash append
C: DONE
S: a1 OK <any>
C: a2 FETCH 1:* UID
S: * 1 FETCH (UID 1)
S: * 2 FETCH (UID 3)
S: a2 OK <any>
