# RFC 3501 section 6.3.1 and 6.4.5: SELECT tells flags, counts and UIDs; FETCH tells what is asked.
mailbox INBOX uidvalidity=7 messages=3
S: * OK <any>
C: a1 LOGIN dev@dev.test secret
S: a1 OK [CAPABILITY IMAP4rev1 <any>IDLE<any>] Logged in
C: a2 SELECT inbox
S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft)
S: * OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft \*)] <any>
S: * 3 EXISTS
S: * 3 RECENT
S: * OK [UNSEEN 1] <any>
S: * OK [UIDVALIDITY 7] <any>
S: * OK [UIDNEXT 4] <any>
S: * OK [HIGHESTMODSEQ <n>] <any>
S: * OK [MAILBOXID (F<hex>)] <any>
S: a2 OK [READ-WRITE] <any>
C: a3 FETCH 1:* (UID FLAGS)
S: * 1 FETCH (UID 1 FLAGS (\Recent))
S: * 2 FETCH (UID 2 FLAGS (\Recent))
S: * 3 FETCH (UID 3 FLAGS (\Recent))
S: a3 OK <any>
