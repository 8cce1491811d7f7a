#!/bin/sh
# The loops that call a user's score_mod and mask_mod are vector code for every instruction set, at -O2 too: no call and no
# arithmetic on single numbers is left in them. Compiler, include folder of the library, include folder of Eigen, output
# folder.
set -eu
here=$(dirname "$0")
case $(uname -m) in x86_64) ;; *) echo "looks at x86-64 code only"; exit 0 ;; esac
case $("$1" --version) in *clang*) echo "clang 14 leaves these loops scalar: looks at g++'s code only"; exit 0 ;; esac
"$1" -std=c++17 -O2 -I "$2" -isystem "$3" -c "$here/score_mod.cpp" -o "$4/score_mod.o"
for isa in base avx2 avx512; do
  for loop in modify differentiate_modifier; do
    name=$(nm "$4/score_mod.o" | awk '{print $3}' | grep "[0-9]${isa}6detail14AttentionBlock.*[0-9]${loop}E" | head -n 1)
    test -n "$name" || { echo "$isa: no loop named $loop"; exit 1; }
    objdump -d --no-show-raw-insn --disassemble="$name" "$4/score_mod.o" > "$4/score_mod.txt"
    if grep -E "call|[[:space:]](v?(add|sub|mul|div|min|max|sqrt|u?comi|cmp[a-z]*)|v?fn?m(add|sub)[0-9]+)s[sd][[:space:]]" "$4/score_mod.txt"; then
      echo "$isa: $loop is not vector code"
      exit 1
    fi
    packed=$(grep -cE "[[:space:]]v?(mul|div)ps[[:space:]]" "$4/score_mod.txt")
    test "$packed" -ge 2 || { echo "$isa: $loop has $packed vector products"; exit 1; }
  done
done
