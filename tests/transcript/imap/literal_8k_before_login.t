# I1: 8 KiB is the most a literal may have before login; one more is refused.
S: * OK <any>
C: a1 LOGIN {8192+}
C* 8192 x
Cx  secret\r\n
S: a1 NO [AUTHENTICATIONFAILED] <any>
C: a2 LOGIN {8193+}
S: a2 BAD [TOOBIG] <any>
S: * BYE <any>
S! closed
