# Operations: the same in IDLE.
S: * OK <any>
login
C: a1 IDLE
S: + idling
drain
S: * BYE <any>
S! closed
