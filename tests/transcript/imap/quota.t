# RFC 9208: one root for the account.
S: * OK <any>
login
C: a1 GETQUOTAROOT INBOX
S: * QUOTAROOT INBOX ""
S: * QUOTA "" (STORAGE 2 1024)
S: a1 OK <any>
C: a2 GETQUOTA ""
S: * QUOTA "" (STORAGE 2 1024)
S: a2 OK <any>
C: a3 GETQUOTA "user/bob"
S: a3 NO [NONEXISTENT] <any>
C: a4 GETQUOTAROOT nosuch
S: a4 NO [NONEXISTENT] <any>
C: a5 GETQUOTAROOT ""
S: a5 NO [NONEXISTENT] <any>
C: a6 SETQUOTA "" (STORAGE 5)
S: a6 BAD <any>
