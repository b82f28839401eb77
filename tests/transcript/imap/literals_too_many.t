# I2: literals of one command count together: 64 KiB, then BAD and the rest of it is passed over.
S: * OK <any>
login
C: a1 LIST "" ({8192+}
C* 8192 x
C:  {8192+}
C* 8192 x
C:  {8192+}
C* 8192 x
C:  {8192+}
C* 8192 x
C:  {8192+}
C* 8192 x
C:  {8192+}
C* 8192 x
C:  {8192+}
C* 8192 x
C:  {8192+}
C* 8192 x
C:  {1+}
S: a1 BAD [TOOBIG] <any>
C: x)
C: a2 NOOP
S: a2 OK <any>
