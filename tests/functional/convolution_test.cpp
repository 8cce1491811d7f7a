#include "attend/functional/convolution.hpp"

#include <gtest/gtest.h>

#include "attend/functional/activation.hpp"
#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace convolution_test {
using namespace attend;
using namespace attend::testing;

namespace {
Variable<double, 4> map(const Shape<4>& shape, std::vector<double> values) {
  Tensor<double, 4> t(shape);
  std::copy(values.begin(), values.end(), t.data());
  return Variable<double, 4>(t);
}
std::vector<double> numbers(const Variable<double, 4>& v) { return {v.data(), v.data() + v.size()}; }
Variable<double, 4> zeros(const Shape<4>& shape) { return {shape, make_buffer<double>(element_count(shape), 0.0)}; }
Variable<double, 1> zeros1(Index n) { return {{n}, make_buffer<double>(n, 0.0)}; }

void expect_gradients(const Shape<4>& x, const Shape<4>& weight, Index bias, const ConvolutionOptions& o) {
  const auto report = check_function_gradients(
      [&](const auto& in, const auto& w, const auto& b) { return conv2d(in, w, b, o); }, random_tensor<double, 4>(x, 1),
      random_tensor<double, 4>(weight, 2), random_tensor<double, 1>({bias}, 3));
  EXPECT_TRUE(report.ok()) << "x " << to_string(x) << " weight " << to_string(weight) << " stride "
                           << to_string(o.stride) << " padding " << to_string(o.padding) << ": " << report.text();
}
}  // namespace

TEST(Conv2d, ByHand) {
  const auto x = map({1, 2, 3, 1}, {1, 2, 3, 4, 5, 6});
  const auto w = map({1, 1, 2, 2}, {1, 10, 100, 1000});
  EXPECT_EQ(numbers(conv2d(x, w, absent<double, 1>())),
            (std::vector<double>{1 + 20 + 400 + 5000, 2 + 30 + 500 + 6000}));
  // padding of 1, stride 2: corners of the padded map
  EXPECT_EQ(numbers(conv2d(x, w, absent<double, 1>(), {.stride = 2, .padding = 1})),
            (std::vector<double>{1000, 2 * 100 + 3 * 1000, 40, 5 + 60}));
}

TEST(Conv2d, SamePutsTheOddCellAtTheBottomAndRight) {
  const auto x = map({1, 2, 2, 1}, {1, 2, 3, 4});
  const auto w = map({1, 1, 2, 2}, {1, 10, 100, 1000});
  EXPECT_EQ(numbers(conv2d(x, w, absent<double, 1>(), {.padding = Padding::same})),
            (std::vector<double>{4321, 2 + 400, 3 + 40, 4}));
}

TEST(Conv2d, GroupsDoNotSeeEachOther) {
  const auto x = map({1, 1, 1, 4}, {1, 10, 100, 1000});
  const auto w = map({2, 2, 1, 1}, {1, 2, 3, 4});
  EXPECT_EQ(numbers(conv2d(x, w, absent<double, 1>(), {.groups = 2})), (std::vector<double>{21, 4300}));
}

TEST(Conv2d, DepthwiseWithMultiplierOrdersChannelsByInput) {
  const auto x = map({1, 1, 1, 2}, {1, 10});
  const auto w = map({4, 1, 1, 1}, {1, 2, 3, 4});
  EXPECT_EQ(numbers(conv2d(x, w, absent<double, 1>(), {.groups = 2})), (std::vector<double>{1, 2, 30, 40}));
}

TEST(Conv2d, NaNOutsideAWindowDoesNoHarm) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto x = map({1, 1, 4, 1}, {1, 2, 3, nan});
  const auto w = map({1, 1, 1, 2}, {1, 1});
  const auto y = numbers(conv2d(x, w, absent<double, 1>()));
  EXPECT_EQ(y[0], 3);
  EXPECT_EQ(y[1], 5);
  EXPECT_TRUE(std::isnan(y[2]));
}

