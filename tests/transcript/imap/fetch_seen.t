# IMAP-F1: \Seen is set when the data has been sent, and told behind it; the second FETCH sets nothing.
mailbox INBOX messages=2
S: * OK <any>
login
select INBOX
C: a1 FETCH 1 BODY[TEXT]
S: * 1 FETCH (BODY[TEXT] {9}
S: Hello 1
S: )
S: * 1 FETCH (FLAGS (\Seen \Recent))
S: a1 OK <any>
C: a2 FETCH 1 BODY[TEXT]
S: * 1 FETCH (BODY[TEXT] {9}
S: Hello 1
S: )
S: a2 OK <any>
C: a3 UID FETCH 1:* (RFC822.TEXT)
S: * 1 FETCH (UID 1 RFC822.TEXT {9}
S: Hello 1
S: )
S: * 2 FETCH (UID 2 RFC822.TEXT {9}
S: Hello 2
S: )
S: * 2 FETCH (UID 2 FLAGS (\Seen \Recent))
S: a3 OK <any>
C: a4 NOOP
S: a4 OK <any>
