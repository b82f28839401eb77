# I1: four GiB before login.
S: * OK <any>
C: a1 LOGIN {4294967295}
S: a1 BAD [TOOBIG] <any>
S: * BYE <any>
S! closed
