# IMAP-N8: without the change feed every command asks the shard; the feed is opened again, and IDLE goes on from there.
mailbox INBOX messages=1
S: * OK <any>
login
fail SHARD_ACCOUNT_WATCH UNAVAILABLE
select INBOX
other INBOX append
C: a1 UID FETCH 1 FLAGS
S: * 1 FETCH (UID 1 FLAGS (\Recent))
S: * 2 EXISTS
S: * 2 RECENT
S: a1 OK <any>
fail SHARD_ACCOUNT_WATCH UNAVAILABLE
C: a2 IDLE
S: + idling
other INBOX append
tick 2500
S: * 3 EXISTS
S: * 3 RECENT
tick 60000
other INBOX append
S: * 4 EXISTS
S: * 4 RECENT
C: DONE
S: a2 OK <any>
