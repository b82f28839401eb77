# RFC 3501 section 6.4.4: AND, OR, NOT, parentheses, sets of numbers and of UIDs.
mailbox INBOX messages=6
S: * OK <any>
login
select INBOX
C: a00 STORE 1 +FLAGS.SILENT (\Deleted)
S: a00 OK <any>
C: a0x EXPUNGE
S: * 1 EXPUNGE
S: a0x OK <any>
C: a01 SEARCH 1:2
S: * SEARCH 1 2
S: a01 OK <any>
C: a02 SEARCH UID 1:3
S: * SEARCH 1 2
S: a02 OK <any>
C: a03 UID SEARCH 1:2
S: * SEARCH 2 3
S: a03 OK <any>
C: a04 UID SEARCH UID 4:*
S: * SEARCH 4 5 6
S: a04 OK <any>
C: a05 SEARCH NOT 1:2
S: * SEARCH 3 4 5
S: a05 OK <any>
C: a06 SEARCH OR 1 5
S: * SEARCH 1 5
S: a06 OK <any>
C: a07 SEARCH OR 1 OR 3 (4:5 NOT 5)
S: * SEARCH 1 3 4
S: a07 OK <any>
C: a08 SEARCH (1:4 NOT (2 3)) NOT OR 1 2
S: * SEARCH 3 4
S: a08 OK <any>
C: a09 SEARCH NOT NOT 2
S: * SEARCH 2
S: a09 OK <any>
C: a10 SEARCH 100
S: * SEARCH
S: a10 OK <any>
C: a11 SEARCH NOT 100
S: * SEARCH 1 2 3 4 5
S: a11 OK <any>
