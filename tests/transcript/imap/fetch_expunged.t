# I26, RFC 2180: messages that others expunged meanwhile: what is left comes, and OK [EXPUNGEISSUED].
mailbox INBOX messages=3
S: * OK <any>
login
select INBOX
other INBOX expunge 2
C: a1 FETCH 1:3 (FLAGS)
S: * 1 FETCH (FLAGS (\Recent))
S: * 3 FETCH (FLAGS (\Recent))
S: a1 OK [EXPUNGEISSUED] <any>
C: a2 NOOP
S: * 2 EXPUNGE
S: a2 OK <any>
C: a3 FETCH 2 UID
S: * 2 FETCH (UID 3)
S: a3 OK <any>
