# LOGIN, in steps and with the name at once.
service submission
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: ZGV2QGRldi50ZXN0
S: 334 UGFzc3dvcmQ6
C: d3Jvbmc=
S: 535 5.7.8 <any>
C: AUTH LOGIN ZGV2QGRldi50ZXN0
S: 334 UGFzc3dvcmQ6
C: c2VjcmV0
S: 235 2.7.0 <any>
