# I5: a line over 64 KiB is BAD [TOOBIG] and the connection ends.
S: * OK <any>
Cx a1 LOGIN x 
C* 70000 y
S: a1 BAD [TOOBIG] <any>
S: * BYE <any>
S! closed
