# I12: a pattern of more than twenty wildcards is NO [LIMIT]; twenty cost nothing.
mailbox aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
S: * OK <any>
login
C: a1 LIST "" *a%a*a%a*a%a*a%a*a%a*a%a*a%a*a%a*a%a*a%x
S: a1 OK <any>
C: a2 LIST "" *a%a*a%a*a%a*a%a*a%a*a%a*a%a*a%a*a%a*a%*a%x
S: a2 NO [LIMIT] <any>
C: a3 LIST "" (a b c d e f g h i j k l m n o p q)
S: a3 NO [LIMIT] <any>
