# RFC 3501 section 7.1: the greeting names capabilities, host and trace id; LOGOUT says BYE first.
S: * OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE STARTTLS AUTH=<any>] mail.dev.test Volary ready <hex>
C: a1 CAPABILITY
S: * CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE STARTTLS AUTH=<any>
S: a1 OK <any>
C: a2 NOOP
S: a2 OK <any>
C: a3 LOGOUT
S: * BYE <any>
S: a3 OK <any>
S! closed