/// Bias, residual and activation at the end of the kernel are what they are as functions of their own, to the bit.
TEST(Conv2d, EpilogueComputesWhatSeparateFunctionsDo) {
  const struct {
    Shape<4> x, weight;
    ConvolutionOptions options;
  } cases[] = {{{2, 9, 7, 21}, {50, 21, 1, 1}, {}},
               {{2, 9, 11, 5}, {65, 5, 3, 3}, {.stride = 2, .padding = 1}},
               {{2, 9, 11, 18}, {50, 18, 3, 3}, {.padding = 1}},
               {{1, 12, 12, 16}, {33, 16, 3, 3}, {.padding = 1, .algorithm = ConvolutionAlgorithm::fast}},
               {{2, 9, 13, 35}, {35, 1, 3, 3}, {.padding = 1, .groups = 35}},
               {{2, 9, 13, 8}, {6, 4, 3, 3}, {.padding = 1, .groups = 2}}};
  for (const auto& c : cases) {
    SCOPED_TRACE(to_string(c.weight));
    const Index out = c.weight[0];
    const Variable<float, 4> x(random_tensor<float, 4>(c.x, 1)), w(random_tensor<float, 4>(c.weight, 2));
    const Variable<float, 1> bias(random_tensor<float, 1>({out}, 3));
    const auto plain = conv2d(x, w, bias, c.options);
    const Variable<float, 4> residual(random_tensor<float, 4>(plain.shape(), 4));
    GemmEpilogue<float> epilogue;
    epilogue.bias = bias.data();
    for (const auto activation : {Activation::identity, Activation::relu, Activation::gelu, Activation::silu}) {
      epilogue.activation = attend::detail::in_place<float>(activation);
      const auto fused = conv2d(x, w, absent<float, 1>(), c.options, static_cast<const ParameterData<float>*>(nullptr),
                                epilogue, &residual);
      const auto expected = activate(plain + residual, activation);
      for (Index i = 0; i < fused.size(); ++i) ASSERT_EQ(fused.data()[i], expected.data()[i]) << i;
    }
  }
}

TEST(Conv2d, GradientsForZeroPadding) {
  expect_gradients({2, 4, 5, 3}, {4, 3, 1, 1}, 4, {});
  expect_gradients({2, 4, 5, 3}, {4, 3, 3, 3}, 4, {});
  expect_gradients({2, 4, 5, 3}, {4, 3, 3, 3}, 0, {});
  expect_gradients({2, 4, 5, 3}, {4, 3, 3, 3}, 4, {.padding = 1});
  expect_gradients({2, 4, 5, 3}, {4, 3, 3, 2}, 4, {.padding = {2, 1}});
  expect_gradients({2, 7, 6, 3}, {4, 3, 3, 3}, 4, {.stride = 2, .padding = 1});
  expect_gradients({2, 7, 6, 3}, {4, 3, 2, 2}, 4, {.stride = 3});
  expect_gradients({2, 7, 6, 3}, {4, 3, 1, 1}, 4, {.stride = 2});
  expect_gradients({2, 7, 8, 3}, {4, 3, 3, 2}, 4, {.stride = {2, 3}, .padding = {1, 0}});
  expect_gradients({2, 7, 8, 3}, {4, 3, 3, 3}, 4, {.padding = 2, .dilation = 2});
  expect_gradients({2, 9, 8, 3}, {4, 3, 3, 2}, 4, {.stride = {2, 3}, .padding = {1, 3}, .dilation = {2, 3}});
  expect_gradients({2, 3, 2, 3}, {4, 3, 3, 2}, 4, {});
  expect_gradients({2, 4, 5, 3}, {4, 3, 2, 4}, 4, {.padding = Padding::same});
  expect_gradients({2, 4, 5, 3}, {4, 3, 4, 2}, 4, {.padding = Padding::same, .dilation = {1, 3}});
  expect_gradients({2, 4, 5, 3}, {4, 3, 2, 3}, 4, {.padding = Padding::valid});
  expect_gradients({1, 1, 1, 1}, {1, 1, 1, 1}, 1, {});
  expect_gradients({1, 1, 7, 1}, {2, 1, 1, 3}, 2, {.padding = {0, 1}});
}

