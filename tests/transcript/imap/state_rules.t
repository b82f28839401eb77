# RFC 3501 section 3: commands are legal in their states only.
S: * OK <any>
C: a1 SELECT INBOX
S: a1 BAD <any>
C: a2 FETCH 1 FLAGS
S: a2 BAD <any>
C: a3 UID
S: a3 BAD <any>
C: a4 UID FOO 1
S: a4 BAD <any>
login
C: a5 FETCH 1 FLAGS
S: a5 BAD <any>
C: a6 CLOSE
S: a6 BAD <any>
C: a7 EXPUNGE
S: a7 BAD <any>
C: a8 NOOP now
S: a8 BAD <any>
