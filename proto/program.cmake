# SPDX-License-Identifier: Apache-2.0
# The table of settings, and the shell around the roles of a process.
volary_library(program SOURCES settings.c program.c program_reload.c LINK base_io rpc grpc)
target_compile_definitions(program PUBLIC VOLARY_VERSION="${PROJECT_VERSION}")
volary_test(settings_test SOURCES settings_test.c LINK program testlib)
volary_test(program_reload_test SOURCES program_reload_test.c LINK program testlib)
