# I3: sixteen parentheses are the most, before login too.
S: * OK <any>
C: a1 ((((((((((((((((
S: a1 BAD <any>
C: a2 (((((((((((((((((
S: a2 BAD <any>
C: a3 NOOP
S: a3 OK <any>
