# SPDX-License-Identifier: Apache-2.0
# The IMAP core: pure, so it links no base_io.
set(imap_dir ${CMAKE_CURRENT_LIST_DIR})
volary_library(imap
  SOURCES
    ${imap_dir}/session.c ${imap_dir}/run.c ${imap_dir}/call.c ${imap_dir}/sync.c ${imap_dir}/commands.c
    ${imap_dir}/reader.c ${imap_dir}/parser.c ${imap_dir}/writer.c
    ${imap_dir}/view.c ${imap_dir}/flags.c ${imap_dir}/sets.c ${imap_dir}/roles.c
    ${imap_dir}/cmd_any.c ${imap_dir}/cmd_auth.c ${imap_dir}/cmd_select.c ${imap_dir}/cmd_mailbox.c
    ${imap_dir}/cmd_list.c ${imap_dir}/cmd_status.c ${imap_dir}/cmd_append.c ${imap_dir}/cmd_copy.c
    ${imap_dir}/cmd_expunge.c ${imap_dir}/cmd_store.c ${imap_dir}/cmd_search.c ${imap_dir}/search_keys.c
    ${imap_dir}/cmd_fetch.c ${imap_dir}/fetch_args.c ${imap_dir}/fetch_rows.c
    ${imap_dir}/ext_enable.c ${imap_dir}/ext_id.c ${imap_dir}/ext_idle.c ${imap_dir}/ext_namespace.c
    ${imap_dir}/ext_quota.c ${imap_dir}/ext_unselect.c
  LINK base mail proto fetch_stream sasl)
volary_test(imap_reader_test SOURCES ${imap_dir}/reader_test.c LINK imap testlib)
volary_test(imap_parser_test SOURCES ${imap_dir}/parser_test.c LINK imap testlib)
volary_test(imap_view_test SOURCES ${imap_dir}/view_test.c LINK imap testlib)
volary_test(imap_fetch_rows_test SOURCES ${imap_dir}/fetch_rows_test.c LINK imap testlib)
volary_test(imap_session_test SOURCES ${imap_dir}/session_test.c LINK imap testlib)
volary_fuzzer(fuzz_imap_session SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_imap_session.c LINK imap)
