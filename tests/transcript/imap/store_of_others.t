# What others change is told at the end of the next command that may tell it; own changes are not told again.
mailbox INBOX messages=2
S: * OK <any>
login
select INBOX
other INBOX store 2 \Flagged
C: a1 STORE 1 +FLAGS (\Seen)
S: * 1 FETCH (FLAGS (\Seen \Recent))
S: a1 OK <any>
C: a2 NOOP
S: * 2 FETCH (UID 2 FLAGS (\Flagged \Recent))
S: a2 OK <any>
C: a3 NOOP
S: a3 OK <any>
