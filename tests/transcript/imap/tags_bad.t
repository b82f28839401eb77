# I6: "*", "+", nothing, a tag with "}" or of 1 KiB: BAD with "*".
S: * OK <any>
C: * NOOP
S: * BAD <any>
C: + NOOP
S: * BAD <any>
C:  NOOP
S: * BAD <any>
C: a}b NOOP
S: * BAD <any>
C:
S: * BAD <any>
C* 1024 t
C:  NOOP
S: * BAD <any>
C* 128 t
C:  NOOP
S: <any> OK Done
