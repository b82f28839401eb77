# RFC 3501 section 5.4: thirty minutes without a command.
S: * OK <any>
login
tick 1000000
C: a1 NOOP
S: a1 OK <any>
tick 1000000
tick 900000
S: * BYE <any>
S! closed
