# PIPE-2: ignored by policy: the commands are run once the banner is out.
service mx greet=500 policy=ignore
C: HELO client.example
tick 500
S: 220 <any>
S: 250 mx.dev.test
