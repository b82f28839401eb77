# SPDX-License-Identifier: Apache-2.0
# The operators' surface: gRPC over HTTP/2, and the ops port.
volary_library(grpc SOURCES grpc_server.c grpc_call.c grpc_builtin.c ops_server.c LINK base_io proto dep::nghttp2)
