# RFC 3501 section 6.4.2 and RFC 3691: CLOSE expunges silently, UNSELECT does not.
mailbox INBOX messages=3
S: * OK <any>
login
select INBOX
C: a1 STORE 1 +FLAGS.SILENT (\Deleted)
S: a1 OK <any>
C: a2 UNSELECT
S: a2 OK <any>
C: a3 SELECT INBOX
S* * 3 EXISTS
S* a3 OK <any>
C: a4 CLOSE
S: a4 OK <any>
C: a5 SELECT INBOX
S* * 2 EXISTS
S* a5 OK <any>
C: a6 CHECK
S: a6 OK <any>
