#!/usr/bin/env bash
# Installs what the tests need (Debian 12; root or sudo), builds them, and runs all of them with ctest (or those that
# CTEST_FLAGS leave).
#   tests/run.sh [build folder]      default: build-tests
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build-tests}

.ci/install g++ cmake ninja-build libeigen3-dev libgtest-dev nlohmann-json3-dev libpng-dev zlib1g-dev

# -O1 with assertions: Eigen's own checks stay on, and the build stays short.
cmake -S . -B "$build" -G Ninja -DCMAKE_CXX_FLAGS="${CXXFLAGS:--O1}" -DATTEND_WERROR=ON -DATTEND_BUILD_EXAMPLES=OFF "${@:2}"
cmake --build "$build"
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" ${CTEST_FLAGS:-}
