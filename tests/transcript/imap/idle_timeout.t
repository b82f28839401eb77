# I24: a client that is silent for 30 minutes is logged out.
S: * OK <any>
login
C: a1 IDLE
S: + idling
tick 1799000
tick 2000
S: * BYE <any>
S! closed
