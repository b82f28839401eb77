# RFC 3501 section 6.3.6, 6.3.7, 6.3.9: subscriptions; a level above a subscribed one is \Noselect for "%".
mailbox Work
mailbox Work/2024
S: * OK <any>
login
C: a1 SUBSCRIBE Work/2024
S: a1 OK <any>
C: a2 LSUB "" W%
S: * LSUB (\Noselect) "/" Work
S: a2 OK <any>
C: a3 LSUB "" W*
S: * LSUB () "/" Work/2024
S: a3 OK <any>
C: a4 UNSUBSCRIBE Work/2024
S: a4 OK <any>
C: a5 LSUB "" W*
S: a5 OK <any>
C: a6 LSUB "" ""
S: * LSUB (\Noselect) "/" ""
S: a6 OK <any>
C: a7 SUBSCRIBE nosuch
S: a7 NO [NONEXISTENT] <any>
C: a8 LSUB (SUBSCRIBED) "" *
S: a8 BAD <any>
