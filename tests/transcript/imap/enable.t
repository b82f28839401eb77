# RFC 5161: ENABLE tells what was switched on now, and passes over what it does not know.
mailbox INBOX messages=1
S: * OK <any>
C: a0 ENABLE CONDSTORE
S: a0 BAD <any>
login
C: a1 ENABLE CONDSTORE X-GOOD-IDEA
S: * ENABLED CONDSTORE
S: a1 OK <any>
C: a2 ENABLE CONDSTORE
S: * ENABLED
S: a2 OK <any>
C: a3 ENABLE
S: a3 BAD <any>
select INBOX
C: a4 STORE 1 +FLAGS.SILENT (\Seen)
S: * 1 FETCH (MODSEQ (<n>))
S: a4 OK <any>
