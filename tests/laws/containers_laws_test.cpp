#include <gtest/gtest.h>

#include "attend/layers/activation.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/dropout.hpp"
#include "attend/layers/embedding.hpp"
#include "attend/layers/flatten.hpp"
#include "attend/layers/identity.hpp"
#include "attend/layers/layer_list.hpp"
#include "attend/layers/layer_norm.hpp"
#include "attend/layers/residual.hpp"
#include "attend/layers/sequential.hpp"
#include "attend/testing/layer_laws.hpp"

namespace containers_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
const auto x = random_tensor<double, 3>({3, 5, 6}, 2);
template <class L>
auto always(const L& layer) {
  return [layer](auto, Rng&) { return layer; };
}
}  // namespace

TEST(Laws, Dense) {
  EXPECT_EQ(text(broken_laws(
                [](auto s, Rng& rng) { return Dense<decltype(s)>({.in_features = 6, .out_features = 7}, rng); }, x)),
            "");
}
TEST(Laws, DenseOfManyRows) {  // enough for several threads
  const auto many = random_tensor<double, 3>({3, 150, 96}, 2);
  EXPECT_EQ(
      text(broken_laws(
          [](auto s, Rng& rng) { return Dense<decltype(s)>({.in_features = 96, .out_features = 129}, rng); }, many)),
      "");
}
TEST(Laws, Embedding) {
  Tensor<int, 2> ids(3, 4);
  ids.setValues({{1, 0, 1, 2}, {3, 3, 3, 3}, {4, 0, 2, 1}});
  EXPECT_EQ(
      text(broken_laws(
          [](auto s, Rng& rng) { return Embedding<decltype(s)>({.num_embeddings = 5, .embed_dim = 3}, rng); }, ids)),
      "");
}
TEST(Laws, Dropout) { EXPECT_EQ(text(broken_laws(always(Dropout(0.3)), x)), ""); }
TEST(Laws, Dropout2d) { EXPECT_EQ(text(broken_laws(always(Dropout2d(0.3)), x)), ""); }
TEST(Laws, DropPath) { EXPECT_EQ(text(broken_laws(always(DropPath(0.3)), x)), ""); }
TEST(Laws, Identity) { EXPECT_EQ(text(broken_laws(always(Identity()), x)), ""); }
TEST(Laws, Flatten) { EXPECT_EQ(text(broken_laws(always(Flatten()), x)), ""); }
TEST(Laws, Sequential) {
  const auto make = [](auto s, Rng& rng) {
    using S = decltype(s);
    return Sequential(Dense<S>({6, 4}, rng), BatchNorm<S>({.channels = 4}), Gelu(), Flatten(), Dense<S>({20, 3}, rng));
  };
  EXPECT_EQ(text(broken_laws(make, x)), "");
}
TEST(Laws, LayerList) {
  const auto make = [](auto s, Rng& rng) {
    using S = decltype(s);
    return LayerList<S, 3>(
        {AnyLayer<S, 3>(Dense<S>({6, 4}, rng)), AnyLayer<S, 3>(Tanh()), AnyLayer<S, 3>(Dense<S>({4, 6}, rng))});
  };
  EXPECT_EQ(text(broken_laws(make, x)), "");
}
TEST(Laws, Residual) {
  const auto make = [](auto s, Rng& rng) {
    using S = decltype(s);
    return Residual(Sequential(LayerNorm<S>({.normalized_shape = 6}), Dense<S>({6, 6}, rng), Silu()), 0.3);
  };
  EXPECT_EQ(text(broken_laws(make, x)), "");
}
}  // namespace containers_laws_test
