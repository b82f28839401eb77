# SPDX-License-Identifier: Apache-2.0
# The link: frames, connections, callers, servers, groups; the only user of nng.
volary_library(rpc
  SOURCES rpc_address.c rpc_block.c rpc_conn.c rpc_dispatch.c rpc_frame.c meta_members.c rpc_group.c rpc_group_members.c
    rpc_inproc.c rpc_link.c rpc_nng.c rpc_nng_dial.c
    rpc_nng_listen.c rpc_pipe.c rpc_resolve.c rpc_server.c rpc_server_call.c rpc_status.c rpc_flow.c rpc_tls.c
    rpc_tls_pipe.c rpc_writer.c nng_threads.c
  LINK base_io proto dep::nng dep::ssl dep::crypto)

if(VOLARY_TESTS)
  volary_library(rpc_fixture SOURCES rpc_fixture.c rpc_certs.c LINK rpc testlib)
endif()
volary_test(rpc_frame_test SOURCES rpc_frame_test.c LINK rpc)
volary_test(rpc_link_test SOURCES rpc_link_test.c LINK rpc_fixture)
volary_test(rpc_group_test SOURCES rpc_group_test.c LINK rpc_fixture)
volary_test(rpc_threads_test SOURCES rpc_threads_test.c LINK rpc_fixture)
volary_test(rpc_tls_test SOURCES rpc_tls_test.c LINK rpc_fixture)
volary_fuzzer(fuzz_rpc_frame SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_rpc_frame.c LINK rpc)
# The fakes as sources: fuzz builds have no test library.
volary_fuzzer(fuzz_rpc_conn SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_rpc_conn.c rpc_fixture.c
  ${CMAKE_SOURCE_DIR}/tests/lib/fake_loop.c ${CMAKE_SOURCE_DIR}/tests/lib/fake_clock.c ${CMAKE_SOURCE_DIR}/tests/lib/fake_rng.c
  LINK rpc)
volary_test(rpc_process_test SOURCES rpc_process_test.c LINK rpc_fixture)
if(VOLARY_TESTS)
  volary_program(rpc_peer SOURCES rpc_peer_main.c LINK rpc_fixture)
  set_target_properties(rpc_peer PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_dependencies(rpc_process_test rpc_peer)
endif()
volary_test(rpc_wire_test SOURCES rpc_wire_test.c LINK rpc_fixture)
volary_test(rpc_fault_test SOURCES rpc_fault_test.c LINK rpc_fixture)
