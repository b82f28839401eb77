# RFC 3501 section 6.4.7, RFC 4315: COPY with COPYUID; TRYCREATE for a mailbox that is not there.
mailbox INBOX messages=3
mailbox Trash uidvalidity=9
S: * OK <any>
login
select INBOX
C: a1 COPY 1:2 Trash
S: a1 OK [COPYUID 9 1:2 1:2] <any>
C: a2 UID COPY 3 Trash
S: a2 OK [COPYUID 9 3 3] <any>
C: a3 COPY 1 nosuch
S: a3 NO [TRYCREATE] <any>
C: a4 COPY 9 Trash
S: a4 OK No messages
C: a5 COPY 1 INBOX
S: * 4 EXISTS
S: * 4 RECENT
S: a5 OK [COPYUID <n> 1 4] <any>
C: a6 COPY 1
S: a6 BAD <any>
fail SHARD_MESSAGE_COPY QUOTA
C: a7 COPY 1 Trash
S: a7 NO [OVERQUOTA] <any>
