# RFC 3501 section 2.3.2: keywords are shown by name.
mailbox INBOX
message INBOX flags=\Seen,$Forwarded,Work
| Subject: x
|
| y
message INBOX flags=\Flagged
| Subject: x
|
| y
S: * OK <any>
login
C: a1 SELECT INBOX
S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Forwarded Work)
S: * OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft $Forwarded Work \*)] <any>
S* a1 OK <any>
C: a2 FETCH 1:2 FLAGS
S: * 1 FETCH (FLAGS (\Seen \Recent $Forwarded Work))
S: * 2 FETCH (FLAGS (\Flagged \Recent))
S: a2 OK <any>
C: a3 FETCH 1 (UID FLAGS RFC822.SIZE)
S: * 1 FETCH (UID 1 RFC822.SIZE <n> FLAGS (\Seen \Recent $Forwarded Work))
S: a3 OK <any>
