# RFC 3501 section 6.3.11: flags, date and message; EXISTS at once when the mailbox is selected.
S: * OK <any>
login
C: a1 APPEND Drafts (\Draft $Mine) "01-Feb-2020 10:00:00 +0100" {16}
S: + OK
C: Subject: x
C: 
C: y
C:
S: a1 OK [APPENDUID <n> 1] <any>
select INBOX
C: a2 APPEND inbox {5+}
C: abcde
S: * 1 EXISTS
S: * 1 RECENT
S: a2 OK [APPENDUID <n> 1] <any>
C: a3 APPEND {5+}
C: INBOX {3+}
C: xyz
S: * 2 EXISTS
S: * 2 RECENT
S: a3 OK [APPENDUID <n> 2] <any>
C: a4 APPEND nosuch {3+}
C: xyz
S: a4 NO [TRYCREATE] <any>
C: a5 FETCH 2 BODY.PEEK[]
S: * 2 FETCH (BODY[] {3}
S: xyz)
S: a5 OK <any>
