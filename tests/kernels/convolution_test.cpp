#include <gtest/gtest.h>

#include "attend/testing/gradient_check.hpp"
#include "attend/testing/reference_convolution.hpp"

namespace convolution_test {
using namespace attend;
using namespace attend::testing;

namespace {

struct Case {
  Shape<4> x;
  Index out = 1;
  Pair kernel = 3;
  ConvolutionOptions options;
};
std::string name(const Case& c) {
  return "x " + to_string(c.x) + " out " + std::to_string(c.out) + " kernel " + to_string(c.kernel) + " stride " +
         to_string(c.options.stride) + " padding " + to_string(c.options.padding) + " dilation " +
         to_string(c.options.dilation) + " groups " + std::to_string(c.options.groups) + " mode " +
         std::to_string(static_cast<int>(c.options.padding_mode));
}
/// Sizes around the blocks of rows (32 to 1024 of them), of channels (32 and 64) and of units of sums (1024 rows).
const std::vector<Case> cases = {
    {{1, 1, 1, 1}, 1, 1, {}},
    {{2, 5, 6, 3}, 4, 1, {}},
    {{2, 5, 6, 3}, 4, 3, {.padding = 1}},
    {{3, 28, 28, 1}, 32, 3, {.padding = 1}},
    {{3, 33, 31, 2}, 5, 3, {}},
    {{2, 32, 32, 1}, 1, 1, {}},
    {{1, 7, 7, 128}, 33, 3, {.padding = 1}},
    {{3, 7, 7, 65}, 17, 3, {.padding = 1}},
    {{2, 9, 8, 31}, 64, {1, 3}, {.padding = {0, 1}}},
    {{2, 9, 8, 3}, 4, 3, {.stride = 2, .padding = 1}},
    {{2, 11, 10, 3}, 4, 3, {.stride = {3, 2}, .padding = {2, 0}}},
    {{2, 11, 10, 3}, 4, 2, {.stride = 3}},
    {{2, 7, 6, 3}, 4, 1, {.stride = 2}},
    {{2, 7, 6, 3}, 4, 1, {.padding = 1}},
    {{2, 9, 12, 3}, 4, 3, {.padding = 2, .dilation = 2}},
    {{2, 9, 12, 3}, 4, {3, 2}, {.stride = {2, 3}, .padding = {1, 3}, .dilation = {2, 3}}},
    {{2, 5, 6, 2}, 3, {5, 6}, {}},
    {{2, 4, 3, 2}, 3, 7, {.padding = 3}},
    {{2, 3, 3, 2}, 3, 3, {.padding = 5}},
    {{2, 6, 5, 6}, 4, 3, {.padding = 1, .groups = 2}},
    {{2, 6, 5, 6}, 9, 1, {.groups = 3}},
    {{2, 6, 5, 6}, 9, 3, {.stride = 2, .padding = 1, .dilation = 2, .groups = 3}},
    {{2, 6, 5, 3}, 6, 3, {.padding = 1, .groups = 3}},
    {{2, 6, 5, 7}, 7, 3, {.padding = 1, .groups = 7}},
    {{2, 9, 8, 32}, 32, 3, {.stride = 2, .padding = 1, .groups = 32}},
    {{2, 9, 8, 33}, 33, {3, 2}, {.padding = {2, 1}, .dilation = {2, 3}, .groups = 33}},
    {{1, 5, 5, 65}, 65, 5, {.padding = 4, .groups = 65}},
    {{3, 40, 30, 2}, 2, 3, {.padding = 1, .groups = 2}},
    // channels in whole tiles of registers: the gradient of the weight reads x in place
    {{2, 9, 8, 8}, 5, 3, {.padding = 1}},
    {{3, 33, 31, 8}, 5, 3, {}},
    {{2, 11, 10, 16}, 20, 3, {.stride = {3, 2}, .padding = {2, 0}}},
    {{2, 9, 12, 8}, 9, {3, 2}, {.stride = {2, 3}, .padding = {1, 3}, .dilation = {2, 3}}},
    {{2, 3, 3, 8}, 3, 3, {.padding = 5}},
    {{2, 4, 3, 8}, 3, 7, {.padding = 3}},
    {{2, 6, 5, 16}, 4, 3, {.padding = 1, .groups = 2}},
    {{2, 7, 6, 24}, 6, 1, {.groups = 3}},
    {{2, 7, 6, 8}, 4, 1, {.stride = 2}},
    // sums that are folded, of rows in place, at borders and over two lines
    {{2, 9, 39, 3}, 5, 7, {.stride = 2, .padding = 3}},
    {{2, 8, 41, 40}, 20, 3, {.stride = 2}},
    {{1, 7, 27, 24}, 50, 3, {.stride = {2, 1}, .padding = {2, 1}, .groups = 2}},
    {{2, 6, 5, 3}, 4, {3, 3}, {.padding = Padding::same}},
    {{2, 6, 5, 3}, 4, {2, 4}, {.padding = Padding::same}},
    {{2, 7, 8, 3}, 4, {4, 2}, {.padding = Padding::same, .dilation = {1, 3}}},
    {{2, 6, 5, 4}, 4, {2, 4}, {.padding = Padding::same, .groups = 4}},
    {{2, 6, 5, 3}, 4, 3, {.padding = Padding::valid}},
};

/// Twice the error bound of one naive sum in S: terms * epsilon, times the largest sum of absolute terms.
template <class S>
double tolerance(Index terms) {
  return 2 * static_cast<double>(terms + 4) * static_cast<double>(std::numeric_limits<S>::epsilon()) *
         static_cast<double>(terms);
}
template <class A, class B>
double difference(const A& a, const B& b) {
  EXPECT_EQ(to_string(shape_of(a)), to_string(shape_of(b)));
  double largest = 0;
  for (Index i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double d = std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]));
    if (!(d <= largest)) largest = d;
  }
  return largest;
}
template <class S, int R>
Tensor<S, R> flat(const std::vector<S>& values, const Shape<R>& shape) {
  Tensor<S, R> t(shape);
  std::copy(values.begin(), values.end(), t.data());
  return t;
}

