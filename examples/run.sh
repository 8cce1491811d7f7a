#!/usr/bin/env bash
# Installs what is missing (Debian 12; root or sudo), builds the examples, and trains an attention-CNN on Fashion-MNIST.
#   examples/run.sh [options of fashion_mnist]      for instance --preset=quick, --attention=none, --data=shapes, --resume
# The results are in ./fashion_mnist_output, or where --output says.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)

"$top/.ci/install" g++ cmake ninja-build libeigen3-dev zlib1g-dev libpng-dev nlohmann-json3-dev libcli11-dev dataset-fashion-mnist

build=$top/build-examples
cmake -S "$top" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DATTEND_BUILD_TESTS=OFF -DATTEND_BUILD_EXAMPLES=ON > /dev/null
cmake --build "$build" --target fashion_mnist
exec "$build/examples/fashion_mnist" "$@"
