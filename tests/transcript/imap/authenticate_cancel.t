# I9: "*" cancels; bad base64 and unknown mechanisms are refused and the session goes on.
S: * OK <any>
C: a1 AUTHENTICATE PLAIN
S: + 
C: *
S: a1 BAD <any>
C: a2 AUTHENTICATE PLAIN
S: + 
C: !!!!
S: a2 BAD <any>
C: a3 AUTHENTICATE KERBEROS_V4
S: a3 NO <any>
C: a4 AUTHENTICATE LOGIN
S: + VXNlcm5hbWU6
C: ZGV2QGRldi50ZXN0
S: + UGFzc3dvcmQ6
C: c2VjcmV0
S: a4 OK [CAPABILITY <any>] Logged in
