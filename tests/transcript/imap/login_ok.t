# RFC 3501 section 6.2.3: LOGIN by quoted strings and by literals.
S: * OK <any>
C: a1 LOGIN "dev@dev.test" "secret"
S: a1 OK [CAPABILITY <any>] Logged in
C: a2 LOGIN dev@dev.test secret
S: a2 BAD <any>