template <class S>
void compare(const Case& c) {
  SCOPED_TRACE(name(c));
  const auto x = random_tensor<S, 4>(c.x, 1);
  const auto w = random_tensor<S, 4>({c.out, c.x[3] / c.options.groups, c.kernel.height, c.kernel.width}, 2);
  const auto b = random_tensor<S, 1>({c.out}, 3);
  Recycler::poison();
  Rng rng(1);
  Tape<S> tape(Mode::training, rng);
  const auto xv = tape.want(tape.input(x)), wv = tape.want(tape.input(w));
  const auto bv = tape.want(tape.input(b));
  const auto y = conv2d(xv, wv, bv, c.options);
  const auto expected = reference_conv2d(x, w, b, c.options);
  const Index terms = w.size() / c.out;
  EXPECT_LE(difference(y.tensor(), expected), tolerance<S>(terms + 1));
  const auto dy = random_tensor<S, 4>(y.shape(), 4);
  const auto loss = dot(y, Variable<S, 4>(dy)), again = dot(conv2d(xv, wv, bv, c.options), Variable<S, 4>(dy));
  const auto naive = reference_conv2d_backward(x, w, dy, c.options);
  for (const S uses : {S(1), S(2)}) {  // gradients are stored, then added to
    const auto gradients = tape.backward({{loss, S(1)}, {again, uses - S(1)}}, Keep::tape);
    const auto times = [uses](auto tensor) {
      for (Index i = 0; i < tensor.size(); ++i) tensor.data()[i] *= uses;
      return tensor;
    };
    EXPECT_LE(difference(gradients.of(xv), times(naive.x)), uses * tolerance<S>(terms * c.out));
    EXPECT_LE(difference(gradients.of(wv), times(naive.weight)), uses * tolerance<S>(dy.size() / c.out));
    EXPECT_LE(difference(gradients.of(bv), times(naive.bias)), uses * tolerance<S>(dy.size() / c.out));
  }
}

}  // namespace

