# RFC 3501 section 6.4.4: every key that asks for a flag.
mailbox INBOX
message INBOX flags=\Seen,\Answered
| Subject: one
|
| a
message INBOX flags=\Flagged,$Junk
| Subject: two
|
| b
message INBOX flags=\Deleted,\Draft
| Subject: three
|
| c
S: * OK <any>
login
select INBOX
C: a01 SEARCH ALL
S: * SEARCH 1 2 3
S: a01 OK <any>
C: a02 SEARCH SEEN
S: * SEARCH 1
S: a02 OK <any>
C: a03 SEARCH UNSEEN
S: * SEARCH 2 3
S: a03 OK <any>
C: a04 SEARCH ANSWERED
S: * SEARCH 1
S: a04 OK <any>
C: a05 SEARCH UNANSWERED
S: * SEARCH 2 3
S: a05 OK <any>
C: a06 SEARCH FLAGGED
S: * SEARCH 2
S: a06 OK <any>
C: a07 SEARCH UNFLAGGED
S: * SEARCH 1 3
S: a07 OK <any>
C: a08 SEARCH DELETED
S: * SEARCH 3
S: a08 OK <any>
C: a09 SEARCH UNDELETED
S: * SEARCH 1 2
S: a09 OK <any>
C: a10 SEARCH DRAFT
S: * SEARCH 3
S: a10 OK <any>
C: a11 SEARCH UNDRAFT
S: * SEARCH 1 2
S: a11 OK <any>
C: a12 SEARCH KEYWORD $junk
S: * SEARCH 2
S: a12 OK <any>
C: a13 SEARCH UNKEYWORD $Junk
S: * SEARCH 1 3
S: a13 OK <any>
C: a14 SEARCH KEYWORD nosuch
S: * SEARCH
S: a14 OK <any>
C: a15 SEARCH RECENT
S: * SEARCH 1 2 3
S: a15 OK <any>
C: a16 SEARCH NEW
S: * SEARCH 2 3
S: a16 OK <any>
C: a17 SEARCH OLD
S: * SEARCH
S: a17 OK <any>
