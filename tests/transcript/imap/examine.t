# RFC 3501 section 6.3.2: EXAMINE changes nothing: no \Recent taken, no \Seen set, STORE and EXPUNGE refused.
mailbox INBOX messages=2
S: * OK <any>
login
C: a1 EXAMINE INBOX
S: * FLAGS (<any>)
S: * OK [PERMANENTFLAGS ()] <any>
S: * 2 EXISTS
S: * 2 RECENT
S: * OK [UNSEEN 1] <any>
S: * OK [UIDVALIDITY <n>] <any>
S: * OK [UIDNEXT 3] <any>
S: * OK [HIGHESTMODSEQ <n>] <any>
S: * OK [MAILBOXID <any>
S: a1 OK [READ-ONLY] <any>
C: a2 STORE 1 +FLAGS (\Seen)
S: a2 NO [READ-ONLY] <any>
C: a3 EXPUNGE
S: a3 NO [READ-ONLY] <any>
C: a4 FETCH 1 BODY[TEXT]
S: * 1 FETCH (BODY[TEXT] {9}
S: Hello 1
S: )
S: a4 OK <any>
C: a5 FETCH 1 FLAGS
S: * 1 FETCH (FLAGS (\Recent))
S: a5 OK <any>
C: a6 MOVE 1 Trash
S: a6 NO [READ-ONLY] <any>
C: a7 CLOSE
S: a7 OK <any>
C: a8 SELECT INBOX
S* * 2 RECENT
S* a8 OK [READ-WRITE] <any>
