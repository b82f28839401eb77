# A chosen password: Argon2id between two calls.
service submission
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: AUTH PLAIN AGFyZ29uQGRldi50ZXN0AHNlY3JldA==
S: 235 2.7.0 <any>
