#!/bin/sh
# Two units of one program, each with the library, compiled for different instruction sets: compiler, include folder of the
# library, include folder of Eigen, output folder. Eigen's alignment is the same in both, as its manual asks.
set -eu
here=$(dirname "$0")
case $(uname -m) in x86_64) wide="-mavx2 -mfma -DEIGEN_MAX_ALIGN_BYTES=16" ;; *) wide="-DEIGEN_MAX_ALIGN_BYTES=16" ;; esac
"$1" -std=c++17 -DEIGEN_MAX_ALIGN_BYTES=16 -I "$2" -isystem "$3" -c "$here/main.cpp" -o "$4/mixed_main.o"
"$1" -std=c++17 $wide -I "$2" -isystem "$3" -c "$here/other_unit.cpp" -o "$4/mixed_other.o"
"$1" "$4/mixed_main.o" "$4/mixed_other.o" -pthread -o "$4/mixed_consumer"
"$4/mixed_consumer"
