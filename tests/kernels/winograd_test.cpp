#include <gtest/gtest.h>

#include "attend/functional/arithmetic.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/testing/reference_convolution.hpp"

namespace winograd_test {
using namespace attend;
using namespace attend::testing;

namespace {

ConvolutionShape shape_of_3x3(const Shape<4>& x, Index out, const Pair& pad) {
  ConvolutionShape s;
  s.batch = x[0], s.height = x[1], s.width = x[2], s.in_channels = x[3], s.out_channels = out;
  s.kernel = 3, s.pad_top = pad.height, s.pad_left = pad.width;
  s.out_height = s.height + 2 * pad.height - 2, s.out_width = s.width + 2 * pad.width - 2;
  return s;
}
template <class S>
Tensor<S, 4> forward(const ConvolutionShape& s, const Tensor<S, 4>& x, const Tensor<S, 4>& w, const S* bias) {
  const auto packed = make_buffer<S>(packed_convolution_size<S>(s));
  Recycler::poison();
  pack_convolution(s, w.data(), packed.get());
  Tensor<S, 4> y(s.batch, s.out_height, s.out_width, s.out_channels);
  y.setConstant(std::numeric_limits<S>::quiet_NaN());
  convolution_forward(s, x.data(), packed.get(), GemmEpilogue<S>{bias}, y.data());
  return y;
}
template <class S, int R>
Tensor<double, R> in_double(const Tensor<S, R>& t) {
  return t.template cast<double>();
}
template <class S>
double largest_error(const Tensor<S, 4>& found, const Tensor<double, 4>& exact) {
  double largest = 0;
  for (Index i = 0; i < exact.size(); ++i) {
    const double error = std::abs(static_cast<double>(found.data()[i]) - exact.data()[i]);
    if (!(error <= largest)) largest = error;
  }
  return largest;
}
double largest(const Tensor<double, 4>& t) {
  double top = 0;
  for (Index i = 0; i < t.size(); ++i) top = std::max(top, std::abs(t.data()[i]));
  return top;
}

/// Of the largest result possible, terms times 1: the sums over channels err like any sum, and the transforms before
/// and after them multiply that by the norms of their matrices, 4 for tiles of 2 and 100 for tiles of 4.
template <class S>
double tolerance(Index tile, Index terms) {
  return (tile == 2 ? 4 : 100) * static_cast<double>(terms + 8) *
         static_cast<double>(std::numeric_limits<S>::epsilon());
}

template <class S>
void compare(const Shape<4>& x_shape, Index out, const Pair& pad, Index tile, std::uint64_t seed) {
  SCOPED_TRACE("x " + to_string(x_shape) + " out " + std::to_string(out) + " padding " + to_string(pad) + " tile " +
               std::to_string(tile));
  ConvolutionShape s = shape_of_3x3(x_shape, out, pad);
  s.winograd = tile;
  ConvolutionOptions options;
  options.padding = pad;
  const auto x = random_tensor<S, 4>(x_shape, seed), w = random_tensor<S, 4>({out, x_shape[3], 3, 3}, seed + 1);
  const auto b = random_tensor<S, 1>({out}, seed + 2);
  const bool biased = seed % 2 == 0;
  const auto y = forward(s, x, w, biased ? b.data() : nullptr);
  const auto expected =
      reference_conv2d(in_double(x), in_double(w), biased ? in_double(b) : Tensor<double, 1>(0), options);
  EXPECT_LE(largest_error(y, expected), tolerance<S>(tile, 9 * x_shape[3]));

  const auto dy = random_tensor<S, 4>({s.batch, s.out_height, s.out_width, out}, seed + 3);
  Tensor<S, 4> dx = random_tensor<S, 4>(x_shape, seed + 4);
  Tensor<double, 4> sum = reference_conv2d_backward(in_double(x), in_double(w), in_double(dy), options).x;
  Tensor<S, 4> alone(x_shape);
  alone.setConstant(std::numeric_limits<S>::quiet_NaN());
  Recycler::poison();
  convolution_backward_input(s, dy.data(), w.data(), Accumulator<S>{alone.data(), true});
  EXPECT_LE(largest_error(alone, sum), tolerance<S>(tile, 9 * out));
  for (Index i = 0; i < sum.size(); ++i) sum.data()[i] += static_cast<double>(dx.data()[i]);
  convolution_backward_input(s, dy.data(), w.data(), Accumulator<S>{dx.data()});
  EXPECT_LE(largest_error(dx, sum), tolerance<S>(tile, 9 * out));
}

}  // namespace

TEST(Winograd, AgreesWithTheDefinitionAtRandomShapes) {
  const Rng rng(7);
  std::uint64_t drawn = 0;
  const auto between = [&](Index low, Index high) {
    return low + static_cast<Index>(rng.uniform_at(drawn++) * static_cast<double>(high - low + 1));
  };
  for (std::uint64_t i = 0; i < 150; ++i) {
    const Pair pad(between(0, 3), between(0, 3));
    const Shape<4> x{between(1, 3), between(std::max<Index>(1, 3 - 2 * pad.height), 11),
                     between(std::max<Index>(1, 3 - 2 * pad.width), 11), between(1, i % 10 == 0 ? 300 : 40)};
    const Index out = between(1, i % 10 == 1 ? 130 : 40), tile = i % 2 == 0 ? 2 : 4;
    if (i % 4 < 2)
      compare<float>(x, out, pad, tile, i);
    else
      compare<double>(x, out, pad, tile, i);
  }
}

TEST(Winograd, AgreesAtTheEdgesOfBlocksOfTilesAndColumns) {
  for (const Index tile : {2, 4})
    for (const Index out : {16, 48, 49, 64, 80, 97}) {
      compare<float>({1, 1, 1, 16}, out, 1, tile, 1);
      compare<float>({2, 9 * tile, 8 * tile, 16}, out, 1, tile, 2);
      compare<double>({1, 9 * tile - 1, 8 * tile + 1, 17}, out, 1, tile, 3);
    }
}

TEST(Winograd, ErrorsAreOfTheSizeThatTheAlgorithmsPromise) {
  const double limits[] = {0, 0, 4, 0, 0};  // times the error of sums of products
  for (const Shape<4>& shape : {Shape<4>{1, 28, 28, 16}, Shape<4>{1, 16, 16, 64}, Shape<4>{1, 14, 14, 256}}) {
    SCOPED_TRACE(to_string(shape));
    ConvolutionShape s = shape_of_3x3(shape, 64, 1);
    const auto x = random_tensor<float, 4>(shape, 1), w = random_tensor<float, 4>({64, shape[3], 3, 3}, 2);
    const auto exact = reference_conv2d(in_double(x), in_double(w), Tensor<double, 1>(0), {.padding = 1});
    const double direct = largest_error(forward<float>(s, x, w, nullptr), exact);
    s.winograd = 2;
    EXPECT_LE(largest_error(forward<float>(s, x, w, nullptr), exact), limits[2] * direct);
    s.winograd = 4;
    EXPECT_LE(largest_error(forward<float>(s, x, w, nullptr), exact), 1e-5 * largest(exact));
  }
}

TEST(Winograd, ASampleAloneHasTheBitsItHasInABatchForAnyNumberOfThreads) {
  for (const auto algorithm : {ConvolutionAlgorithm::automatic, ConvolutionAlgorithm::fast})
    for (const Shape<4>& shape : {Shape<4>{7, 9, 8, 17}, Shape<4>{7, 14, 14, 64}, Shape<4>{7, 7, 7, 260}}) {
      SCOPED_TRACE(to_string(shape));
      const auto x = random_tensor<float, 4>(shape, 1), w = random_tensor<float, 4>({100, shape[3], 3, 3}, 2);
      const auto run = [&](const Tensor<float, 4>& input, int threads) {
        const int before = num_threads();
        set_num_threads(threads);
        const auto y = conv2d(Variable<float, 4>(input), Variable<float, 4>(w), absent<float, 1>(),
                              {.padding = 1, .algorithm = algorithm});
        set_num_threads(before);
        return y;
      };
      const auto together = run(x, 3);
      const Index sample = x.size() / 7, out = together.size() / 7;
      Tensor<float, 4> last(1, shape[1], shape[2], shape[3]);
      std::copy_n(x.data() + 6 * sample, sample, last.data());
      for (const int threads : {1, 2, 5}) {
        const auto alone = run(last, threads);
        EXPECT_EQ(std::memcmp(together.data() + 6 * out, alone.data(), sizeof(float) * static_cast<std::size_t>(out)),
                  0);
      }
    }
}

TEST(Winograd, Gradients) {
  for (const auto algorithm : {ConvolutionAlgorithm::automatic, ConvolutionAlgorithm::fast}) {
    const ConvolutionOptions options{.padding = 1, .algorithm = algorithm};
    ConvolutionShape s = shape_of_3x3({1, 7, 8, 16}, 16, 1);
    EXPECT_EQ(winograd_tile(s, algorithm), algorithm == ConvolutionAlgorithm::fast ? 4 : 2);
    const auto report =
        check_function_gradients([&](const auto& x, const auto& w, const auto& b) { return conv2d(x, w, b, options); },
                                 random_tensor<double, 4>({1, 7, 8, 16}, 1),
                                 random_tensor<double, 4>({16, 16, 3, 3}, 2), random_tensor<double, 1>({16}, 3));
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

TEST(Winograd, TheLayerAndTheMapDecide) {
  const auto tile = [](const Shape<4>& x, Index out, ConvolutionAlgorithm algorithm) {
    return winograd_tile(shape_of_3x3(x, out, 1), algorithm);
  };
  using Algorithm = ConvolutionAlgorithm;
  for (const Index batch : {1, 2, 128}) {
    EXPECT_EQ(tile({batch, 56, 56, 64}, 64, Algorithm::automatic), 2);
    EXPECT_EQ(tile({batch, 56, 56, 64}, 64, Algorithm::fast), 4);
    EXPECT_EQ(tile({batch, 56, 56, 64}, 64, Algorithm::exact), 0);
    EXPECT_EQ(tile({batch, 7, 7, 512}, 512, Algorithm::fast), 2);
    EXPECT_EQ(tile({batch, 1, 1, 64}, 64, Algorithm::fast), 0);
    EXPECT_EQ(tile({batch, 1, 9, 64}, 64, Algorithm::fast), 0);
    EXPECT_EQ(tile({batch, 56, 56, 3}, 64, Algorithm::fast), 0);
  }
  for (const int field : {0, 1, 2, 3}) {
    ConvolutionShape s = shape_of_3x3({1, 56, 56, 64}, 64, 1);
    if (field == 0) s.stride = 2;
    if (field == 1) s.dilation = {1, 2};
    if (field == 2) s.groups = 2;
    if (field == 3) s.kernel = {3, 5};
    EXPECT_EQ(winograd_tile(s, Algorithm::fast), 0);
  }
}

TEST(Winograd, ALayerKeepsAFormOfItsWeightForEachAlgorithm) {
  Rng rng(3);
  Conv2d<double> layer({.in_channels = 16, .out_channels = 16, .kernel_size = 3, .padding = 1}, rng);
  for (const int version : {0, 1}) {
    SCOPED_TRACE(version);
    for (const Index size : {6, 1, 8, 1})
      EXPECT_LE(largest_error(layer(random_tensor<double, 4>({2, size, size, 16}, 1)),
                              reference_conv2d(random_tensor<double, 4>({2, size, size, 16}, 1),
                                               Tensor<double, 4>(layer.weight().value()),
                                               Tensor<double, 1>(layer.bias()->value()), {.padding = 1})),
                tolerance<double>(2, 9 * 16));
    layer.weight().edit().setConstant(0.25);
  }
}
}  // namespace winograd_test
