# I32: a client that is gone inside a literal leaves nothing behind.
S: * OK <any>
C: a1 LOGIN {100+}
C: dev
eof
S! closed
