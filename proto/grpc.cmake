# SPDX-License-Identifier: Apache-2.0
# The operators' surface: gRPC over HTTP/2, and the ops port.
volary_library(grpc SOURCES grpc_server.c grpc_call.c grpc_builtin.c grpc_listen.c grpc_sweep.c ops_server.c LINK base_io proto dep::nghttp2)
# Asks such a server, one call after another: volaryctl.
volary_library(grpc_client SOURCES grpc_client.c grpc_client_socket.c LINK base_io dep::nghttp2 dep::ssl dep::crypto)
if(VOLARY_TESTS)
  volary_library(grpc_fixture SOURCES grpc_fixture.c LINK grpc rpc_fixture)
endif()
volary_test(grpc_client_test SOURCES grpc_client_test.c LINK grpc_client grpc_fixture)
volary_test(grpc_server_test SOURCES grpc_server_test.c LINK grpc_client grpc_fixture)
volary_test(ops_server_test SOURCES ops_server_test.c LINK grpc grpc_client)
