# I7: what comes behind STARTTLS in the same segment is dropped, and the connection ends. (Byte by byte there is no such
# segment; then it comes before the handshake and is not looked at.)
peer untrusted
S: * OK <any>
C: a1 STARTTLS
S: a1 OK <any>
C: a2 NOOP
S! tls
C: a3 NOOP
S: a3 OK <any>
