#include "attend/layers/embedding.hpp"

#include <gtest/gtest.h>

#include "attend/functional/dense.hpp"
#include "attend/testing/gradient_check.hpp"

namespace embedding_test {
using namespace attend;
using namespace attend::testing;

namespace {
template <class Id>
Tensor<Id, 2> ids_of(std::initializer_list<Id> values) {
  Tensor<Id, 2> t(2, static_cast<Index>(values.size()) / 2);
  std::copy(values.begin(), values.end(), t.data());
  return t;
}
const auto ids = ids_of<int>({3, 0, 4, 3, 3, 1});
}  // namespace

TEST(Embedding, LooksUpRows) {
  Rng rng(1);
  Embedding<double> layer({.num_embeddings = 5, .embed_dim = 2}, rng);
  layer.weight().edit().setValues({{0, 0.5}, {1, 1.5}, {2, 2.5}, {3, 3.5}, {4, 4.5}});
  const Tensor<double, 3> y = layer(ids);
  ASSERT_EQ(y.dimension(1), 3);
  for (Index i = 0; i < 6; ++i) EXPECT_EQ(y.data()[2 * i], ids.data()[i]);
  const auto wide = layer(ids_of<std::int64_t>({4, 2}));
  EXPECT_EQ(wide(0, 0, 1), 4.5);
  EXPECT_EQ(layer(ids_of<std::uint8_t>({4, 2}))(1, 0, 0), 2);
}

TEST(Embedding, GradientsAgreeWithDifferences) {
  Rng rng(2);
  for (const Index padding : {-1, 3, 2}) {
    Embedding<double> layer({.num_embeddings = 5, .embed_dim = 3, .padding_idx = padding}, rng);
    if (padding == 3) continue;  // its row gets none by definition: below
    const auto report = check_gradients(
        layer, [&](const auto& x) { return layer(x); }, ids);
    EXPECT_TRUE(report.ok()) << report.text();
  }
  Embedding<double> wide({.num_embeddings = 5, .embed_dim = 67}, rng);
  const auto report = check_gradients(
      wide, [&](const auto& x) { return wide(x); }, ids);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Embedding, ThePaddingRowStartsAtZeroAndGetsNoGradient) {
  Rng rng(2);
  Embedding<double> layer({.num_embeddings = 5, .embed_dim = 3, .padding_idx = 3}, rng);
  Tape<double> tape(Mode::training);
  const auto y = layer(tape.input(ids));
  EXPECT_EQ(y.data()[0], 0);
  Tensor<double, 3> ones(2, 3, 3);
  ones.setConstant(1);
  const auto gradient = tape.backward(dot(y, Variable<double, 3>(ones))).of(layer.weight());
  const double expected[] = {1, 1, 0, 0, 1};
  for (Index row = 0; row < 5; ++row) EXPECT_EQ(gradient(row, 2), expected[row]) << row;
}

TEST(Embedding, TiedWeightsAddTheirGradients) {
  Rng rng(3);
  Embedding<double> layer({.num_embeddings = 5, .embed_dim = 3}, rng);
  const auto report = check_gradients(
      layer, [&](const auto& x) { return dense(layer(x), layer.table_on(x), absent<double, 1>()); }, ids);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Embedding, StartsStandardNormal) {
  Rng rng(5);
  Embedding<float> layer({.num_embeddings = 200, .embed_dim = 100}, rng);
  double sum = 0, square = 0;
  for (Index i = 0; i < 20000; ++i) {
    const double v = static_cast<double>(layer.weight().data()[i]);
    sum += v, square += v * v;
  }
  EXPECT_NEAR(sum / 20000, 0, 4 / std::sqrt(20000.0));
  EXPECT_NEAR(square / 20000, 1, 4 * std::sqrt(2 / 20000.0));
}

TEST(Embedding, IndexSelect) {
  const auto x = random_tensor<double, 3>({3, 4, 5}, 1);
  Tensor<int, 1> some(4);
  some.setValues({2, 0, 2, 1});
  const Variable<int, 1> which(some);
  for (const int axis : {0, 1, 2, -1}) {
    const auto report =
        check_function_gradients([&](const Variable<double, 3>& v) { return index_select(v, which, axis); }, x);
    EXPECT_TRUE(report.ok()) << axis << report.text();
  }
  const auto y = index_select(Variable<double, 3>(x), which, 1).tensor();
  for (Index i = 0; i < 3; ++i)
    for (Index j = 0; j < 4; ++j) EXPECT_EQ(y(i, j, 4), x(i, some(j), 4));
  EXPECT_EQ(index_select(Variable<double, 3>(x), Variable<int, 1>(Tensor<int, 1>(0)), 1).shape(), (Shape<3>{3, 0, 5}));
}

TEST(Embedding, ManyRowsForAnyNumberOfThreads) {
  Rng rng(5);
  Embedding<double> layer({.num_embeddings = 50, .embed_dim = 130}, rng);
  Tensor<int, 2> many(40, 70);
  for (Index i = 0; i < many.size(); ++i) many.data()[i] = int(rng.below(50));
  std::vector<double> first;
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    Tape<double> tape(Mode::training);
    const auto y = layer(tape.input(many));
    const auto g = tape.backward(dot(y, y)).of(layer.weight());
    const std::vector<double> bits(g.data(), g.data() + g.size());
    if (first.empty()) first = bits;
    EXPECT_EQ(first, bits);
  }
  set_num_threads(2);
}

