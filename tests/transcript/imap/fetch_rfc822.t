# RFC 3501 section 6.4.5: RFC822 is BODY[] under its old name; RFC822.HEADER does not set \Seen.
mailbox INBOX
message INBOX
| Subject: old
|
| text
S: * OK <any>
login
select INBOX
C: a1 FETCH 1 RFC822.HEADER
S: * 1 FETCH (RFC822.HEADER {16}
S: Subject: old
S:
S: )
S: a1 OK <any>
C: a2 FETCH 1 RFC822
S: * 1 FETCH (RFC822 {22}
S: Subject: old
S:
S: text
S: )
S: * 1 FETCH (FLAGS (\Seen \Recent))
S: a2 OK <any>
