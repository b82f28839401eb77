# RFC 3501 section 6.3.8, RFC 3348, RFC 6154: LIST with children and special uses.
mailbox Work
mailbox Work/2024
mailbox Work/2024/May
mailbox Lost/Found
S: * OK <any>
login
C: a01 LIST "" ""
S: * LIST (\Noselect) "/" ""
S: a01 OK <any>
C: a02 LIST "" *
S: * LIST (\HasNoChildren \Archive) "/" Archive
S: * LIST (\HasNoChildren \Drafts) "/" Drafts
S: * LIST (\HasNoChildren) "/" INBOX
S: * LIST (\HasNoChildren \Junk) "/" Junk
S: * LIST (\Noselect \HasChildren) "/" Lost
S: * LIST (\HasNoChildren) "/" Lost/Found
S: * LIST (\HasNoChildren \Sent) "/" Sent
S: * LIST (\HasNoChildren \Trash) "/" Trash
S: * LIST (\HasChildren) "/" Work
S: * LIST (\HasChildren) "/" Work/2024
S: * LIST (\HasNoChildren) "/" Work/2024/May
S: a02 OK <any>
C: a03 LIST "" W%
S: * LIST (\HasChildren) "/" Work
S: a03 OK <any>
C: a04 LIST "" Work/%
S: * LIST (\HasChildren) "/" Work/2024
S: a04 OK <any>
C: a05 LIST Work/ %
S: * LIST (\HasChildren) "/" Work/2024
S: a05 OK <any>
C: a06 LIST "" %/%
S: * LIST (\HasNoChildren) "/" Lost/Found
S: * LIST (\HasChildren) "/" Work/2024
S: a06 OK <any>
C: a07 LIST "" inbox
S: * LIST (\HasNoChildren) "/" INBOX
S: a07 OK <any>
C: a08 LIST "" nosuch
S: a08 OK <any>
C: a09 LIST "" {1}
S: + OK
C: J
S: a09 OK <any>
C: a10 LIST ""
S: a10 BAD <any>
