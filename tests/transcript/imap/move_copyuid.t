# RFC 6851 section 4.3: COPYUID is told before the EXPUNGE.
mailbox INBOX uidvalidity=7 messages=3
S: * OK <any>
login
select INBOX
C: a1 MOVE 2 Trash
S: * OK [COPYUID <n> 2 <n>] <any>
S: * 2 EXPUNGE
S: a1 OK <any>
C: a2 UID MOVE 1:* Archive
S: * OK [COPYUID <n> 1,3 1:2] <any>
S: * 2 EXPUNGE
S: * 1 EXPUNGE
S: a2 OK <any>
C: a3 MOVE 1 Trash
S: a3 OK No messages
C: a4 UID MOVE 1 nosuch
S: a4 OK No messages