TEST(Conv2d, GradientsForGroups) {
  expect_gradients({2, 4, 5, 6}, {4, 3, 3, 3}, 4, {.padding = 1, .groups = 2});
  expect_gradients({2, 4, 5, 6}, {9, 2, 1, 1}, 9, {.groups = 3});
  expect_gradients({2, 6, 5, 6}, {9, 2, 3, 2}, 0, {.stride = 2, .padding = 1, .dilation = 2, .groups = 3});
  expect_gradients({2, 4, 5, 6}, {6, 1, 3, 3}, 6, {.padding = 1, .groups = 6});
  expect_gradients({2, 7, 6, 5}, {5, 1, 3, 3}, 5, {.stride = 2, .padding = 1, .groups = 5});
  expect_gradients({2, 7, 6, 5}, {5, 1, 3, 2}, 0,
                   {.stride = {1, 2}, .padding = {2, 1}, .dilation = {2, 3}, .groups = 5});
  expect_gradients({2, 4, 5, 5}, {5, 1, 2, 4}, 5, {.padding = Padding::same, .groups = 5});
  expect_gradients({2, 4, 5, 3}, {6, 1, 3, 3}, 6, {.padding = 1, .groups = 3});
}

TEST(Conv2d, GradientsForPaddingModes) {
  for (const PaddingMode mode : {PaddingMode::reflect, PaddingMode::replicate, PaddingMode::circular}) {
    expect_gradients({2, 4, 5, 3}, {4, 3, 3, 3}, 4, {.padding = {1, 2}, .padding_mode = mode});
    expect_gradients({2, 4, 5, 3}, {4, 3, 2, 4}, 4, {.padding = Padding::same, .padding_mode = mode});
    expect_gradients({2, 5, 6, 4}, {6, 2, 3, 3}, 6, {.stride = 2, .padding = 3, .groups = 2, .padding_mode = mode});
    expect_gradients({2, 5, 6, 4}, {4, 1, 3, 3}, 4, {.padding = 2, .dilation = 2, .groups = 4, .padding_mode = mode});
  }
}

TEST(Conv1d, Gradients) {
  const auto check = [](const Shape<3>& x, const Shape<3>& w, const ConvolutionOptions& o) {
    const auto report = check_function_gradients(
        [&](const auto& in, const auto& weight, const auto& b) { return conv1d(in, weight, b, o); },
        random_tensor<double, 3>(x, 1), random_tensor<double, 3>(w, 2), random_tensor<double, 1>({w[0]}, 3));
    EXPECT_TRUE(report.ok()) << to_string(x) << " " << to_string(w) << ": " << report.text();
  };
  check({2, 7, 3}, {4, 3, 3}, {});
  check({2, 7, 3}, {4, 3, 3}, {.stride = 2, .padding = 1});
  check({2, 7, 3}, {4, 3, 4}, {.padding = Padding::same});
  check({2, 9, 3}, {4, 3, 3}, {.padding = 2, .dilation = 2});
  check({2, 7, 6}, {4, 3, 3}, {.padding = 1, .groups = 2});
  check({2, 7, 5}, {5, 1, 3}, {.padding = 1, .groups = 5});
  check({2, 7, 3}, {4, 3, 5}, {.padding = 2, .padding_mode = PaddingMode::reflect});
  check({2, 7, 3}, {4, 3, 5}, {.padding = 2, .padding_mode = PaddingMode::replicate});
  check({2, 7, 3}, {4, 3, 5}, {.padding = 2, .padding_mode = PaddingMode::circular});
}

