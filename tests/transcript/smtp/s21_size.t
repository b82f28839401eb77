# S21: a size over the limit is refused at MAIL.
service mx
S: 220 <any>
C: EHLO client.example
S* 250 DSN
C: MAIL FROM:<a@b.example> SIZE=999999999999
S: 552 5.3.4 <any>
C: MAIL FROM:<a@b.example> SIZE=99999999999999999999
S: 552 5.3.4 <any>
C: MAIL FROM:<a@b.example> SIZE=52428801
S: 552 5.3.4 <any>
C: MAIL FROM:<a@b.example> SIZE=-1
S: 501 5.5.4 <any>
C: MAIL FROM:<a@b.example> SIZE=
S: 501 5.5.4 <any>
C: MAIL FROM:<a@b.example> SIZE=1 SIZE=1
S: 501 5.5.4 <any>
C: MAIL FROM:<a@b.example> SIZE=52428800
S: 250 2.1.0 <any>
