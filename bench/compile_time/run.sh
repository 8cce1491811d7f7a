#!/usr/bin/env bash
# What it costs to compile against the library: the compiler's processor time and memory, and the size of the object.
#   bench/compile_time/run.sh [compiler and options]      default: g++ -O2
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
"$top/.ci/install" g++ libeigen3-dev time
[[ $# -gt 0 ]] || set -- g++ -O2
object=$(mktemp)
trap 'rm -f "$object"' EXIT
printf '%-9s %-9s %8s %8s %10s\n' program standard seconds MB object/KB
for program in header training; do
  for standard in 17 20; do
    read -r user system memory < <(/usr/bin/time -f '%U %S %M' "$@" -std=c++$standard -I "$top/include" \
      -isystem /usr/include/eigen3 -c "$top/bench/compile_time/$program.cpp" -o "$object" 2>&1 | tail -n 1)
    printf '%-9s C++%-6s %8.1f %8d %10d\n' $program $standard "$(awk "BEGIN { print $user + $system }")" \
      $((memory / 1024)) $(($(stat -c %s "$object") / 1024))
  done
done
