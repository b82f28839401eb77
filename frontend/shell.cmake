# SPDX-License-Identifier: Apache-2.0
# The I/O shell around the protocol cores: sockets, TLS, timers, links.
volary_library(frontend
  SOURCES frontend.c listener.c conn.c conn_calls.c route.c
  LINK base_io rpc imap smtp dep::argon2)
