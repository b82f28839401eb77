# SPDX-License-Identifier: Apache-2.0
# The I/O shell around the protocol cores: sockets, TLS, timers, links.
volary_library(frontend
  SOURCES frontend.c listener.c conn.c conn_calls.c network.c route.c
  LINK base_io rpc imap smtp dep::argon2)
volary_test(network_test SOURCES network_test.c LINK frontend testlib)
