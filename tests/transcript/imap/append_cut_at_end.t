# I21: the last byte of the message is there, the command's line end is not.
S: * OK <any>
login
Cx a1 APPEND INBOX {3+}\r\nabc
eof
S! closed
count INBOX 0
