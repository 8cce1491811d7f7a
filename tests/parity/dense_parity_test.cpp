#include "attend/layers/dense.hpp"

#include "parity/golden.hpp"

namespace dense_parity_test {
namespace {
using namespace attend;
using golden::layer;

const golden::Cases cases("dense",
                          {
                              {"rows", layer<Dense, 2>(DenseOptions{.in_features = 7, .out_features = 3})},
                              {"sequence", layer<Dense, 3>(DenseOptions{.in_features = 7, .out_features = 9})},
                              {"map", layer<Dense, 4>(DenseOptions{.in_features = 5, .out_features = 11})},
                              {"no_bias",
                               layer<Dense, 3>(DenseOptions{.in_features = 5, .out_features = 2, .bias = false})},
                              {"one_output", layer<Dense, 2>(DenseOptions{.in_features = 6, .out_features = 1})},
                          });
}  // namespace
}  // namespace dense_parity_test
