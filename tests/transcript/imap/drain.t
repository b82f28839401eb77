# Operations: at shutdown a session between commands or in IDLE gets BYE.
S: * OK <any>
login
C: a1 NOOP
S: a1 OK <any>
drain
S: * BYE <any>
S! closed