TEST(ConvTranspose2d, ByHand) {
  const auto x = map({1, 1, 2, 1}, {1, 2});
  const auto w = map({1, 1, 1, 3}, {1, 10, 100});
  EXPECT_EQ(numbers(conv_transpose2d(x, w, absent<double, 1>())), (std::vector<double>{1, 12, 120, 200}));
  EXPECT_EQ(numbers(conv_transpose2d(x, w, absent<double, 1>(), {.stride = {1, 2}})),
            (std::vector<double>{1, 10, 102, 20, 200}));
  EXPECT_EQ(numbers(conv_transpose2d(x, w, absent<double, 1>(),
                                     {.stride = {1, 2}, .padding = {0, 1}, .output_padding = {0, 1}})),
            (std::vector<double>{10, 102, 20, 200}));
}

TEST(ConvTranspose2d, Gradients) {
  const auto check = [](const Shape<4>& x, const Shape<4>& w, Index bias, const TransposedConvolutionOptions& o) {
    const auto report = check_function_gradients(
        [&](const auto& in, const auto& weight, const auto& b) { return conv_transpose2d(in, weight, b, o); },
        random_tensor<double, 4>(x, 1), random_tensor<double, 4>(w, 2), random_tensor<double, 1>({bias}, 3));
    EXPECT_TRUE(report.ok()) << to_string(x) << " " << to_string(w) << ": " << report.text();
  };
  check({2, 4, 5, 3}, {3, 4, 3, 3}, 4, {});
  check({2, 4, 5, 3}, {3, 4, 1, 1}, 0, {});
  check({2, 4, 3, 3}, {3, 4, 3, 2}, 4, {.stride = 2});
  check({2, 4, 3, 3}, {3, 4, 4, 4}, 4, {.stride = 2, .padding = 1});
  check({2, 4, 3, 3}, {3, 4, 3, 3}, 4, {.stride = 2, .padding = 1, .output_padding = 1});
  check({2, 4, 3, 3}, {3, 2, 3, 4}, 2, {.stride = {3, 2}, .padding = {0, 1}, .output_padding = {2, 1}});
  check({2, 4, 3, 3}, {3, 4, 3, 3}, 4, {.padding = 1, .dilation = 2});
  check({2, 3, 2, 2}, {2, 3, 2, 3}, 3, {.stride = 2, .output_padding = 1, .dilation = {3, 1}});
  check({2, 3, 2, 2}, {2, 3, 2, 3}, 3, {.output_padding = 2, .dilation = 3});
  check({2, 4, 3, 6}, {6, 2, 3, 3}, 4, {.stride = 2, .padding = 1, .groups = 2});
  check({2, 4, 3, 5}, {5, 1, 3, 3}, 5, {.stride = 2, .groups = 5});
  check({2, 4, 3, 3}, {3, 4, 2, 2}, 0, {.stride = 3});
}

TEST(ConvTranspose2d, IsTheTransposeOfConv2d) {  // <conv(y), x> = <y, transpose(x)>: the same sum in another order
  const auto w = Variable<double, 4>(random_tensor<double, 4>({3, 4, 3, 2}, 1));
  const auto x = Variable<double, 4>(random_tensor<double, 4>({2, 4, 3, 3}, 2));
  const auto t = conv_transpose2d(x, w, absent<double, 1>(), {.stride = 2, .padding = 1, .output_padding = 1});
  const auto y = Variable<double, 4>(random_tensor<double, 4>(t.shape(), 3));
  const auto c = conv2d(y, w, absent<double, 1>(), {.stride = 2, .padding = 1});
  EXPECT_NEAR(dot(c, x).item(), dot(y, t).item(), 1e-12);
}

TEST(FM_2_3, AnEmptyBatchGivesAnEmptyResultAndNoGradient) {
  Tape<double> tape(Mode::training);
  const auto x = tape.want(tape.input(Tensor<double, 4>(0, 5, 6, 3)));
  const auto w = tape.want(tape.input(random_tensor<double, 4>({4, 3, 3, 3}, 1)));
  const auto y = conv2d(x, w, zeros1(4), {.padding = 1});
  EXPECT_EQ(to_string(y.shape()), "(0, 5, 6, 4)");
  const auto z = conv_transpose2d(y, w, absent<double, 1>(), {.stride = 2});
  EXPECT_EQ(to_string(z.shape()), "(0, 11, 13, 3)");
  const auto gradients = tape.backward(dot(z, z));
  for (Index i = 0; i < w.size(); ++i) EXPECT_EQ(gradients.of(w).data()[i], 0);
}

