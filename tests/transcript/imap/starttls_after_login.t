# I7: STARTTLS after login is BAD.
S: * OK <any>
C: a1 LOGIN dev@dev.test secret
S: a1 OK <any>
C: a2 STARTTLS
S: a2 BAD <any>
