# RFC 3501 section 4.3 and RFC 7888: synchronizing and non-synchronizing literals.
S: * OK <any>
C: a1 LOGIN {12}
S: + OK
C: dev@dev.test {6+}
C: secret
S: a1 OK [CAPABILITY <any>] Logged in
