# RFC 4315 section 2.1: UID EXPUNGE takes only what is named and \Deleted; an empty set is not "all".
mailbox INBOX messages=4
S: * OK <any>
login
select INBOX
C: a1 STORE 1:3 +FLAGS.SILENT (\Deleted)
S: a1 OK <any>
C: a2 UID EXPUNGE 2,4
S: * 2 EXPUNGE
S: a2 OK <any>
C: a3 UID EXPUNGE 100:200
S: a3 OK <any>
C: a4 FETCH 1:* UID
S: * 1 FETCH (UID 1)
S: * 2 FETCH (UID 3)
S: * 3 FETCH (UID 4)
S: a4 OK <any>
