# P8: a call that the shard refuses for its epoch ends the session.
mailbox INBOX messages=1
S: * OK <any>
login
select INBOX
fail SHARD_MESSAGE_FETCH STALE
C: a1 FETCH 1 FLAGS
S: * BYE <any>
S! closed
