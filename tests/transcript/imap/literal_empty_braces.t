# I1: {}.
S: * OK <any>
C: a1 LOGIN {}
S: a1 BAD <any>
S: * BYE <any>
S! closed
