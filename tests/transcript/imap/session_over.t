# P8, I31: the account is deleted or its password changed: BYE at once, in IDLE too.
S: * OK <any>
login
C: a1 IDLE
S: + idling
session-over
S: * BYE <any>
S! closed
