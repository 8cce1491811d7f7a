#!/bin/sh
# Without any build system: compiler, include folder of the library, include folder of Eigen, output folder.
set -eu
"$1" -std=c++17 -I "$2" -isystem "$3" "$(dirname "$0")/../main.cpp" "$(dirname "$0")/../other_unit.cpp" -pthread -o "$4/plain_consumer"
"$4/plain_consumer"
