# RFC 2180 section 3: the selected mailbox was deleted by another session: BYE.
mailbox Work messages=1
S: * OK <any>
login
select Work
other Work delete
C: a1 NOOP
S: * BYE <any>
S! closed