TEST(Embedding, EmptyBatches) {
  Rng rng(1);
  Embedding<float> layer({.num_embeddings = 5, .embed_dim = 3}, rng);
  EXPECT_EQ(layer(Tensor<int, 2>(0, 7)).dimension(2), 3);
  EXPECT_EQ(layer(Tensor<int, 2>(2, 0)).size(), 0);
}

TEST(BadInput, Embedding) {
  Rng rng(1);
  const auto option = [&](EmbeddingOptions o) -> std::string {
    try {
      Embedding<float> layer(o, rng);
    } catch (const OptionError& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  EXPECT_EQ(option({.embed_dim = 3}), "[Embedding] num_embeddings is 0 and embed_dim 3; both must be at least 1");
  EXPECT_EQ(option({.num_embeddings = 3}), "[Embedding] num_embeddings is 3 and embed_dim 0; both must be at least 1");
  EXPECT_EQ(option({.num_embeddings = 3, .embed_dim = 2, .padding_idx = 3}),
            "[Embedding] padding_idx is 3; it must lie in [0, 3), or be -1 for none");
  EXPECT_EQ(option({.num_embeddings = 3, .embed_dim = 2, .padding_idx = -2}),
            "[Embedding] padding_idx is -2; it must lie in [0, 3), or be -1 for none");
  const Embedding<float> layer({.num_embeddings = 5, .embed_dim = 3}, rng);
  const auto shape = [&](const auto& call) -> std::string {
    try {
      call();
    } catch (const ShapeError& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  EXPECT_EQ(shape([&] {
              (void)layer(ids_of<int>({0, 5}));
            }),
            "[embedding] ids holds 5 at position 1; each must lie in [0, 5)");
  EXPECT_EQ(shape([&] {
              (void)layer(ids_of<int>({-1, 3}));
            }),
            "[embedding] ids holds -1 at position 0; each must lie in [0, 5)");
  EXPECT_EQ(shape([&] {
              (void)layer(ids_of<std::uint64_t>({0, ~std::uint64_t(0)}));
            }),
            "[embedding] ids holds 18446744073709551615 at position 1; each must lie in [0, 5)");
  const Variable<float, 2> x(Tensor<float, 2>(Tensor<float, 2>(2, 3).setZero()));
  Tensor<int, 1> bad(1);
  bad(0) = 3;
  EXPECT_EQ(shape([&] { (void)index_select(x, Variable<int, 1>(bad), 1); }),
            "[index_select] ids holds 3 at position 0; each must lie in [0, 3)");
  EXPECT_NE(shape([&] { (void)index_select(x, Variable<int, 1>(bad), 2); }).find("[-2, 2), but is 2"),
            std::string::npos);
  EXPECT_NE(shape([&] { (void)embedding(Variable<int, 1>(bad), x, 2); }).find("padding_idx must be below 2, but is 2"),
            std::string::npos);
}
}  // namespace embedding_test
