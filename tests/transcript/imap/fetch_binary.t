# RFC 3516, I15: BINARY and its size; a transfer encoding nobody knows is NO [UNKNOWN-CTE].
mailbox INBOX messages=1
message INBOX
| Content-Transfer-Encoding: x-odd
|
| text
S: * OK <any>
login
select INBOX
C: a1 FETCH 1 BINARY.PEEK[1]
S: * 1 FETCH (BINARY[1] {9}
S: Hello 1
S: )
S: a1 OK <any>
C: a2 FETCH 1 BINARY.SIZE[1]
S: * 1 FETCH (BINARY.SIZE[1] 9)
S: a2 OK <any>
C: a3 FETCH 2 BINARY.PEEK[1]
S: * 2 FETCH (BINARY[1] NIL)
S: a3 NO [UNKNOWN-CTE] <any>
