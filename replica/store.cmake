# SPDX-License-Identifier: Apache-2.0
# The storage half: tables on disk and in memory, the transaction over them, idempotency keys, tickets.
volary_library(replica_store
  SOURCES dir.c idem.c skiplist.c store.c reserve.c store_closed.c store_mem.c store_mem_image.c store_mem_read.c store_mem_rows.c store_mem_write.c store_reason.c store_rocks.c
    store_rocks_files.c store_rocks_iter.c store_rocks_open.c ticket.c txn.c txn_iter.c
  LINK base base_io dep::rocksdb Threads::Threads)

volary_test(txn_test SOURCES txn_test.c LINK replica_store testlib)
volary_test(store_test SOURCES store_test.c store_fixture.c LINK replica_store testlib)
volary_test(store_mem_test SOURCES store_mem_test.c store_fixture.c LINK replica_store testlib)
volary_test(store_rocks_test SOURCES store_rocks_test.c store_fixture.c LINK replica_store testlib)
volary_test(reserve_test SOURCES reserve_test.c LINK replica_store testlib)
volary_test(store_reason_test SOURCES store_reason_test.c LINK replica_store testlib)
volary_test(idem_test SOURCES idem_test.c LINK replica_store testlib)
volary_test(ticket_test SOURCES ticket_test.c LINK replica_store testlib)
volary_fuzzer(fuzz_ticket SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_ticket.c LINK replica_store)
