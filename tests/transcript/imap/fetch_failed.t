# P6: a shard that cannot be reached is NO [UNAVAILABLE], and the session goes on.
mailbox INBOX messages=1
S: * OK <any>
login
select INBOX
fail SHARD_MESSAGE_FETCH UNAVAILABLE
C: a1 FETCH 1 FLAGS
S: a1 NO [UNAVAILABLE] <any>
C: a2 FETCH 1 FLAGS
S: * 1 FETCH (FLAGS (\Recent))
S: a2 OK <any>
