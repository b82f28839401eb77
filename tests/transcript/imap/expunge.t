# RFC 3501 section 6.4.3: sequence numbers are right for a client that reads line by line.
mailbox INBOX messages=6
S: * OK <any>
login
select INBOX
C: a1 STORE 1,3:4,6 +FLAGS.SILENT (\Deleted)
S: a1 OK <any>
C: a2 EXPUNGE
S: * 6 EXPUNGE
S: * 4 EXPUNGE
S: * 3 EXPUNGE
S: * 1 EXPUNGE
S: a2 OK <any>
C: a3 FETCH 1:* UID
S: * 1 FETCH (UID 2)
S: * 2 FETCH (UID 5)
S: a3 OK <any>
C: a4 EXPUNGE
S: a4 OK <any>
