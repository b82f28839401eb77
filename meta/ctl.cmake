# SPDX-License-Identifier: Apache-2.0
# volaryctl: the admin API for people and scripts.
volary_library(ctl
  SOURCES ctl/args.c ctl/client.c ctl/commands.c ctl/help.c ctl/json.c ctl/prompt.c ctl/qr.c ctl/run.c ctl/run_audit.c ctl/run_factor.c ctl/run_job.c ctl/run_member.c ctl/run_verify.c ctl/since.c ctl/table.c
  LINK base_io proto certificate_check audit_file grpc_client dep::crypto dep::utf8proc dep::qrencode)
target_compile_definitions(ctl PUBLIC VOLARY_VERSION="${PROJECT_VERSION}")
volary_program(volaryctl SOURCES ctl/main.c LINK ctl dep::jemalloc)
volary_test(ctl_args_test SOURCES ctl/args_test.c LINK ctl testlib)
volary_test(ctl_json_test SOURCES ctl/json_test.c LINK ctl testlib)
volary_fuzzer(fuzz_ctl_args SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_ctl_args.c LINK ctl)
