# I5: 65,536 bytes with the line end are taken.
S: * OK <any>
Cx a1 NOOP 
C* 65526 y
Cx \r\n
S: a1 BAD <any>
C: a2 NOOP
S: a2 OK <any>
