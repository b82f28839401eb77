# RFC 2342 and RFC 2971, I28: NAMESPACE and ID.
S: * OK <any>
C: a1 ID NIL
S: * ID ("name" "Volary")
S: a1 OK <any>
C: a2 ID ("name" "client" "version" NIL)
S: * ID (<any>)
S: a2 OK <any>
C: a3 ID ("name" "\\r\\n\"quoted\"")
S: * ID (<any>)
S: a3 OK <any>
Cx a4 ID ("k" "v"
C* 30 \x20"k" "v"
C: )
S: a4 BAD <any>
C: a5 NAMESPACE
S: a5 BAD <any>
login
C: a6 NAMESPACE
S: * NAMESPACE (("" "/")) NIL NIL
S: a6 OK <any>
