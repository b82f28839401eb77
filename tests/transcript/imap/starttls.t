# I7, RFC 3501 section 6.2.1: STARTTLS; capabilities are asked for again, and LOGIN is allowed then.
peer untrusted
S: * OK [CAPABILITY IMAP4rev1 <any>STARTTLS LOGINDISABLED] <any>
C: a1 LOGIN dev@dev.test secret
S: a1 NO [PRIVACYREQUIRED] <any>
C: a2 AUTHENTICATE PLAIN AGRldkBkZXYudGVzdABzZWNyZXQ=
S: a2 NO [PRIVACYREQUIRED] <any>
C: a3 STARTTLS
S: a3 OK <any>
S! tls
C: a4 CAPABILITY
S: * CAPABILITY IMAP4rev1 <any>AUTH=PLAIN<any>
S: a4 OK <any>
C: a5 STARTTLS
S: a5 BAD <any>
C: a6 LOGIN dev@dev.test secret
S: a6 OK <any>
