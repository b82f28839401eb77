# "*" in an empty mailbox names nothing.
S: * OK <any>
login
select INBOX
C: a1 FETCH 1:* FLAGS
S: a1 OK <any>
C: a2 UID FETCH * FLAGS
S: a2 OK <any>
C: a3 SEARCH *
S: * SEARCH
S: a3 OK <any>
