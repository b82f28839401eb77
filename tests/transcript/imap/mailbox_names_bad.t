# I10, I11: names that cannot be made: empty levels, wildcards, control bytes, depth over 32, levels over 255 bytes.
S: * OK <any>
login
C: a01 CREATE ""
S: a01 NO [CANNOT] <any>
C: a02 CREATE a//b
S: a02 NO [CANNOT] <any>
C: a03 CREATE "a*b"
S: a03 NO [CANNOT] <any>
C: a04 CREATE "a%b"
S: a04 NO [CANNOT] <any>
C: a05 CREATE "   "
S: a05 NO [CANNOT] <any>
Cx a06 CREATE "a\x01b"\r\n
S: a06 NO [CANNOT] <any>
Cx a07 CREATE 
C* 256 x
C:
S: a07 NO [LIMIT] <any>
Cx a08 CREATE x
C* 32 /x
C:
S: a08 NO [LIMIT] <any>
C: a09 CREATE &AGE-
S: a09 NO [CANNOT] <any>
C: a10 CREATE a&AC8-b
S: a10 NO [CANNOT] <any>
C: a11 CREATE a&b
S: a11 NO [CANNOT] <any>
Cx a12 CREATE x
C* 31 /x
C:
S: a12 OK <any>
C: a13 CREATE a%b
S: a13 BAD <any>