TEST(Convolution, AgreesWithItsDefinitionInDouble) {
  for (const Case& c : cases) compare<double>(c);
}
TEST(Convolution, AgreesWithItsDefinitionInFloat) {
  for (const Case& c : cases) compare<float>(c);
}

TEST(Convolution, PaddingModesAgreeWithTheirDefinition) {
  for (const PaddingMode mode : {PaddingMode::reflect, PaddingMode::replicate, PaddingMode::circular})
    for (Case c : std::vector<Case>{{{2, 5, 6, 3}, 4, 3, {.padding = {1, 2}}},
                                    {{2, 5, 4, 3}, 4, {2, 4}, {.padding = Padding::same}},
                                    {{2, 5, 6, 4}, 6, 3, {.stride = 2, .padding = {4, 3}, .groups = 2}},
                                    {{2, 5, 6, 4}, 4, 3, {.padding = 2, .dilation = 2, .groups = 4}},
                                    {{2, 5, 6, 4}, 3, 3, {.padding = Padding::valid}}}) {
      c.options.padding_mode = mode;
      SCOPED_TRACE(name(c));
      const auto x = random_tensor<double, 4>(c.x, 1);
      const auto w = random_tensor<double, 4>({c.out, c.x[3] / c.options.groups, c.kernel.height, c.kernel.width}, 2);
      const Tensor<double, 1> none(0);
      const auto y = conv2d(Variable<double, 4>(x), Variable<double, 4>(w), absent<double, 1>(), c.options);
      EXPECT_LE(difference(y.tensor(), reference_conv2d(x, w, none, c.options)), tolerance<double>(w.size() / c.out));
    }
}

TEST(ConvolutionTranspose, AgreesWithItsDefinition) {
  struct Transposed {
    Shape<4> x, weight;
    TransposedConvolutionOptions options;
  };
  for (const auto& c : std::vector<Transposed>{
           {{2, 4, 5, 3}, {3, 4, 3, 3}, {}},
           {{2, 4, 5, 3}, {3, 4, 1, 1}, {}},
           {{2, 4, 5, 3}, {3, 4, 3, 3}, {.stride = 2}},
           {{2, 4, 5, 3}, {3, 4, 4, 4}, {.stride = 2, .padding = 1}},
           {{2, 4, 5, 3}, {3, 4, 3, 3}, {.stride = 2, .padding = 1, .output_padding = 1}},
           {{2, 4, 3, 3}, {3, 2, 3, 4}, {.stride = {3, 2}, .padding = {0, 1}, .output_padding = {2, 1}}},
           {{2, 5, 4, 3}, {3, 4, 3, 3}, {.padding = 1, .dilation = 2}},
           {{2, 4, 3, 2}, {2, 3, 2, 3}, {.stride = 2, .output_padding = 1, .dilation = {3, 1}}},
           {{2, 4, 3, 2}, {2, 3, 2, 3}, {.output_padding = 2, .dilation = 3}},
           {{2, 4, 5, 6}, {6, 2, 3, 3}, {.stride = 2, .padding = 1, .groups = 2}},
           {{2, 4, 5, 3}, {3, 1, 3, 3}, {.stride = 2, .groups = 3}},
           {{2, 4, 5, 3}, {3, 4, 2, 2}, {.stride = 3}},
           {{2, 12, 11, 33}, {33, 65, 3, 3}, {.stride = 2, .padding = 1}},
       }) {
    SCOPED_TRACE("x " + to_string(c.x) + " weight " + to_string(c.weight) + " stride " + to_string(c.options.stride));
    const auto x = random_tensor<double, 4>(c.x, 1), w = random_tensor<double, 4>(c.weight, 2);
    const auto b = random_tensor<double, 1>({c.weight[1] * c.options.groups}, 3);
    Recycler::poison();
    const auto y = conv_transpose2d(Variable<double, 4>(x), Variable<double, 4>(w), Variable<double, 1>(b), c.options);
    EXPECT_LE(difference(y.tensor(), reference_conv_transpose2d(x, w, b, c.options)), tolerance<double>(w.size()));
  }
}

