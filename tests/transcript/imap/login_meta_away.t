# P6: when meta cannot be asked the answer is neither yes nor no.
S: * OK <any>
fail META_LOGIN UNAVAILABLE
C: a1 LOGIN dev@dev.test secret
S: a1 NO [UNAVAILABLE] <any>
C: a2 LOGIN dev@dev.test secret
S: a2 OK <any>
