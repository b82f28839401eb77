# I4: NUL in a quoted string, a backslash at its end, no end at all: BAD.
S: * OK <any>
Cx a1 LOGIN "dev\0" secret\r\n
S: a1 BAD <any>
C: a2 LOGIN "dev\" secret
S: a2 BAD <any>
C: a3 LOGIN "dev secret
S: a3 BAD <any>
C: a4 LOGIN "d\ev" secret
S: a4 BAD <any>
C: a5 LOGIN "dev@\\\"" secret
S: a5 NO [AUTHENTICATIONFAILED] <any>
