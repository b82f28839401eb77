# P6: NOOP sees what was acked or says that it cannot.
mailbox INBOX messages=1
S: * OK <any>
login
select INBOX
other INBOX append
fail SHARD_MAILBOX_SYNC UNAVAILABLE
C: a1 NOOP
S: a1 NO [UNAVAILABLE] <any>
C: a2 NOOP
S: * 2 EXISTS
S: * 2 RECENT
S: a2 OK <any>
