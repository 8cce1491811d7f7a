#!/usr/bin/env bash
# attention_zoo, fine_tune and segment on a few images of Fashion-MNIST (the package dataset-fashion-mnist), good and bad.
#   attention_examples.sh FOLDER_OF_PROGRAMS
set -uo pipefail
programs=$(realpath "$1")
source "$(dirname "$0")/checks.sh"
trap 'rm -rf "$work"' EXIT
cd "$work"
refused() {  # text, program, arguments: exit status 1 and the text in the message
  local text=$1 program=$2
  shift 2
  "$programs/$program" "$@" >log 2>&1
  [ $? -eq 1 ] && grep -q -- "$text" log
}

"$programs/attention_zoo" --attentions=none,se,nl --epochs=1 --train-images=512 --test-images=200 --output=zoo >log 2>&1
check "attention_zoo ends well" test $? -eq 0
for file in zoo.md zoo.csv zoo.png; do check "$file is written" test -s "zoo/$file"; done
check "a trained attention has its accuracy" grep -Eq "^\| se \| [0-9.]+ ± [0-9.]+ \| [0-9.]+ ± [0-9.]+ \|" zoo/zoo.md
check "the others have their cost" grep -Eq "^\| triplet \| - \| - \| - \| [0-9]+ \| [0-9.]+ M \| [0-9.]+ ms" zoo/zoo.md
check "an unknown attention is named with its neighbours" refused "nearest known ones are" attention_zoo --attentions=ecb --output=x
check "a missing dataset is named" refused "install the package" attention_zoo --data-folder="$work/nowhere" --output=x
check "a missing folder of photographs is named" refused "train_images_u8.npy" attention_zoo --data="$work/nowhere" --output=x

"$programs/fine_tune" --seeds=1 --source-images=512 --source-epochs=1 --images=128 --epochs=1 --output=tuned >log 2>&1
check "fine_tune ends well" test $? -eq 0
check "its table has every way of tuning" test "$(grep -c ' ± ' tuned/fine_tune.md)" -eq 4

"$programs/segment" --scenes=48 --test-scenes=4 --networks=scse,danet --pixel=10,30 --output=scenes >log 2>&1
check "segment ends well" test $? -eq 0
for file in segment.md segment.png scse.safetensors danet.safetensors; do check "$file is written" test -s "scenes/$file"; done
check "an unknown network is refused" refused "none, scse, danet or encnet" segment --networks=fcn --scenes=32 --output=x

summary
