#pragma once
/// C1-C12: convolutions of image networks, without bias.
#include <attend/layers/conv2d.hpp>
#include <attend/testing/reference_convolution.hpp>

#include "layer_work.hpp"

namespace bench {

struct ConvolutionCase {
  Index batch, size, in, out, kernel;
  Index stride = 1, groups = 1;
  ConvolutionAlgorithm algorithm = ConvolutionAlgorithm::automatic;

  Index out_size() const { return (size + 2 * (kernel / 2) - kernel) / stride + 1; }
  Shape<4> x_shape() const { return {batch, size, size, in}; }
  Shape<4> y_shape() const { return {batch, out_size(), out_size(), out}; }
  Conv2d<float> layer() const {
    Rng rng(2);
    return Conv2d<float>({.in_channels = in,
                          .out_channels = out,
                          .kernel_size = kernel,
                          .stride = stride,
                          .padding = kernel / 2,
                          .groups = groups,
                          .bias = false,
                          .algorithm = algorithm},
                         rng);
  }
  ConvolutionOptions options() const { return {.stride = stride, .padding = kernel / 2, .groups = groups}; }
  Index weights() const { return out * (in / groups) * kernel * kernel; }
  double operations() const { return 2 * double(element_count(y_shape())) * double(weights() / out); }
  double bytes() const { return 4 * double(element_count(x_shape()) + element_count(y_shape()) + weights()); }
  Description description() const {
    return {{"computes", "conv2d"},
            {"stride", std::to_string(stride)},
            {"padding", std::to_string(kernel / 2)},
            {"groups", std::to_string(groups)}};
  }
};

/// Sample `b` of x, of its first `height` rows.
template <class To = double>
Tensor<To, 4> top_of(const Tensor<float, 4>& x, Index b, Index height) {
  Tensor<To, 4> part(1, height, x.dimension(2), x.dimension(3));
  const Index size = part.size();
  for (Index i = 0; i < size; ++i) part.data()[i] = To(x.data()[b * x.size() / x.dimension(0) + i]);
  return part;
}

inline Tensor<float, 4> weight_of(const Conv2d<float>& conv) {
  const auto weight = parameter<float>(conv, "weight");
  Shape<4> shape{};
  std::copy_n(weight->shape().begin(), 4, shape.begin());
  Tensor<float, 4> values(shape);
  std::copy_n(weight->data(), values.size(), values.data());
  return values;
}

inline Work convolution_forward_row(const ConvolutionCase& c) {
  return layer_inference(c.layer(), normal_tensor<4>(c.x_shape(), 1), c.description(),
                         [c](const Conv2d<float>& conv, const Tensor<float, 4>& x, const Tensor<float, 4>& y) {
                           // the first and the last sample; of large maps their upper rows, which see no others
                           const Index height = std::min<Index>(c.size, 32);
                           const Tensor<double, 4> weight = in_double(weight_of(conv));
                           double worst = 0;
                           for (const Index b : {Index(0), c.batch - 1}) {
                             const auto expected = testing::reference_conv2d(top_of(x, b, height), weight,
                                                                             Tensor<double, 1>(0), c.options());
                             const Index rows = height == c.size ? c.out_size() : (height - c.kernel) / c.stride + 1;
                             const auto found = top_of(y, b, rows);
                             Difference d;
                             for (Index i = 0; i < found.size(); ++i) d.add(found.data()[i], expected.data()[i]);
                             worst = std::max(worst, d.relative());
                           }
                           return worst;
                         });
}

/// Checked on a batch of two, by the same layer.
inline Work convolution_backward_row(const ConvolutionCase& c) {
  ConvolutionCase small = c;
  small.batch = 2;
  const auto check = [small](const Conv2d<float>& conv, const Tensor<float, 4>&, const Tensor<float, 4>&,
                             const Tensor<float, 4>&, const Tensor<float, 4>&, const Gradients<float>&) {
    const auto x = normal_tensor<4>(small.x_shape(), 7), dy = normal_tensor<4>(small.y_shape(), 8);
    Tape<float> tape(Mode::training);
    const auto in = tape.want(tape.input(x));
    const auto g = tape.backward_from(conv(in), dy.data());
    const auto expected =
        testing::reference_conv2d_backward(in_double(x), in_double(weight_of(conv)), in_double(dy), small.options());
    return std::max(difference(g.of(in), expected.x),
                    difference(g.of<4>(*parameter<float>(conv, "weight").data), expected.weight));
  };
  return layer_backward(c.layer(), normal_tensor<4>(c.x_shape(), 1), c.y_shape(), c.description(), check);
}

inline Rows convolution_rows() {
  // Sums of up to 4608 terms in float; the default may use Winograd's F(2x2), of at most four times the direct error,
  // and the fast algorithm F(4x4), which promises this tolerance.
  constexpr double tolerance = 1e-5;
  Rows rows;
  const auto add = [&](const std::string& id, const std::string& what, Bound bound, const ConvolutionCase& c) {
    rows.push_back({id, what, bound, c.operations(), c.bytes(), tolerance, [c] { return convolution_forward_row(c); }});
  };
  constexpr Bound fma = Bound::products;
  struct Stage {
    const char* what;
    Index size, channels;
  };
  const Stage stages[] = {{"ResNet 3x3, 56x56 64", 56, 64},
                          {"ResNet 3x3, 28x28 128", 28, 128},
                          {"ResNet 3x3, 14x14 256", 14, 256},
                          {"ResNet 3x3, 7x7 512", 7, 512}};
  for (const Index batch : {1, 16})
    for (int i = 0; i < 4; ++i) {
      const Stage& s = stages[i];
      add("C" + std::to_string(i + 1) + (batch == 16 ? "@16" : ""), s.what + (", N" + std::to_string(batch)), fma,
          {batch, s.size, s.channels, s.channels, 3});
    }
  add("C5", "ResNet-50 3x3 stride 2, 56x56 128, N1", fma, {1, 56, 128, 128, 3, 2});
  add("C6", "1x1, 56x56 64 to 256, N1", fma, {1, 56, 64, 256, 1});
  add("C7", "1x1, 14x14 1024 to 256, N1", fma, {1, 14, 1024, 256, 1});
  add("C8", "MobileNetV2 depthwise 3x3, 56x56 144, N1", Bound::copying, {1, 56, 144, 144, 3, 1, 144});
  add("C9", "MobileNetV2 depthwise 3x3, 14x14 384, N1", Bound::copying, {1, 14, 384, 384, 3, 1, 384});
  add("C10", "stem 7x7 stride 2, 224x224 3 to 64, N1", fma, {1, 224, 3, 64, 7, 2});
  add("C11", "UNet 3x3, 224x224 64, N1", fma, {1, 224, 64, 64, 3});
  // What the default's choice of Winograd's algorithm does: the same by sums of products alone, and by the fastest.
  const struct {
    const char *id, *what;
    ConvolutionCase c;
  } chosen[] = {{"C1", "56x56 64, N1", {1, 56, 64, 64, 3}},
                {"C2", "28x28 128, N1", {1, 28, 128, 128, 3}},
                {"C3@16", "14x14 256, N16", {16, 14, 256, 256, 3}},
                {"C11", "224x224 64, N1", {1, 224, 64, 64, 3}}};
  for (const auto& one : chosen)
    for (const bool fast : {false, true}) {
      ConvolutionCase c = one.c;
      c.algorithm = fast ? ConvolutionAlgorithm::fast : ConvolutionAlgorithm::exact;
      const char* name = fast ? "fast" : "exact";
      add(std::string(one.id) + "@" + name, std::string("3x3 ") + one.what + ", algorithm " + name, fma, c);
    }
  for (int i = 0; i < 4; ++i) {
    const ConvolutionCase c{16, stages[i].size, stages[i].channels, stages[i].channels, 3};
    rows.push_back({"C12." + std::to_string(i + 1), std::string(stages[i].what) + ", backward, N16", fma,
                    2 * c.operations(), c.bytes(), tolerance, [c] { return convolution_backward_row(c); }});
  }
  return rows;
}

}  // namespace bench
