# S14, PIPE-1, PIPE-4: input before the banner.
service mx greet=500
C: EHLO client.example
S: 554 5.5.0 <any>
S! closed
