# RFC 3501 section 6.4.4 and 7.1: charsets, and what is no search.
mailbox INBOX messages=1
S: * OK <any>
login
select INBOX
C: a01 SEARCH CHARSET UTF-8 SUBJECT "Message"
S: * SEARCH 1
S: a01 OK <any>
C: a02 SEARCH CHARSET us-ascii ALL
S: * SEARCH 1
S: a02 OK <any>
C: a03 SEARCH CHARSET KOI8-R TEXT {3+}
C: abc
S: a03 NO [BADCHARSET (US-ASCII UTF-8)] <any>
Cx a04 SEARCH CHARSET UTF-8 SUBJECT {2+}\r\n\xff\xfe\r\n
S: a04 BAD <any>
C: a05 SEARCH
S: a05 BAD <any>
C: a06 SEARCH COLOUR
S: a06 BAD <any>
C: a07 SEARCH OR 1
S: a07 BAD <any>
C: a08 SEARCH NOT
S: a08 BAD <any>
C: a09 SEARCH (1
S: a09 BAD <any>
C: a10 SEARCH 1)
S: a10 BAD <any>
C: a11 SEARCH ()
S: a11 BAD <any>
C: a12 SEARCH SUBJECT
S: a12 BAD <any>
C: a13 SEARCH LARGER x
S: a13 BAD <any>
C: a14 SEARCH 0
S: a14 BAD <any>
