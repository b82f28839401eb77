# RFC 3501 section 6.1.2: NOOP asks the shard: new mail, expunges and flags in their order.
mailbox INBOX messages=4
S: * OK <any>
login
select INBOX
other INBOX expunge 2
other INBOX append
other INBOX store 3 \Seen,$New
other INBOX expunge 4
C: a1 NOOP
S: * 4 EXPUNGE
S: * 2 EXPUNGE
S: * 3 EXISTS
S: * 3 RECENT
S: * FLAGS (<any>$New)
S: * OK [PERMANENTFLAGS (<any>$New \*)] <any>
S: * 2 FETCH (UID 3 FLAGS (\Seen \Recent $New))
S: a1 OK <any>
C: a2 CHECK
S: a2 OK <any>
