# RFC 3501 section 2.3.3: the date-time of APPEND comes back in its own zone.
S: * OK <any>
login
C: a1 APPEND INBOX (\Seen) " 7-Feb-1994 21:52:25 -0800" {16+}
C: Subject: x
C: 
C: y
C:
S: a1 OK [APPENDUID <n> 1] <any>
select INBOX
C: a2 FETCH 1 (INTERNALDATE FLAGS)
S: * 1 FETCH (FLAGS (\Seen \Recent) INTERNALDATE " 7-Feb-1994 21:52:25 -0800")
S: a2 OK <any>
