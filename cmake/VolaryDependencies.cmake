# SPDX-License-Identifier: Apache-2.0
# Every library that Volary links, one imported target each (dep::name), found once here.
# `deploy/dependencies` installs them by package name.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(volary_pkg NAME MODULE)
  pkg_check_modules(VOLARY_${NAME} QUIET IMPORTED_TARGET GLOBAL "${MODULE}")
  if(NOT VOLARY_${NAME}_FOUND)
    message(FATAL_ERROR "Volary needs ${MODULE}. Run deploy/dependencies to install what is missing.")
  endif()
  add_library(dep::${NAME} ALIAS PkgConfig::VOLARY_${NAME})
endfunction()

volary_pkg(uv "libuv>=1.40")
volary_pkg(crypto "libcrypto>=3.0")
volary_pkg(ssl "libssl>=3.0")
volary_pkg(zstd "libzstd")
volary_pkg(argon2 "libargon2")
volary_pkg(yaml "yaml-0.1")
volary_pkg(nghttp2 "libnghttp2>=1.50")
volary_pkg(utf8proc "libutf8proc")
volary_pkg(idn2 "libidn2")
volary_pkg(qrencode "libqrencode")
volary_pkg(rocksdb "rocksdb>=7.8")
volary_pkg(jemalloc "jemalloc")

# libraft before 0.22 commits entries of old terms by counting and goes on after a failed write
# (docs/decisions); it must never carry mail.
pkg_check_modules(VOLARY_raft QUIET IMPORTED_TARGET GLOBAL raft)
if(NOT VOLARY_raft_FOUND OR VOLARY_raft_VERSION VERSION_LESS 0.22)
  message(FATAL_ERROR "Volary needs libraft >= 0.22, found '${VOLARY_raft_VERSION}'. Older ones can lose committed "
    "entries. On Debian 12 it is in bookworm-backports: run deploy/dependencies.")
endif()
add_library(dep::raft ALIAS PkgConfig::VOLARY_raft)

find_path(VOLARY_NNG_INCLUDE nng/nng.h)
find_library(VOLARY_NNG_LIBRARY nng)
if(NOT VOLARY_NNG_INCLUDE OR NOT VOLARY_NNG_LIBRARY)
  message(FATAL_ERROR "Volary needs nng. Run deploy/dependencies to install what is missing.")
endif()
add_library(dep_nng INTERFACE)
target_link_libraries(dep_nng INTERFACE ${VOLARY_NNG_LIBRARY})
target_include_directories(dep_nng SYSTEM INTERFACE ${VOLARY_NNG_INCLUDE})
add_library(dep::nng ALIAS dep_nng)

if(VOLARY_TESTS OR VOLARY_FUZZ)
  volary_pkg(cmocka "cmocka")
endif()
find_program(VOLARY_PROTOC protoc REQUIRED)
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
