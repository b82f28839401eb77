# I2: thousands of small literals in one command: their sum has the limit of one, before login too.
S: * OK <any>
Cx a1 LOGIN
C* 1024 \x20{64+}\r\n0123456789012345678901234567890123456789012345678901234567890123
C:
S: a1 BAD <any>
C: a2 NOOP
S: a2 OK <any>
Cx a3 LOGIN
C* 9000 \x20{0+}\r\n
C:
S: a3 BAD <any>
C: a4 NOOP
S: a4 OK <any>
Cx a5 LOGIN
C* 1024 \x20{64+}\r\n0123456789012345678901234567890123456789012345678901234567890123
Cx  {1+}\r\n
S: a5 BAD [TOOBIG] <any>
S: * BYE <any>
S! closed
