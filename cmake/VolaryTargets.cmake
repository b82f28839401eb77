# SPDX-License-Identifier: Apache-2.0
# One helper per kind of target. LINK is the layer rule in code: a library sees the headers of what it links.
add_library(volary_flags INTERFACE)
target_compile_options(volary_flags INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wvla -Wformat=2 -Wundef -Wcast-qual
  -Wstrict-prototypes -Wmissing-prototypes -Wswitch -fno-strict-aliasing)
target_include_directories(volary_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_definitions(volary_flags INTERFACE _GNU_SOURCE)
if(VOLARY_WERROR)
  target_compile_options(volary_flags INTERFACE -Werror)
endif()
if(VOLARY_HARDEN)
  target_compile_options(volary_flags INTERFACE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection
    -fcf-protection=full -ftrivial-auto-var-init=zero -fno-strict-overflow -fno-delete-null-pointer-checks)
  target_link_options(volary_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  target_link_options(volary_flags INTERFACE -pie)
endif()

# volary_library(NAME SOURCES a.c b.c LINK other dep::x): a static library.
function(volary_library NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${NAME} STATIC ${ARG_SOURCES})
  target_link_libraries(${NAME} PUBLIC volary_flags ${ARG_LINK})
endfunction()

# volary_program(NAME SOURCES main.c LINK ...): an executable in bin/.
function(volary_program NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${NAME} ${ARG_SOURCES})
  target_link_libraries(${NAME} PRIVATE volary_flags ${ARG_LINK})
endfunction()

# volary_test(NAME SOURCES foo_test.c LINK ... [LABELS unit]): a cmocka program that ctest runs.
function(volary_test NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT VOLARY_TESTS)
    return()
  endif()
  add_executable(${NAME} ${ARG_SOURCES})
  set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${NAME} PRIVATE volary_flags ${ARG_LINK} dep::cmocka)
  add_test(NAME ${NAME} COMMAND ${NAME} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  set_tests_properties(${NAME} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 300)
endfunction()

# volary_fuzzer(NAME SOURCES fuzz_x.c LINK ...): a libFuzzer program over the asan flags; without VOLARY_FUZZ the same
# file is linked with a driver that replays its seed corpus (tests/fuzz/corpus/NAME), as an ordinary test.
function(volary_fuzzer NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  if(VOLARY_FUZZ)
    add_executable(${NAME} ${ARG_SOURCES})
    target_link_libraries(${NAME} PRIVATE volary_flags ${ARG_LINK})
    target_link_options(${NAME} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  elseif(VOLARY_TESTS)
    add_executable(${NAME} ${ARG_SOURCES} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.c)
    target_link_libraries(${NAME} PRIVATE volary_flags ${ARG_LINK})
    set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
    add_test(NAME ${NAME}_replay COMMAND ${NAME} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${NAME})
    set_tests_properties(${NAME}_replay PROPERTIES LABELS fuzz TIMEOUT 120)
  endif()
endfunction()
