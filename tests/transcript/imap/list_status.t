# RFC 5819: STATUS behind each LIST.
mailbox INBOX messages=2
S: * OK <any>
login
C: a1 LIST "" I* RETURN (STATUS (MESSAGES UNSEEN))
S: * LIST (\HasNoChildren) "/" INBOX
S: * STATUS INBOX (MESSAGES 2 UNSEEN 2)
S: a1 OK <any>
