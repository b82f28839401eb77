# SPDX-License-Identifier: Apache-2.0
# The I/O shell around the protocol cores: sockets, TLS, timers, links.
volary_library(frontend
  SOURCES frontend.c edge.c ports.c listener.c conn.c conn_host.c conn_io.c conn_calls.c conn_hash.c hash_cache.c log_gate.c route.c route_map.c metrics.c
  LINK base_io rpc imap smtp fetch_stream dep::argon2)
# What a program starts.
volary_library(frontend_role SOURCES role.c register.c LINK frontend program)
volary_program(volary-frontend SOURCES main.c LINK frontend_role dep::jemalloc)

if(VOLARY_TESTS)
  set(doubles ${CMAKE_SOURCE_DIR}/tests/transcript)
  volary_library(shell_fixture
    SOURCES shell_fixture.c shell_backend_fixture.c ${doubles}/imap_backend.c ${doubles}/imap_store.c
    LINK frontend smtp_double testlib dep::cmocka)
  add_executable(shell_bench EXCLUDE_FROM_ALL shell_bench.c)
  target_link_libraries(shell_bench PRIVATE volary_flags shell_fixture dep::jemalloc)
endif()
volary_test(hash_cache_test SOURCES hash_cache_test.c LINK frontend testlib)
volary_test(log_gate_test SOURCES log_gate_test.c LINK frontend testlib)
volary_test(frontend_metrics_test SOURCES metrics_test.c LINK shell_fixture)
volary_test(shell_test SOURCES shell_test.c LINK shell_fixture)
volary_test(frontend_role_test SOURCES role_test.c LINK shell_fixture frontend_role)