TEST(BadInput, ResidualOfAnotherShape) {
  const Variable<float, 4> x(random_tensor<float, 4>({1, 4, 4, 2}, 1)), w(random_tensor<float, 4>({3, 2, 1, 1}, 2));
  expect_error<ShapeError>(
      [&] { (void)conv2d(x, w, absent<float, 1>(), {}, static_cast<const ParameterData<float>*>(nullptr), {}, &x); },
      {"conv2d", "residual has shape (1, 4, 4, 2)", "(1, 4, 4, 3)"});
}

TEST(BadInput, Conv2d) {
  const auto call = [](const Shape<4>& x, const Shape<4>& w, Index b, const ConvolutionOptions& o) {
    return [=] { conv2d(zeros(x), zeros(w), b < 0 ? absent<double, 1>() : zeros1(b), o); };
  };
  expect_error<ShapeError>(call({2, 5, 6, 4}, {4, 3, 3, 3}, 4, {}),
                           {"[conv2d]", "(2, 5, 6, 4)", "(4, 3, 3, 3)", "in_channels = 3"});
  expect_error<ShapeError>(call({2, 5, 6, 4}, {4, 3, 3, 3}, 4, {.groups = 2}),
                           {"(2, 5, 6, 4)", "(4, 3, 3, 3)", "groups = 2", "in_channels = 6"});
  expect_error<ShapeError>(call({2, 5, 6, 6}, {5, 3, 3, 3}, 5, {.groups = 2}),
                           {"(5, 3, 3, 3)", "multiple of groups = 2"});
  expect_error<ShapeError>(call({2, 5, 6, 3}, {4, 3, 3, 3}, 3, {}), {"bias has shape (3)", "out_channels = 4"});
  expect_error<ShapeError>(call({2, 5, 6, 3}, {4, 3, 3, 7}, -1, {}), {"(2, 5, 6, 3)", "kernel_size (3, 7)"});
  expect_error<ShapeError>(call({2, 5, 6, 3}, {4, 3, 7, 3}, -1, {}), {"(2, 5, 6, 3)", "kernel_size (7, 3)"});
  expect_error<ShapeError>(call({2, 5, 6, 3}, {4, 3, 3, 3}, -1, {.dilation = 3}), {"(2, 5, 6, 3)", "dilation (3, 3)"});
  expect_error<ShapeError>(call({2, 0, 6, 3}, {4, 3, 1, 1}, -1, {.padding = 1}), {"(2, 0, 6, 3)"});
  expect_error<ShapeError>(call({2, 5, 6, 0}, {4, 0, 3, 3}, -1, {}), {"(2, 5, 6, 0)"});
  expect_error<ShapeError>(call({2, 5, 6, 3}, {0, 3, 3, 3}, -1, {}), {"(0, 3, 3, 3)"});
  expect_error<ShapeError>(
      call({2, 5, 6, 3}, {4, 3, 3, 3}, -1, {.padding = {5, 1}, .padding_mode = PaddingMode::reflect}),
      {"(2, 5, 6, 3)", "reflect", "height 5", "at most 4"});
  expect_error<ShapeError>(
      call({2, 5, 6, 3}, {4, 3, 3, 3}, -1, {.padding = {1, 7}, .padding_mode = PaddingMode::circular}),
      {"(2, 5, 6, 3)", "circular", "width 6", "at most 6"});
  expect_error<OptionError>(call({2, 5, 6, 3}, {4, 3, 0, 3}, -1, {}), {"kernel_size is (0, 3)"});
  expect_error<OptionError>(call({2, 5, 6, 3}, {4, 3, 3, 3}, -1, {.stride = 0}), {"stride is (0, 0)", "at least 1"});
  expect_error<OptionError>(call({2, 5, 6, 3}, {4, 3, 3, 3}, -1, {.stride = {2, -1}}), {"stride is (2, -1)"});
  expect_error<OptionError>(call({2, 5, 6, 3}, {4, 3, 3, 3}, -1, {.padding = {0, -1}}),
                            {"padding is (0, -1)", "at least 0"});
  expect_error<OptionError>(call({2, 5, 6, 3}, {4, 3, 3, 3}, -1, {.dilation = {0, 1}}), {"dilation is (0, 1)"});
  expect_error<OptionError>(call({2, 5, 6, 3}, {4, 3, 3, 3}, -1, {.dilation = Index(1) << 62}),
                            {"dilation is", "below 2^30"});
  expect_error<OptionError>(call({2, 5, 6, 3}, {4, 3, 3, 3}, -1, {.groups = 0}), {"groups is 0"});
  expect_error<OptionError>(call({2, 5, 6, 3}, {4, 3, 3, 3}, -1, {.stride = 2, .padding = Padding::same}),
                            {"same", "stride (2, 2)"});
}

