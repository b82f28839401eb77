# I13: sets are normalised, 0 is BAD, numbers that no message has cost nothing.
mailbox INBOX messages=4
S: * OK <any>
login
select INBOX
C: a1 FETCH 1:4294967295 UID
S: * 1 FETCH (UID 1)
S: * 2 FETCH (UID 2)
S: * 3 FETCH (UID 3)
S: * 4 FETCH (UID 4)
S: a1 OK <any>
C: a2 FETCH *:* UID
S: * 4 FETCH (UID 4)
S: a2 OK <any>
C: a3 FETCH 4:3,3,3,3:3 UID
S: * 3 FETCH (UID 3)
S: * 4 FETCH (UID 4)
S: a3 OK <any>
C: a4 FETCH 0 UID
S: a4 BAD <any>
C: a5 FETCH 1:0 UID
S: a5 BAD <any>
C: a6 FETCH 4294967296 UID
S: a6 BAD <any>
C: a7 FETCH 1, UID
S: a7 BAD <any>
C: a8 FETCH *:2 UID
S: * 2 FETCH (UID 2)
S: * 3 FETCH (UID 3)
S: * 4 FETCH (UID 4)
S: a8 OK <any>
C: a9 UID FETCH 100:* FLAGS
S: * 4 FETCH (UID 4 FLAGS (\Recent))
S: a9 OK <any>
C: b1 UID FETCH 100:200 FLAGS
S: b1 OK <any>
C: b2 FETCH 9 FLAGS
S: b2 OK <any>
