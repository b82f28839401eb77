# RFC 3501 section 6.3.3 to 6.3.5, RFC 8474: CREATE, RENAME, DELETE.
S: * OK <any>
login
C: a01 CREATE Work
S: a01 OK [MAILBOXID (F<hex>)] <any>
C: a02 CREATE Work
S: a02 NO [ALREADYEXISTS] <any>
C: a03 CREATE Later/
S: a03 OK [MAILBOXID (F<hex>)] <any>
C: a04 RENAME Work Done
S: a04 OK <any>
C: a05 RENAME nosuch Other
S: a05 NO [NONEXISTENT] <any>
C: a06 RENAME Done Later
S: a06 NO [ALREADYEXISTS] <any>
C: a07 DELETE Done
S: a07 OK <any>
C: a08 DELETE Done
S: a08 NO [NONEXISTENT] <any>
C: a09 DELETE INBOX
S: a09 NO [CANNOT] <any>
C: a10 SELECT Later
S* a10 OK <any>
C: a11 DELETE Later
S: * OK [CLOSED] <any>
S: a11 OK <any>
C: a12 CLOSE
S: a12 BAD <any>
