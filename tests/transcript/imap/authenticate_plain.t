# RFC 3501 section 6.2.2, RFC 4616: AUTHENTICATE PLAIN with a challenge.
S: * OK <any>
C: a1 AUTHENTICATE PLAIN
S: + 
C: AGRldkBkZXYudGVzdABzZWNyZXQ=
S: a1 OK [CAPABILITY <any>] Logged in
