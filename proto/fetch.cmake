# SPDX-License-Identifier: Apache-2.0
# The streams that answer MESSAGE_FETCH and the watches.
volary_library(fetch_stream SOURCES fetch_stream.c event_stream.c LINK proto base)
volary_test(fetch_stream_test SOURCES fetch_stream_test.c LINK fetch_stream)
volary_test(event_stream_test SOURCES event_stream_test.c LINK fetch_stream)
volary_fuzzer(fuzz_fetch_stream SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_fetch_stream.c LINK fetch_stream)
