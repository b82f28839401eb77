# SPDX-License-Identifier: Apache-2.0
# The SMTP core: MX, LMTP, submission.
volary_library(smtp
  SOURCES smtp/session.c smtp/actions.c smtp/profile.c smtp/log.c smtp/reply.c smtp/reader.c smtp/commands.c smtp/line.c smtp/path.c
    smtp/address.c smtp/pipelining.c smtp/header.c smtp/data.c smtp/trace.c smtp/delivery.c smtp/delivery_result.c smtp/delivery_split.c smtp/message.c
    smtp/cmd_session.c smtp/cmd_auth.c smtp/cmd_mail.c smtp/cmd_rcpt.c smtp/cmd_data.c smtp/cmd_bdat.c
  LINK base mail proto sasl dep::crypto)

if(VOLARY_TESTS OR VOLARY_FUZZ)
  set(smtp_double ${CMAKE_SOURCE_DIR}/tests/transcript)
  volary_library(smtp_double SOURCES ${smtp_double}/smtp_backend.c ${smtp_double}/smtp_driver.c LINK smtp)
endif()
volary_fuzzer(fuzz_smtp_data SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_smtp_data.c LINK smtp)
volary_fuzzer(fuzz_smtp_session SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_smtp_session.c LINK smtp_double)
volary_test(smtp_session_test SOURCES smtp/session_test.c LINK smtp_double testlib)
volary_test(smtp_data_test SOURCES smtp/data_test.c LINK smtp testlib)
volary_test(smtp_path_test SOURCES smtp/path_test.c LINK smtp testlib)
