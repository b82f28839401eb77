# Six failures on one connection end it; budgets over connections are meta's (promises 5.6).
S: * OK <any>
C: a1 LOGIN dev@dev.test wrong1
S: a1 NO <any>
C: a2 LOGIN dev@dev.test wrong2
S: a2 NO <any>
C: a3 LOGIN dev@dev.test wrong3
S: a3 NO <any>
C: a4 LOGIN dev@dev.test wrong4
S: a4 NO <any>
C: a5 LOGIN dev@dev.test wrong5
S: a5 NO <any>
C: a6 LOGIN dev@dev.test wrong6
S: * BYE <any>
S: a6 NO <any>
S! closed
