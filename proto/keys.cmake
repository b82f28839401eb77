# SPDX-License-Identifier: Apache-2.0
# What only some roles may make or open: the cluster key, session tokens; and how passwords are read by all of them.
volary_library(keys SOURCES cluster_key.c data_dir.c key_mark.c session_token.c password_prep.c LINK proto base_io dep::crypto dep::utf8proc)
volary_test(key_mark_test SOURCES key_mark_test.c LINK keys testlib)
volary_test(cluster_key_test SOURCES cluster_key_test.c LINK keys testlib)
volary_test(session_token_test SOURCES session_token_test.c LINK keys testlib)
volary_test(password_prep_test SOURCES password_prep_test.c LINK keys testlib)
if(VOLARY_TESTS)
  volary_program(key_scan SOURCES ${CMAKE_SOURCE_DIR}/tests/lib/key_scan.c LINK keys)
endif()
