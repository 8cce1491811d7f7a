#!/usr/bin/env bash
# What a person does to the main job, good and bad.   fashion_mnist.sh PROGRAM
set -uo pipefail
program=$(realpath "$1")
source "$(dirname "$0")/checks.sh"
trap 'chmod -R u+w "$work" 2>/dev/null; mountpoint -q "$work/small" && umount "$work/small"; rm -rf "$work"' EXIT
cd "$work"
run() { "$program" --data=shapes --preset=quick "$@" >log 2>&1; }
refused() {  # text, arguments: exit status 1 and the text in the message
  local text=$1
  shift
  "$program" "$@" >log 2>&1
  [ $? -eq 1 ] && grep -q -- "$text" log
}

run --output=whole
check "the run ends well" test $? -eq 0
for file in weights.safetensors curves.csv accuracy.png loss.png confusion.png attention.png checkpoint.safetensors; do
  check "$file is written" test -s "whole/$file"
done
check "the attention is measured against the shape's box" grep -q "of its weight lies in the shape's box" log

# Stopped by a signal, wherever that falls, and resumed: the same bits as in one go.
"$program" --data=shapes --preset=quick --output=parts >log 2>&1 &
pid=$!
sleep 0.6
kill -INT $pid
wait $pid
status=$?
check "a signal stops the run cleanly (or it was faster)" test $status -eq 130 -o $status -eq 0
run --output=parts --resume
check "the resumed run ends well" test $? -eq 0
check "the resumed run gives the same weights" cmp -s whole/weights.safetensors parts/weights.safetensors
run --output=one-thread --threads=1
check "one thread gives the same weights" cmp -s whole/weights.safetensors one-thread/weights.safetensors

check "a missing dataset is named" refused "install the package dataset-fashion-mnist" --data-folder="$work/nowhere" --output=x
mkdir broken
head -c 1000 /dev/urandom >broken/train-images-idx3-ubyte.gz
cp broken/train-images-idx3-ubyte.gz broken/train-labels-idx1-ubyte.gz
check "a broken dataset is refused" refused "train-images-idx3-ubyte.gz" --data-folder=broken --output=x
echo x >file
check "an output that is a file is refused" refused "file" --data=shapes --preset=quick --output=file/below
if [ "$(id -u)" -ne 0 ]; then
  mkdir locked && chmod a-w locked
  check "an unwritable output is refused" refused "locked" --data=shapes --preset=quick --output=locked
fi
check "an output in /proc is refused" refused "/proc" --data=shapes --preset=quick --output=/proc/nowhere
cp -r whole damaged
printf 'x' | dd of=damaged/checkpoint.safetensors bs=1 seek=20000 conv=notrunc 2>/dev/null
check "a corrupt checkpoint is refused" refused "checkpoint.safetensors" --data=shapes --preset=quick --output=damaged --resume
head -c 5000 whole/checkpoint.safetensors >damaged/checkpoint.safetensors
check "a truncated checkpoint is refused" refused "checkpoint.safetensors" --data=shapes --preset=quick --output=damaged --resume
check "a checkpoint of other settings is refused" refused "other settings" --data=shapes --preset=quick --output=whole --resume --seed=9
check "a missing checkpoint is named" refused "checkpoint.safetensors" --data=shapes --preset=quick --output=nothing --resume
check "a loss that is no number stops the run" refused "the loss of step" --data=shapes --preset=quick --output=x --learning-rate=1e30
check "an unknown attention is refused" refused "none, channel, spatial, self or all" --attention=all-of-them
check "an unknown preset is refused" refused "default, best, ablation or quick" --preset=fast
check "too large a batch is refused" refused "training images" --data=shapes --preset=quick --batch-size=3000 --output=x

# A full disk, where one can be mounted: the message, and the old files as they were.
mkdir small
if mount -t tmpfs -o size=220k none small 2>/dev/null; then
  before=
  "$program" --data=shapes --preset=quick --output=small >log 2>&1
  check "a full disk stops the run with a message" test $? -eq 1
  check "the message names the file" grep -q "small/" log
  check "no half-written file is left" sh -c '! ls -A small | grep -qE "tmp|partial"'
fi

summary