TEST(Convolution, TheEpilogueFollowsTheSums) {
  for (const Case& c : cases)
    for (const Index tile : {0, 2, 4}) {
      SCOPED_TRACE(name(c) + " tile " + std::to_string(tile));
      const ConvolutionOptions& o = c.options;
      if (tile > 0 && (c.kernel != Pair(3) || o.stride != Pair(1) || o.dilation != Pair(1) || o.groups != 1)) continue;
      const Pads pads = o.padding.pads(c.kernel, o.dilation);
      ConvolutionShape s;
      s.batch = c.x[0], s.height = c.x[1], s.width = c.x[2], s.in_channels = c.x[3], s.out_channels = c.out;
      s.kernel = c.kernel, s.stride = o.stride, s.dilation = o.dilation, s.groups = o.groups;
      s.pad_top = pads.top, s.pad_left = pads.left, s.winograd = tile;
      const auto x = random_tensor<float, 4>(c.x, 1);
      const auto w = random_tensor<float, 4>({c.out, c.x[3] / o.groups, c.kernel.height, c.kernel.width}, 2);
      const auto b = random_tensor<float, 1>({c.out}, 3);
      const Tensor<double, 4> dx = x.cast<double>(), dw = w.cast<double>();
      auto expected = reference_conv2d(dx, dw, Tensor<double, 1>(0), o);
      s.out_height = expected.dimension(1), s.out_width = expected.dimension(2);
      const auto residual = random_tensor<float, 4>(shape_of(expected), 5);
      const auto scale = random_tensor<float, 1>({c.out}, 6);
      for (Index i = 0; i < expected.size(); ++i) {
        const double sum =
            expected.data()[i] * static_cast<double>(scale(i % c.out)) + static_cast<double>(b(i % c.out));
        expected.data()[i] = std::max(0.0, sum + static_cast<double>(residual.data()[i]));
      }
      const auto packed = make_buffer<float>(packed_convolution_size<float>(s));
      pack_convolution(s, w.data(), packed.get());
      Recycler::poison();
      Tensor<float, 4> y(shape_of(expected));
      convolution_forward(s, x.data(), packed.get(),
                          GemmEpilogue<float>{b.data(), residual.data(), c.out, true, scale.data()}, y.data());
      EXPECT_LE(difference(y, expected), (tile == 4 ? 100 : 4) * tolerance<float>(w.size() / c.out + 2));
    }
}

TEST(Convolution, ASampleAloneHasTheBitsItHasInABatchForAnyNumberOfThreads) {
  for (const Case& c : cases) {
    SCOPED_TRACE(name(c));
    Case many = c;
    many.x[0] = 7;
    const auto x = random_tensor<float, 4>(many.x, 1);
    const Variable<float, 4> w(
        random_tensor<float, 4>({c.out, c.x[3] / c.options.groups, c.kernel.height, c.kernel.width}, 2));
    const int threads = num_threads();
    set_num_threads(3);
    const auto together = conv2d(Variable<float, 4>(x), w, absent<float, 1>(), c.options);
    set_num_threads(1);
    const Index sample = x.size() / 7, out = together.size() / 7;
    Tensor<float, 4> last(1, c.x[1], c.x[2], c.x[3]);
    std::copy_n(x.data() + 6 * sample, sample, last.data());
    const auto alone = conv2d(Variable<float, 4>(last), w, absent<float, 1>(), c.options);
    EXPECT_EQ(std::memcmp(together.data() + 6 * out, alone.data(), sizeof(float) * static_cast<std::size_t>(out)), 0);
    set_num_threads(threads);
  }
}

