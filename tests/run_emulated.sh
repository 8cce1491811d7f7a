#!/usr/bin/env bash
# Cross-compiles tests of vectors and kernels for two other processors and runs them under QEMU (Debian 12; root or sudo):
# AArch64, whose vectors are NEON, and RISC-V without vectors, which stands for all that the library knows nothing of.
#   tests/run_emulated.sh [build folder]      default: build-emulated
# An emulated processor is slow, and the long double in which the tests sum is emulated once more: where a test runs over
# many sizes, some of them run here. With -O2, for only from there on does g++ fuse a * b + c as it sees fit.
set -euo pipefail
cd "$(dirname "$0")/.."
export build=${1:-build-emulated} googletest=/usr/src/googletest/googletest
.ci/install g++-aarch64-linux-gnu g++-riscv64-linux-gnu qemu-user libeigen3-dev googletest

compile() {  # PROCESSOR SOURCE OBJECT FLAGS...
  "$1-linux-gnu-g++" -std=c++20 -O2 -I include -I tests -isystem /usr/include/eigen3 -isystem "$googletest/include" \
    -DATTEND_SOURCE_DIR="\"$PWD\"" -c "$2" -o "$3" "${@:4}"
}
mkdir -p "$build"/{aarch64,riscv64}
for processor in aarch64 riscv64; do
  compile $processor "$googletest/src/gtest_main.cc" "$build/$processor/gtest.o" -I "$googletest" -include src/gtest-all.cc -O0 &
done
wait -n
wait -n

run() {  # PROCESSOR SOURCE FILTER
  local program
  program=$build/$1/$(basename "$2" .cpp)
  compile "$1" "$2" "$program.o" -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
  "$1-linux-gnu-g++" "$program.o" "$build/$1/gtest.o" -o "$program" -pthread
  if ! "qemu-$1" -L "/usr/$1-linux-gnu" "$program" --gtest_brief=1 --gtest_filter="$3" > "$program.log" 2>&1; then
    cat "$program.log"
    exit 1
  fi
  echo "$1: $2 ($3): $(tail -n 1 "$program.log")"
}
export -f compile run
xargs -P "$(nproc)" -L 1 bash -euc 'run aarch64 "$0" "$1"; run riscv64 "$0" "$1"' << 'LIST'
tests/simd/math_test.cpp *
tests/kernels/gemm_test.cpp -*.AgreesWithTheDefinitionForLargerShapes
tests/attention/cached_attention_test.cpp Seeds/*/0:*.WhatIsNotSeen*:*.Infinities*
tests/kernels/winograd_test.cpp -*.AgreesAtTheEdges*
tests/kernels/convolution_test.cpp *
tests/kernels/surroundings_test.cpp *
tests/kernels/attention_random_test.cpp Seeds/*/0
tests/kernels/pooling_test.cpp *
tests/simd/isa_test.cpp *
tests/simd/philox_test.cpp *
LIST
