# AUTH-1, A1: one text for an unknown name and a wrong password; a disabled account says why after the right one.
S: * OK <any>
C: a1 LOGIN dev@dev.test wrong
S: a1 NO [AUTHENTICATIONFAILED] <any>
C: a2 LOGIN nobody@dev.test secret
S: a2 NO [AUTHENTICATIONFAILED] <any>
C: a3 LOGIN disabled@dev.test secret
S: a3 NO <any>
# LIMITED is told as late as meta says.
C: a4 LOGIN limited@dev.test secret
tick 4999
S- a4
tick 1
S: a4 NO [LIMIT] <any>
C: a5 NOOP
S: a5 OK <any>
