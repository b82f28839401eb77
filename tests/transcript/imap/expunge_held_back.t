# RFC 3501 section 7.4.1: no EXPUNGE during FETCH, STORE and SEARCH by number; UID commands may tell it.
mailbox INBOX messages=3
S: * OK <any>
login
select INBOX
other INBOX expunge 1
C: a1 SEARCH ALL
S: * SEARCH 2 3
S: a1 OK <any>
C: a2 FETCH 2 FLAGS
S: * 2 FETCH (FLAGS (\Recent))
S: a2 OK <any>
C: a3 STORE 2 +FLAGS.SILENT (\Seen)
S: a3 OK <any>
C: a4 UID FETCH 3 FLAGS
S: * 3 FETCH (UID 3 FLAGS (\Recent))
S: * 1 EXPUNGE
S: * 1 FETCH (UID 2 FLAGS (\Seen \Recent))
S: a4 OK <any>
