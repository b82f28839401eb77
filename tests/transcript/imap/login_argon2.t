# Design 6: a chosen password takes a second step with Argon2id.
S: * OK <any>
C: a1 LOGIN argon@dev.test secret
S: a1 OK [CAPABILITY <any>] Logged in
