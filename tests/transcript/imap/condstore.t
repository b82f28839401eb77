# RFC 7162 section 3.1: MODSEQ in FETCH, STORE and SEARCH once a client has asked for it.
mailbox INBOX messages=3
S: * OK <any>
login
C: a1 SELECT INBOX (CONDSTORE)
S* * OK [HIGHESTMODSEQ <n>] <any>
S* a1 OK <any>
C: a2 FETCH 1:3 (UID MODSEQ)
S: * 1 FETCH (UID 1 MODSEQ (7))
S: * 2 FETCH (UID 2 MODSEQ (8))
S: * 3 FETCH (UID 3 MODSEQ (9))
S: a2 OK <any>
C: a3 FETCH 1:* (FLAGS) (CHANGEDSINCE 8)
S: * 3 FETCH (FLAGS (\Recent) MODSEQ (9))
S: a3 OK <any>
C: a4 STORE 1 (UNCHANGEDSINCE 7) +FLAGS.SILENT (\Seen)
S: * 1 FETCH (MODSEQ (10))
S: a4 OK <any>
C: a5 STORE 1,2 (UNCHANGEDSINCE 8) +FLAGS (\Flagged)
S: * 1 FETCH (FLAGS (\Seen \Recent) MODSEQ (10))
S: * 2 FETCH (FLAGS (\Flagged \Recent) MODSEQ (11))
S: a5 OK [MODIFIED 1] <any>
C: a6 UID STORE 3 +FLAGS (\Answered)
S: * 3 FETCH (UID 3 FLAGS (\Answered \Recent) MODSEQ (12))
S: a6 OK <any>
C: a7 SEARCH MODSEQ 11
S: * SEARCH 2 3 (MODSEQ 12)
S: a7 OK <any>
C: a8 SEARCH MODSEQ "/flags/\\draft" all 12
S: * SEARCH 3 (MODSEQ 12)
S: a8 OK <any>
C: a9 SEARCH RETURN (COUNT) MODSEQ 11
S: * ESEARCH (TAG "a9") COUNT 2 MODSEQ 12
S: a9 OK <any>
other INBOX store 1 \Draft
C: b1 NOOP
S: * 1 FETCH (UID 1 FLAGS (\Seen \Draft \Recent) MODSEQ (13))
S: b1 OK <any>
C: b2 STORE 1 +FLAGS.SILENT (\Deleted)
S: * 1 FETCH (MODSEQ (14))
S: b2 OK <any>
C: b3 EXPUNGE
S: * 1 EXPUNGE
S: b3 OK [HIGHESTMODSEQ 15] <any>
C: b4 STATUS INBOX (HIGHESTMODSEQ)
S: * STATUS INBOX (HIGHESTMODSEQ 15)
S: b4 OK <any>
C: b5 FETCH 1 FLAGS (VANISHED CHANGEDSINCE 1)
S: b5 BAD <any>
