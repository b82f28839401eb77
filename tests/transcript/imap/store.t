# RFC 3501 section 6.4.6: the three forms of STORE, with and without .SILENT, by number and by UID.
mailbox INBOX messages=3
S: * OK <any>
login
select INBOX
C: a1 STORE 1 +FLAGS (\Seen \Flagged)
S: * 1 FETCH (FLAGS (\Flagged \Seen \Recent))
S: a1 OK <any>
C: a2 STORE 1 -FLAGS \Flagged
S: * 1 FETCH (FLAGS (\Seen \Recent))
S: a2 OK <any>
C: a3 STORE 1:2 FLAGS (\Draft)
S: * 1 FETCH (FLAGS (\Draft \Recent))
S: * 2 FETCH (FLAGS (\Draft \Recent))
S: a3 OK <any>
C: a4 STORE 3 FLAGS.SILENT (\Answered \Deleted)
S: a4 OK <any>
C: a5 UID STORE 3 +FLAGS.SILENT \Seen \Draft
S: a5 OK <any>
C: a6 UID STORE 3 -FLAGS (\Draft)
S: * 3 FETCH (UID 3 FLAGS (\Answered \Deleted \Seen \Recent))
S: a6 OK <any>
C: a7 STORE 3 FLAGS ()
S: * 3 FETCH (FLAGS (\Recent))
S: a7 OK <any>
C: a8 NOOP
S: a8 OK <any>
