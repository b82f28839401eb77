# I24: a client renews IDLE every 29 minutes (RFC 2177); one that is silent for 30 is logged out.
S: * OK <any>
login
C: a1 IDLE
S: + idling
tick 1799000
tick 2000
S: * BYE <any>
S! closed
