# I24: anything but DONE is BAD and ends the IDLE.
S: * OK <any>
login
C: a1 IDLE
S: + idling
C: a2 NOOP
S: a1 BAD <any>
C: a3 NOOP
S: a3 OK <any>
C: a4 IDLE now
S: a4 BAD <any>
C: a5 IDLE
S: + idling
C: done
S: a5 OK <any>