/// Against one sum in line: in theory sqrt(1/2), in one block of k and in several.
TEST(Convolution, LongSumsAreFoldedForLessRoundingError) {
  for (const Case& c : {Case{{1, 17, 17, 3}, 64, 7, {.stride = 2}}, Case{{1, 9, 37, 28}, 40, 3, {.stride = 2}}}) {
    SCOPED_TRACE(name(c));
    const auto x = random_tensor<float, 4>(c.x, 1);
    const auto w = random_tensor<float, 4>({c.out, c.x[3], c.kernel.height, c.kernel.width}, 2);
    const auto y = conv2d(Variable<float, 4>(x), Variable<float, 4>(w), absent<float, 1>(), c.options).tensor();
    double error = 0, error_in_line = 0;
    for (Index i = 0; i < y.dimension(1); ++i)
      for (Index j = 0; j < y.dimension(2); ++j)
        for (Index o = 0; o < c.out; ++o) {
          float in_line = 0;
          double exact = 0;
          for (Index t = 0; t < c.kernel.height; ++t)
            for (Index u = 0; u < c.kernel.width; ++u)
              for (Index l = 0; l < c.x[3]; ++l) {
                const float a = x(0, 2 * i + t, 2 * j + u, l), b = w(o, l, t, u);
                in_line = std::fma(a, b, in_line);
                exact += static_cast<double>(a) * static_cast<double>(b);
              }
          error += std::pow(static_cast<double>(y(0, i, j, o)) - exact, 2);
          error_in_line += std::pow(static_cast<double>(in_line) - exact, 2);
        }
    EXPECT_LT(error, 0.65 * error_in_line);
  }
}

/// Channels are taken by vectors from where the map is aligned on.
TEST(Convolution, DepthwiseGivesTheSameBitsWhereverTheMapLies) {
  for (const Index channels : {16, 48, 50}) {
    const Shape<4> shape{1, 6, 15, channels};
    const auto x = random_tensor<float, 4>(shape, 1);
    const Variable<float, 4> w(random_tensor<float, 4>({channels, 1, 3, 3}, 2));
    ConvolutionOptions options;
    options.padding = 1, options.groups = channels;
    const auto expected = conv2d(Variable<float, 4>(x), w, absent<float, 1>(), options);
    std::vector<float> memory(static_cast<std::size_t>(x.size()) + 32);
    for (std::size_t offset = 0; offset < 32; ++offset) {
      std::copy_n(x.data(), x.size(), memory.data() + offset);
      const auto y = conv2d(Variable<float, 4>::borrow(memory.data() + offset, shape), w, absent<float, 1>(), options);
      ASSERT_EQ(std::memcmp(y.data(), expected.data(), sizeof(float) * static_cast<std::size_t>(y.size())), 0)
          << channels << " channels, offset " << offset;
    }
  }
}

TEST(ColumnSums, AgreeWithLongDouble) {  // (log2 n + 8) eps of the sum of magnitudes, as sums of any length must
  for (const Index rows : {1, 15, 16, 17, 33, 1023, 1024, 1025, 5000, 40001})
    for (const Index columns : {1, 3, 64}) {
      const auto x = random_tensor<float, 2>({rows, columns}, 5);
      std::vector<float> sums(static_cast<std::size_t>(columns), 1.0f);
      add_column_sums(x.data(), rows, columns, sums.data());
      for (Index j = 0; j < columns; ++j) {
        long double exact = 1, magnitude = 1;
        for (Index i = 0; i < rows; ++i) exact += x(i, j), magnitude += std::abs(x(i, j));
        const double bound = (std::log2(static_cast<double>(rows)) + 8 + 16) * 0x1p-24 * static_cast<double>(magnitude);
        EXPECT_NEAR(sums[static_cast<std::size_t>(j)], static_cast<double>(exact), bound)
            << rows << " rows, column " << j;
      }
    }
}
}  // namespace convolution_test
