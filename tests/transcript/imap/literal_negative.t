# I1: {-1}.
S: * OK <any>
C: a1 LOGIN {-1}
S: a1 BAD <any>
S: * BYE <any>
S! closed
