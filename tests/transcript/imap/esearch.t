# RFC 4731: RETURN options; an empty list means ALL; nothing found leaves MIN, MAX and ALL out.
mailbox INBOX messages=5
S: * OK <any>
login
select INBOX
C: a1 SEARCH RETURN (MIN MAX COUNT) ALL
S: * ESEARCH (TAG "a1") MIN 1 MAX 5 COUNT 5
S: a1 OK <any>
C: a2 UID SEARCH RETURN () OR 1:2 5
S: * ESEARCH (TAG "a2") UID ALL 1:2,5
S: a2 OK <any>
C: a3 SEARCH RETURN (ALL COUNT) SUBJECT nothing
S: * ESEARCH (TAG "a3") COUNT 0
S: a3 OK <any>
C: a4 SEARCH RETURN (MIN) CHARSET UTF-8 3:4
S: * ESEARCH (TAG "a4") MIN 3
S: a4 OK <any>
C: a5 SEARCH RETURN (SAVE) ALL
S: a5 BAD <any>
