# I21: a client that is gone inside the literal, or before the line end behind it, has stored nothing.
S: * OK <any>
login
C: a1 APPEND INBOX {100+}
C: only this
eof
S! closed
count INBOX 0
