# I1: a size that is none is BAD, and the connection ends.
S: * OK <any>
C: a1 LOGIN {99999999999999999999}
S: a1 BAD <any>
S: * BYE <any>
S! closed
