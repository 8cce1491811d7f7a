#include "attend/functional/arithmetic.hpp"

#include "attend/functional/concat.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/functional/shape.hpp"
#include "attend/layers/embedding.hpp"
#include "parity/golden.hpp"

namespace arithmetic_parity_test {
namespace {
using namespace attend;
using golden::function;

const golden::Cases arithmetic(
    "arithmetic", {
                      {"add_broadcast", function<3, 3>([](const auto& a, const auto& b) { return a + b; })},
                      {"multiply_broadcast", function<4, 4>([](const auto& a, const auto& b) { return a * b; })},
                      {"subtract_both", function<3, 3>([](const auto& a, const auto& b) { return a - b; })},
                      {"divide_broadcast", function<3, 3>([](const auto& a, const auto& b) { return a / (b + 2.5); })},
                      {"matmul", function<3, 3>([](const auto& a, const auto& b) { return matmul(a, b); })},
                      {"sum_axis", function<3>([](const auto& a) { return sum(a, {1}); })},
                      {"mean_axis", function<3>([](const auto& a) { return mean(a, {2}); })},
                      {"max_axis", function<3>([](const auto& a) { return max(a, {1}); })},
                      {"transpose", function<3>([](const auto& a) {
                         return transpose(a, {2, 1, 0});
                       })},
                      {"concat", function<3, 3>([](const auto& a, const auto& b) {
                         return concat({a, b}, 1);
                       })},
                      {"slice", function<3>([](const auto& a) { return slice(a, 1, 3, 1); })},
                  });

/// Ids are input 0.
template <int R>
golden::Check looked_up(const EmbeddingOptions& o) {
  return golden::check([o](auto& run) -> void {
    auto layer = golden::make_layer<Embedding<typename std::decay_t<decltype(run)>::Scalar>>(o);
    run.load(layer);
    run.output(layer(run.tape().input(run.template tensor<R, std::int64_t>("input.0"))));
    run.finish();
  });
}
const golden::Cases embedding("embedding", {
                                               {"plain", looked_up<2>({.num_embeddings = 7, .embed_dim = 5})},
                                               {"padding_idx",
                                                looked_up<2>({.num_embeddings = 7, .embed_dim = 5, .padding_idx = 2})},
                                               {"one_axis", looked_up<1>({.num_embeddings = 7, .embed_dim = 3})},
                                           });
}  // namespace
}  // namespace arithmetic_parity_test
