# No certificate: STARTTLS is not announced and refused.
peer no-starttls
S: * OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE AUTH=<any>] <any>
C: a1 STARTTLS
S: a1 BAD <any>
