#include "attend/functional/strips.hpp"

#include <gtest/gtest.h>

#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace strips_test {
namespace {
using namespace attend;
using namespace attend::testing;

template <class S, int R>
bool same(const Variable<S, R>& a, const Variable<S, R>& b) {
  return a.shape() == b.shape() && std::equal(a.data(), a.data() + a.size(), b.data());
}
/// Blocks of 16 rows and 64 columns, of four, two and one, whole or not; more and fewer channels than a vector has.
const Shape<4> shapes[] = {{1, 1, 1, 1}, {2, 3, 4, 5}, {2, 7, 7, 35}, {1, 37, 5, 16}, {3, 6, 131, 9}, {1, 18, 66, 64}};

TEST(StripMeans, AreThoseOfEachRowAndColumn) {
  for (const auto& shape : shapes) {
    const auto x = random_tensor<float, 4>(shape, 3);
    const auto y = strip_means(Variable<float, 4>(x));
    const auto [batch, height, width, channels] = shape;
    ASSERT_EQ(y.shape(), (Shape<3>{batch, height + width, channels}));
    for (Index b = 0; b < batch; ++b)
      for (Index c = 0; c < channels; ++c)
        for (Index k = 0; k < height + width; ++k) {
          const bool row = k < height;
          const Index count = row ? width : height;
          double sum = 0, size = 0;
          for (Index l = 0; l < count; ++l) {
            const double v = row ? x(b, k, l, c) : x(b, l, k - height, c);
            sum += v, size += std::abs(v);
          }
          // at most 16 additions follow each other, then halvings
          EXPECT_NEAR(y.data()[(b * (height + width) + k) * channels + c], sum / double(count),
                      20 * 6e-8 * size / double(count))
              << to_string(shape) << " " << b << " " << k << " " << c;
        }
  }
}

TEST(Strips, SameBitsForAnyThreadsAndInABatch) {
  const Shape<4> shape{3, 40, 70, 33};
  const auto all = random_tensor<float, 4>(shape, 3);
  const auto r = random_tensor<float, 4>({3, 40, 1, 33}, 4), c = random_tensor<float, 4>({3, 1, 70, 33}, 5);
  const Variable<float, 4> x(all), rows(r), columns(c);
  const int before = num_threads();
  set_num_threads(1);
  const auto means = strip_means(x);
  const auto gated = gate_strips(x, rows, columns);
  set_num_threads(3);
  EXPECT_TRUE(same(strip_means(x), means));
  EXPECT_TRUE(same(gate_strips(x, rows, columns), gated));
  const auto last = Variable<float, 4>::borrow(x.data() + 2 * 40 * 70 * 33, {1, 40, 70, 33});
  const auto alone = strip_means(last);
  EXPECT_TRUE(std::equal(alone.data(), alone.data() + alone.size(), means.data() + 2 * alone.size()));
  set_num_threads(before);
}

TEST(GateStrips, IsTheProductOnAndOffATape) {
  // the last is larger than 2 MiB, the one before it than 24 MiB
  for (const auto& [height, width, channels] :
       {std::array<Index, 3>{3, 4, 5}, {7, 7, 35}, {260, 200, 122}, {96, 95, 70}}) {
    const auto x = random_tensor<float, 4>({1, height, width, channels}, 3);
    const auto rows = random_tensor<float, 4>({1, height, 1, channels}, 4);
    const auto columns = random_tensor<float, 4>({1, 1, width, channels}, 5);
    using V = Variable<float, 4>;
    Tape<float> tape(Mode::training);
    EXPECT_TRUE(same(gate_strips(V(x), V(rows), V(columns)),
                     gate_strips(tape.want(tape.input(x)), tape.input(rows), tape.input(columns))));
  }
}

TEST(Strips, Gradients) {
  for (const auto& shape : {Shape<4>{2, 3, 4, 5}, Shape<4>{1, 1, 2, 3}, Shape<4>{1, 17, 3, 2}}) {
    const auto x = random_tensor<double, 4>(shape, 1);
    for (const auto& report :
         {check_function_gradients([](const auto&v) { return strip_means(v); }, x),
          check_function_gradients([](const auto&v, const auto&r, const auto&c) { return gate_strips(v, r, c); }, x,
                                   random_tensor<double, 4>({shape[0], shape[1], 1, shape[3]}, 2),
                                   random_tensor<double, 4>({shape[0], 1, shape[2], shape[3]}, 3))})
      EXPECT_TRUE(report.ok()) << report.text();
  }
}

TEST(BadInput, Strips) {
  const auto of = [](const Shape<4>& shape) { return Variable<float, 4>(random_tensor<float, 4>(shape, 1)); };
  expect_error<ShapeError>([&] { (void)strip_means(of({2, 0, 3, 4})); }, {"strip_means", "(2, 0, 3, 4)"});
  expect_error<ShapeError>([&] { (void)strip_means(of({2, 3, 0, 4})); }, {"strip_means", "(2, 3, 0, 4)"});
  EXPECT_EQ(strip_means(of({0, 2, 3, 4})).shape(), (Shape<3>{0, 5, 4}));
  const auto x = of({2, 3, 4, 5}), rows = of({2, 3, 1, 5}), columns = of({2, 1, 4, 5});
  expect_error<ShapeError>([&] { (void)gate_strips(x, columns, rows); },
                           {"gate_strips", "rows", "(2, 3, 1, 5)", "(2, 1, 4, 5)"});
  expect_error<ShapeError>(
      [&] {
        (void)gate_strips(x, rows, of({2, 1, 4, 1}));
      },
      {"gate_strips", "columns", "(2, 1, 4, 5)", "(2, 1, 4, 1)"});
}

}  // namespace
}  // namespace strips_test
