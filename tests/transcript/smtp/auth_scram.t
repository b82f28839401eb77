# SCRAM-SHA-256 (RFC 7677) to its last empty line.
service submission
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: AUTH SCRAM-SHA-256 biwsbj1kZXZAZGV2LnRlc3Qscj1j
S: 334 cj1jcyxzPWMyRnNkQT09LGk9NDA5Ng==
C: Yz1iaXdzLHI9Y3MscD1jSEp2YjJZPQ==
S: 334 dj1jMmxu
C:
S: 235 2.7.0 <any>
