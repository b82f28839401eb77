# RFC 3501 section 5.1.3: modified UTF-7 in and out.
S: * OK <any>
login
C: a1 CREATE &U,BTFw-/Entw&APw-rfe
S: a1 OK <any>
C: a2 LIST "" *rfe
S: * LIST (\HasNoChildren) "/" &U,BTFw-/Entw&APw-rfe
S: a2 OK <any>
C: a3 CREATE "Bed & Breakfast"
S: a3 NO [CANNOT] <any>
C: a4 CREATE "Bed &- Breakfast"
S: a4 OK <any>
C: a5 LIST "" Bed*
S: * LIST (\HasNoChildren) "/" "Bed &- Breakfast"
S: a5 OK <any>
C: a6 SELECT "Bed &- Breakfast"
S* a6 OK [READ-WRITE] <any>
