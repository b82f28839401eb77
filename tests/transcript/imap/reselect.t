# RFC 7162 section 3.2.11: SELECT of another mailbox says CLOSED first; \Recent is shown to one session only.
mailbox INBOX messages=1
mailbox Work messages=2
S: * OK <any>
login
C: a1 SELECT INBOX
S* * 1 RECENT
S* a1 OK <any>
C: a2 SELECT Work
S: * OK [CLOSED] <any>
S* * 2 EXISTS
S* a2 OK <any>
C: a3 SELECT INBOX
S: * OK [CLOSED] <any>
S* * 1 EXISTS
S: * 0 RECENT
S* a3 OK <any>
