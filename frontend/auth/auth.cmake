# SPDX-License-Identifier: Apache-2.0
# The SASL exchange that SMTP, IMAP and ManageSieve share; from keys: how a password is prepared.
volary_library(sasl
  SOURCES auth/sasl.c auth/sasl_plain.c auth/sasl_login.c auth/sasl_scram.c
  LINK base mail proto keys dep::crypto)
volary_test(sasl_test SOURCES auth/sasl_test.c LINK sasl testlib)
volary_fuzzer(fuzz_sasl SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_sasl.c LINK sasl)
