#!/usr/bin/env bash
# Cross-compiles tests of vectors and kernels for AArch64 and runs them under QEMU (Debian 12; root or sudo).
#   tests/run_aarch64.sh [build folder]      default: build-aarch64
# An emulated processor is slow, and the long double in which the tests sum is emulated once more: where a test runs over
# many sizes, some of them run here.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build-aarch64}
.ci/install g++-aarch64-linux-gnu qemu-user libeigen3-dev googletest

mkdir -p "$build"
export build googletest=/usr/src/googletest/googletest
compile() {  # SOURCE OBJECT FLAGS...
  aarch64-linux-gnu-g++ -std=c++20 -O1 -I include -I tests -isystem /usr/include/eigen3 -isystem "$googletest/include" \
    -DATTEND_SOURCE_DIR="\"$PWD\"" -c "$1" -o "$2" "${@:3}"
}
compile "$googletest/src/gtest-all.cc" "$build/gtest.o" -I "$googletest" &
compile "$googletest/src/gtest_main.cc" "$build/gtest_main.o" &
wait -n && wait -n

run() {  # SOURCE FILTER
  local program
  program=$build/$(basename "$1" .cpp)
  compile "$1" "$program.o" -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
  aarch64-linux-gnu-g++ "$program.o" "$build/gtest.o" "$build/gtest_main.o" -o "$program" -pthread
  if ! qemu-aarch64 -L /usr/aarch64-linux-gnu "$program" --gtest_brief=1 --gtest_filter="$2" > "$program.log" 2>&1; then
    cat "$program.log"
    exit 1
  fi
  echo "$1 ($2): $(tail -n 1 "$program.log")"
}
export -f compile run
xargs -P "$(nproc)" -L 1 bash -euc 'run "$0" "$1"' << 'LIST'
tests/functional/attention_invariants_test.cpp *.Permuted*:*.Masking*:*.PaddedEqualsRagged:*.BottomRight*
tests/kernels/gemm_test.cpp -*.AgreesWithTheDefinitionForLargerShapes
tests/attention/cached_attention_test.cpp Seeds/*/0:*.WhatIsNotSeen*:*.Infinities*
tests/kernels/winograd_test.cpp -*.AgreesAtTheEdges*
tests/simd/math_test.cpp *
tests/kernels/convolution_test.cpp *
tests/kernels/surroundings_test.cpp *
tests/kernels/pooling_test.cpp *
tests/simd/isa_test.cpp *
tests/simd/philox_test.cpp *
LIST
