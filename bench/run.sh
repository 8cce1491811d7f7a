#!/usr/bin/env bash
# Installs what is missing (Debian 12; root or sudo), builds the benchmarks, and runs them.
#   bench/run.sh [attention|convolution|small_layers|network|gates|gemm|threads] [options of Google Benchmark]
#                                                                      default: all families
#   bench/run.sh --peers [--quick] [options of peers/compare.py]      beside other libraries; results in build-bench/peers
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
build=$top/build-bench

"$top/.ci/install" g++ cmake ninja-build libeigen3-dev libbenchmark-dev nlohmann-json3-dev
cmake -S "$top" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DATTEND_BUILD_TESTS=OFF -DATTEND_BUILD_EXAMPLES=OFF \
  -DATTEND_BUILD_BENCH=ON > /dev/null
families=(attention convolution small_layers network gates gemm threads)
if [[ ${1:-} == --peers ]]; then
  shift
  cmake --build "$build"
  "$top/.ci/install" python3-venv python3-dev  # torch.compile compiles against the latter
  requirements=$top/bench/peers/requirements.txt
  if [[ ! $build/venv/complete -nt $requirements ]]; then
    python3 -m venv "$build/venv"
    # PyTorch first, so that what follows fits it; timm alone, for of the rest that it asks for nothing is used.
    "$build/venv/bin/pip" install -q "$(grep '^torch==' "$requirements")"
    "$build/venv/bin/pip" install -q -r <(grep -v '^timm==' "$requirements")
    "$build/venv/bin/pip" install -q --no-deps "$(grep '^timm==' "$requirements")"
    touch "$build/venv/complete"
  fi
  exec "$build/venv/bin/python" "$top/bench/peers/compare.py" --programs "$build/bench" --output "$build/peers" "$@"
fi
if [[ $# -gt 0 && $1 != -* ]]; then
  families=("$1")
  shift
fi
for family in "${families[@]}"; do cmake --build "$build" --target "${family}_benchmark"; done
for family in "${families[@]}"; do "$build/bench/${family}_benchmark" "$@"; done
