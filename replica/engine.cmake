# SPDX-License-Identifier: Apache-2.0
# The consensus half: core, log, writer, proposals, reads, frames.
volary_library(replica
  SOURCES adopt.c check.c core.c core_cut.c core_guard.c core_members.c core_message.c cut.c entry.c frame.c identity.c install.c lead.c life.c log.c log_spans.c members.c metrics.c scrub.c scrub_scan.c peer.c queue.c read.c rebuild.c replica.c
    replica_facts.c expel.c snapshot.c snapshot_files.c snapshot_frame.c snapshot_receive.c snapshot_send.c snapshot_source.c snapshot_staging.c
    snapshot_swap.c writer.c
    care.c core_lost.c
  LINK replica_store base base_io dep::raft dep::crypto Threads::Threads)

if(VOLARY_TESTS)
  volary_library(replica_testlib SOURCES cluster_fixture.c replica_fixture.c LINK replica testlib dep::cmocka)
endif()
volary_test(replica_test SOURCES replica_test.c LINK replica_testlib)
volary_test(replica_group_test SOURCES replica_group_test.c LINK replica_testlib)
volary_test(replica_member_test SOURCES replica_member_test.c LINK replica_testlib)
volary_test(replica_log_spans_test SOURCES log_spans_test.c LINK replica_testlib)
volary_test(replica_core_test SOURCES core_test.c LINK replica_testlib)
volary_test(replica_rocks_test SOURCES replica_rocks_test.c LINK replica_testlib)
volary_test(replica_expel_test SOURCES expel_test.c LINK replica_testlib)
volary_test(replica_sim_test SOURCES replica_sim_test.c LINK replica_testlib LABELS sim)
volary_test(replica_snapshot_test SOURCES snapshot_test.c LINK replica_testlib)
volary_test(replica_install_test SOURCES install_test.c LINK replica_testlib)
volary_program(replica_bench SOURCES ${CMAKE_SOURCE_DIR}/bench/replica_bench.c LINK replica)
volary_fuzzer(fuzz_replica_frame SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_replica_frame.c LINK replica)
volary_fuzzer(fuzz_replica_core SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_replica_core.c LINK replica)
volary_fuzzer(fuzz_replica_snapshot SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_replica_snapshot.c LINK replica)
