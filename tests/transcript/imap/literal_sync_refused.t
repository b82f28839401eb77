# RFC 3501 section 7.5: a refused synchronizing literal is not sent; the next line is the next command.
S: * OK <any>
login
C: a1 CREATE {9000}
S: a1 BAD [TOOBIG] <any>
C: a2 NOOP
S: a2 OK <any>
