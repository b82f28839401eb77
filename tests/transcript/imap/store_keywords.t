# RFC 3501 section 7.2.6: a new keyword is told by FLAGS before it is shown. I19: 64 bytes at most.
mailbox INBOX messages=1
S: * OK <any>
login
select INBOX
C: a1 STORE 1 +FLAGS ($Junk Work)
S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Junk Work)
S: * OK [PERMANENTFLAGS (<any>$Junk Work \*)] <any>
S: * 1 FETCH (FLAGS (\Recent $Junk Work))
S: a1 OK <any>
C: a2 STORE 1 -FLAGS work
S: * 1 FETCH (FLAGS (\Recent $Junk))
S: a2 OK <any>
Cx a3 STORE 1 +FLAGS (
C* 65 k
C: )
S: a3 NO [LIMIT] <any>
