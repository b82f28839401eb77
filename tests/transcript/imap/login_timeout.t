# Before login a client has 60 seconds in all, whatever it sends.
S: * OK <any>
tick 40000
C: a1 NOOP
S: a1 OK <any>
tick 21000
S: * BYE <any>
S! closed