TEST(BadInput, ConvTranspose2d) {
  const auto call = [](const Shape<4>& x, const Shape<4>& w, Index b, const TransposedConvolutionOptions& o) {
    return [=] { conv_transpose2d(zeros(x), zeros(w), b < 0 ? absent<double, 1>() : zeros1(b), o); };
  };
  expect_error<ShapeError>(call({2, 5, 6, 4}, {3, 4, 3, 3}, 4, {}),
                           {"[conv_transpose2d]", "(2, 5, 6, 4)", "(3, 4, 3, 3)", "in_channels = 3"});
  expect_error<ShapeError>(call({2, 5, 6, 3}, {3, 4, 3, 3}, -1, {.groups = 2}), {"(3, 4, 3, 3)", "groups = 2"});
  expect_error<ShapeError>(call({2, 5, 6, 3}, {3, 4, 3, 3}, 3, {}), {"bias has shape (3)", "out_channels = 4"});
  expect_error<ShapeError>(call({2, 1, 1, 3}, {3, 4, 2, 2}, -1, {.padding = 1}), {"(2, 1, 1, 3)", "0 by 0"});
  expect_error<ShapeError>(call({2, 0, 4, 3}, {3, 4, 2, 2}, -1, {}), {"(2, 0, 4, 3)"});
  const Index huge = Index(1) << 50;
  expect_error<ShapeError>(call({0, huge, 1, 3}, {3, 4, 2, 2}, -1, {.stride = 1 << 30}), {std::to_string(huge)});
  expect_error<OptionError>(call({2, 5, 6, 3}, {3, 4, 3, 3}, -1, {.stride = 2, .output_padding = 2}),
                            {"output_padding is (2, 2)", "stride (2, 2)"});
  expect_error<OptionError>(call({2, 5, 6, 3}, {3, 4, 3, 3}, -1, {.stride = 2, .output_padding = -1}),
                            {"output_padding is (-1, -1)"});
  expect_error<OptionError>(call({2, 5, 6, 3}, {3, 4, 3, 3}, -1, {.padding = -1}), {"padding is (-1, -1)"});
}

TEST(BadInput, Conv1d) {
  const auto call = [](const Shape<3>& x, const Shape<3>& w, const ConvolutionOptions& o) {
    return [=] {
      conv1d(Variable<double, 3>(x, make_buffer<double>(element_count(x), 0.0)),
             Variable<double, 3>(w, make_buffer<double>(element_count(w), 0.0)), absent<double, 1>(), o);
    };
  };
  expect_error<ShapeError>(call({2, 5, 4}, {4, 3, 3}, {}), {"in_channels = 3"});
  expect_error<ShapeError>(call({2, 2, 3}, {4, 3, 3}, {}), {"kernel_size (1, 3)"});
  expect_error<OptionError>(call({2, 5, 3}, {4, 3, 3}, {.stride = 2, .padding = Padding::same}), {"same", "stride 2"});
}
}  // namespace convolution_test
