# RFC 2180 section 4.2: STORE on a message that another session expunged.
mailbox INBOX messages=2
S: * OK <any>
login
select INBOX
other INBOX expunge 1
C: a1 STORE 1:2 +FLAGS (\Seen)
S: * 2 FETCH (FLAGS (\Seen \Recent))
S: a1 OK [EXPUNGEISSUED] <any>
C: a2 UID STORE 1 +FLAGS (\Seen)
S: * 1 EXPUNGE
S: a2 OK [EXPUNGEISSUED] <any>
