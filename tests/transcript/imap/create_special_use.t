# RFC 6154 section 3: CREATE with a use.
S: * OK <any>
login
C: a1 CREATE Everything (USE (\All))
S: a1 OK <any>
C: a2 LIST (SPECIAL-USE) "" E*
S: * LIST (\HasNoChildren \All) "/" Everything
S: a2 OK <any>
C: a3 CREATE X (USE (\Odd))
S: a3 NO [USEATTR] <any>
C: a4 CREATE Y (COLOUR (red))
S: a4 BAD <any>
