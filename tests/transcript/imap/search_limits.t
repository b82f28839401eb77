# I17: 1,024 keys and a nesting of 256; one more is NO [LIMIT].
mailbox INBOX messages=2
S: * OK <any>
login
select INBOX
Cx a1 SEARCH ALL
C* 1022 \x20ALL
C:
S: * SEARCH 1 2
S: a1 OK <any>
Cx a2 SEARCH ALL
C* 1024 \x20ALL
C:
S: a2 NO [LIMIT] <any>
Cx a3 SEARCH
C* 254 \x20OR SUBJECT none
C:  1
S: * SEARCH 1
S: a3 OK <any>
Cx a4 SEARCH
C* 256 \x20NOT
C:  1
S: a4 NO [LIMIT] <any>
Cx a5 SEARCH 
C* 17 (
C: 1
S: a5 BAD <any>
