# RFC 5258: selection and return options, several patterns, CHILDINFO.
mailbox Work subscribed=0
mailbox Work/2024 subscribed=1
mailbox Private subscribed=0
S: * OK <any>
login
C: a1 LIST (SUBSCRIBED) "" ("W*" "I*")
S: * LIST (\Subscribed \HasNoChildren) "/" INBOX
S: * LIST (\Subscribed \HasNoChildren) "/" Work/2024
S: a1 OK <any>
C: a2 LIST (SUBSCRIBED RECURSIVEMATCH) "" (W% P%)
S: * LIST (\HasChildren) "/" Work (CHILDINFO ("SUBSCRIBED"))
S: a2 OK <any>
C: a3 LIST "" (W% P%) RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)
S: * LIST (\HasNoChildren) "/" Private
S: * LIST (\HasChildren) "/" Work
S: a3 OK <any>
C: a4 LIST (SPECIAL-USE) "" *
S: * LIST (\HasNoChildren \Archive) "/" Archive
S: * LIST (\HasNoChildren \Drafts) "/" Drafts
S: * LIST (\HasNoChildren \Junk) "/" Junk
S: * LIST (\HasNoChildren \Sent) "/" Sent
S: * LIST (\HasNoChildren \Trash) "/" Trash
S: a4 OK <any>
C: a5 LIST () "" INBOX RETURN ()
S: * LIST (\HasNoChildren) "/" INBOX
S: a5 OK <any>
C: a6 LIST (RECURSIVEMATCH) "" *
S: a6 BAD <any>
C: a7 LIST (COLOURED) "" *
S: a7 BAD <any>
C: a8 LIST "" INBOX RETURN (COLOUR)
S: a8 BAD <any>
C: a9 LIST (REMOTE) "" INBOX
S: * LIST (\HasNoChildren) "/" INBOX
S: a9 OK <any>
