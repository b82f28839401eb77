# PIPE-4: the banner comes after the delay to who waits.
service mx greet=500
tick 499
tick 1
S: 220 <any>
C: NOOP
S: 250 2.0.0 Ok
