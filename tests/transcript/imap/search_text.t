# RFC 3501 section 6.4.4: keys that ask for text, dates and sizes.
mailbox INBOX messages=2
message INBOX
| From: ann@dev.test
| To: bob@dev.test
| Cc: carl@dev.test
| Bcc: dora@dev.test
| Subject: Rainy day
| X-Spam: no
|
| The weather is bad
S: * OK <any>
login
select INBOX
C: a01 SEARCH FROM ann
S: * SEARCH 3
S: a01 OK <any>
C: a02 SEARCH TO bob
S: * SEARCH 3
S: a02 OK <any>
C: a03 SEARCH CC carl
S: * SEARCH 3
S: a03 OK <any>
C: a04 SEARCH BCC dora
S: * SEARCH 3
S: a04 OK <any>
C: a05 SEARCH SUBJECT "rainy day"
S: * SEARCH 3
S: a05 OK <any>
C: a06 SEARCH HEADER X-Spam ""
S: * SEARCH 3
S: a06 OK <any>
C: a07 SEARCH HEADER X-Spam yes
S: * SEARCH
S: a07 OK <any>
C: a08 SEARCH BODY weather
S: * SEARCH 3
S: a08 OK <any>
C: a09 SEARCH TEXT {5}
S: + OK
C: rainy
S: * SEARCH 3
S: a09 OK <any>
C: a10 SEARCH LARGER 100 SMALLER 10000
S: * SEARCH <any>
S: a10 OK <any>
C: a11 SEARCH BEFORE 10-Sep-2001
S: * SEARCH 1
S: a11 OK <any>
C: a12 SEARCH ON 10-Sep-2001
S: * SEARCH 2
S: a12 OK <any>
C: a13 SEARCH SINCE "10-Sep-2001"
S: * SEARCH 2 3
S: a13 OK <any>
C: a14 SEARCH SENTBEFORE 10-Sep-2001
S: * SEARCH 1
S: a14 OK <any>
C: a15 SEARCH SENTON 9-Sep-2001
S: * SEARCH 1
S: a15 OK <any>
C: a16 SEARCH SENTSINCE 11-Sep-2001
S: * SEARCH 3
S: a16 OK <any>
C: a17 SEARCH OLDER 100
S: * SEARCH 1 2 3
S: a17 OK <any>
C: a18 SEARCH YOUNGER 100
S: * SEARCH
S: a18 OK <any>
C: a19 SEARCH ON 31-Feb-2001
S: a19 BAD <any>
