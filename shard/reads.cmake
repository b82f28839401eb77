# SPDX-License-Identifier: Apache-2.0
# How messages come in and are read: APPEND, delivery, FETCH, SEARCH.
target_sources(shard PRIVATE append.c body.c deliver.c fetch.c fetch_message.c fetch_rows.c fetch_section.c ingest.c
  ingest_seal.c row_cursor.c search.c search_keys.c search_message.c)

if(VOLARY_TESTS OR VOLARY_FUZZ)
  # The fixture is compiled into each of them: shard_testlib is declared behind this file.
  foreach(test ingest fetch search outlines)
    volary_test(shard_${test}_test SOURCES ${test}_test.c reads_fixture.c LINK shard_testlib)
  endforeach()
  volary_fuzzer(fuzz_shard_reads SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_shard_reads.c reads_fixture.c
    LINK shard_testlib)
  volary_program(shard_reads_bench SOURCES ${CMAKE_SOURCE_DIR}/bench/shard_reads_bench.c reads_fixture.c LINK shard_testlib)
endif()
