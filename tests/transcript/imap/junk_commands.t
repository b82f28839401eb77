# Twenty bad commands end a connection before login.
S: * OK <any>
C* 20 a1 XYZZY\r\n
S* * BYE Too many bad commands
S! closed
