# A full mailbox: NO [OVERQUOTA] after the message, whenever the shard says so.
S: * OK <any>
login
fail SHARD_MESSAGE_APPEND QUOTA
C: a1 APPEND INBOX {9000+}
C* 9000 z
C:
S: a1 NO [OVERQUOTA] <any>
C: a2 STATUS INBOX (MESSAGES)
S: * STATUS INBOX (MESSAGES 0)
S: a2 OK <any>
