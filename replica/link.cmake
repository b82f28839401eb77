# SPDX-License-Identifier: Apache-2.0
# The replica's transport over the link.
volary_library(replica_link SOURCES group_link.c group_service.c raft_bulk.c raft_link.c raft_link_in.c LINK replica rpc)
volary_test(raft_link_test SOURCES raft_link_test.c LINK replica_link rpc_fixture)
volary_program(group_bench SOURCES ${CMAKE_SOURCE_DIR}/bench/group_bench.c LINK replica_link)
