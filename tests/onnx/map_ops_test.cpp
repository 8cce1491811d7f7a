// Operators on maps of channels: convolution, pooling, norms, resizing. Maps of one spatial axis are maps of height 1.
#include <cmath>

#include "attend/functional/arithmetic.hpp"
#include "attend/functional/convolution.hpp"
#include "attend/functional/global_pooling.hpp"
#include "attend/functional/interpolate.hpp"
#include "attend/functional/norm.hpp"
#include "attend/functional/pad2d.hpp"
#include "attend/functional/pooling.hpp"
#include "onnx/node.hpp"

namespace onnx::map_ops_test {
namespace {
using namespace attend;

/// The attributes that windows share, for two spatial axes.
struct Window2d {
  Pair kernel, stride, dilation;
  Pads pads;
  bool even_pads() const { return pads.top == pads.bottom && pads.left == pads.right; }
};
/// Height 1 in front of a map of one spatial axis.
Array as_map(const Array& x) {
  if (x.rank() > 4) throw Skip{reason::three_dimensional};
  Array map = x;
  if (map.rank() == 3) map.shape.insert(map.shape.begin() + 2, 1);
  return map;
}
Pair pair(const std::vector<Index>& list) { return list.size() == 1 ? Pair(1, list[0]) : Pair(list.at(0), list.at(1)); }
Index same_padding(Index extent, Index kernel, Index stride, Index dilation) {
  return std::max<Index>(0, ((extent + stride - 1) / stride - 1) * stride + dilation * (kernel - 1) + 1 - extent);
}
/// `kernel`: from the weights, where the node does not say.
Window2d window(const Node& n, const Array& map, std::vector<Index> kernel) {
  const std::size_t axes = n[0].shape.size() - 2;
  const std::vector<Index> ones(axes, 1);
  Window2d w;
  w.kernel = pair(n.list("kernel_shape", kernel));
  w.stride = pair(n.list("strides", ones));
  w.dilation = pair(n.list("dilations", ones));
  const auto p = n.list("pads", std::vector<Index>(2 * axes, 0));
  w.pads = axes == 1 ? Pads{0, 0, p[0], p[1]} : Pads{p[0], p[2], p[1], p[3]};
  const auto automatic = n.attribute<std::string>("auto_pad", "NOTSET");
  if (automatic.rfind("SAME", 0) == 0) {
    const Index h = same_padding(map.dim(2), w.kernel.height, w.stride.height, w.dilation.height);
    const Index v = same_padding(map.dim(3), w.kernel.width, w.stride.width, w.dilation.width);
    const bool upper = automatic == "SAME_UPPER";  // the odd cell comes last
    w.pads = upper ? Pads{h / 2, h - h / 2, v / 2, v - v / 2} : Pads{h - h / 2, h / 2, v - v / 2, v / 2};
  }
  return w;
}
/// Back to ONNX's axes and to one spatial axis where the input has one.
std::vector<Array> restored(const Node& n, const Variable<float, 4>& y) {
  Array out = Array(y).channels_first();
  if (n[0].rank() == 3) out.shape.erase(out.shape.begin() + 2);
  return {out};
}
std::vector<Index> kernel_of(const Array& weight) { return {weight.shape.begin() + 2, weight.shape.end()}; }
Variable<float, 1> bias(const Node& n) { return n.optional(2) ? n[2].as<1>() : absent<float, 1>(); }

const Register conv_op("Conv", [](const Node& n) {
  const Array map = as_map(n[0]);
  const Window2d w = window(n, map, kernel_of(n[1]));
  ConvolutionOptions o;
  o.stride = w.stride, o.dilation = w.dilation, o.groups = n.attribute<Index>("group", 1);
  auto x = map.channels_last().as<4>();
  if (w.even_pads())
    o.padding = Padding(w.pads.top, w.pads.left);
  else
    x = pad2d(x, w.pads);
  return restored(n, conv2d(x, as_map(n[1]).as<4>(), bias(n), o));
});

const Register conv_transpose_op("ConvTranspose", [](const Node& n) {
  const Array map = as_map(n[0]);
  Window2d w = window(n, map, kernel_of(n[1]));
  TransposedConvolutionOptions o;
  o.stride = w.stride, o.dilation = w.dilation, o.groups = n.attribute<Index>("group", 1);
  o.output_padding = pair(n.list("output_padding", {0, 0}));
  const Pair whole((map.dim(2) - 1) * w.stride.height + w.dilation.height * (w.kernel.height - 1) + 1,
                   (map.dim(3) - 1) * w.stride.width + w.dilation.width * (w.kernel.width - 1) + 1);
  auto wanted = n.list("output_shape");
  if (n.attribute<std::string>("auto_pad", "NOTSET") == "SAME_UPPER")
    wanted = {map.dim(2) * w.stride.height, map.dim(3) * w.stride.width};
  if (!wanted.empty()) {  // pads that give this size; negative ones are output padding
    const Index h = whole.height - wanted[0], v = whole.width - wanted[1];
    w.pads = {h / 2, h - h / 2, v / 2, v - v / 2};
    if (h <= 0 && v <= 0) o.output_padding = Pair(-h, -v), w.pads = {};
  }
  if (w.even_pads()) {
    o.padding = Pair(w.pads.top, w.pads.left);
    return restored(n, conv_transpose2d(map.channels_last().as<4>(), n[1].as<4>(), bias(n), o));
  }
  const auto y = conv_transpose2d(map.channels_last().as<4>(), n[1].as<4>(), bias(n), o);
  return restored(n, pad2d(y, {-w.pads.top, -w.pads.bottom, -w.pads.left, -w.pads.right}));
});

/// Padding of more than half a window, or uneven, comes before the pool.
bool pool_pads(const Window2d& w) {
  return w.even_pads() && 2 * w.pads.top <= w.kernel.height && 2 * w.pads.left <= w.kernel.width;
}
const Register max_pool_op("MaxPool", [](const Node& n) {
  const Array map = as_map(n[0]);
  const Window2d w = window(n, map, {});
  MaxPoolOptions o;
  o.kernel_size = w.kernel, o.stride = w.stride, o.dilation = w.dilation,
  o.ceil_mode = n.attribute("ceil_mode", 0) != 0;
  auto x = map.channels_last().as<4>();
  if (pool_pads(w))
    o.padding = Pair(w.pads.top, w.pads.left);
  else
    x = pad2d(x, w.pads, PaddingMode::zeros, -std::numeric_limits<float>::infinity());
  return restored(n, max_pool2d(x, o));
});
const Register average_pool_op("AveragePool", [](const Node& n) {
  const Array map = as_map(n[0]);
  const Window2d w = window(n, map, {});
  AvgPoolOptions o;
  o.kernel_size = w.kernel, o.stride = w.stride, o.ceil_mode = n.attribute("ceil_mode", 0) != 0;
  o.count_include_pad = n.attribute("count_include_pad", 0) != 0;
  const auto x = map.channels_last().as<4>();
  if (pool_pads(w)) {
    o.padding = Pair(w.pads.top, w.pads.left);
    return restored(n, avg_pool2d(x, o));
  }
  if (o.count_include_pad) return restored(n, avg_pool2d(pad2d(x, w.pads), o));
  o.divisor_override = 1;  // sum over the window / number of its cells on the input
  Tensor<float, 4> ones(x.shape());
  ones.setConstant(1);
  return restored(n, avg_pool2d(pad2d(x, w.pads), o) / avg_pool2d(pad2d(Variable<float, 4>(ones), w.pads), o));
});
template <class F>
Operator global(const F& f) {
  return [f](const Node& n) {
    const auto y = f(as_map(n[0]).channels_last().template as<4>());
    return std::vector<Array>{Array(y.reshape(Shape<4>{y.dim(0), y.dim(1), 1, 1}))};
  };
}
const Register global_average_op("GlobalAveragePool", global([](const auto& x) { return global_average_pool(x); }));
const Register global_max_op("GlobalMaxPool", global([](const auto& x) { return global_max_pool(x); }));

// ---- norms ----

/// The spatial axes as one: what a norm of channels sees.
Variable<float, 3> channel_rows(const Array& x) {
  Index positions = 1;
  for (std::size_t a = 2; a < x.shape.size(); ++a) positions *= x.dim(a);
  return x.channels_last().as(Shape<3>{x.dim(0), positions, x.dim(1)});
}
std::vector<Array> from_rows(const Node& n, const Variable<float, 3>& y) {
  Array out(y);
  out.shape = n[0].channels_last().shape;
  return {out.channels_first()};
}
const Register batch_norm_op("BatchNormalization", [](const Node& n) {
  const auto x = channel_rows(n[0]);
  const double eps = n.attribute("epsilon", 1e-5);
  // In training ONNX blends the biased variance into the running one, PyTorch and this library the unbiased: of the
  // outputs the first is compared.
  return n.attribute("training_mode", 0)
             ? from_rows(n, batch_norm(x, n[1].as<1>(), n[2].as<1>(), eps))
             : from_rows(n, batch_norm_with(x, n[3].as<1>(), n[4].as<1>(), n[1].as<1>(), n[2].as<1>(), eps));
});
const Register instance_norm_op("InstanceNormalization", [](const Node& n) {
  return from_rows(n, instance_norm(channel_rows(n[0]), n[1].as<1>(), n[2].as<1>(), n.attribute("epsilon", 1e-5)));
});
const Register group_norm_op("GroupNormalization", [](const Node& n) {
  return from_rows(n, group_norm(channel_rows(n[0]), n.attribute<Index>("num_groups", 1), n[1].as<1>(), n[2].as<1>(),
                                 n.attribute("epsilon", 1e-5)));
});
/// The axes from `axis` on are normalised: as rows of their product.
template <class F>
Operator row_norm_with(const F& f) {
  return [f](const Node& n) {
    const Array& x = n[0];
    const Index axis = n.attribute<Index>("axis", -1);
    Index width = 1;
    for (auto a = static_cast<std::size_t>(axis < 0 ? axis + x.rank() : axis); a < x.shape.size(); ++a)
      width *= x.dim(a);
    const auto row = [&](std::size_t i) { return n.optional(i) ? n[i].as(Shape<1>{width}) : absent<float, 1>(); };
    Array y(f(x.as(Shape<2>{static_cast<Index>(x.values.size()) / width, width}), row(1), row(2),
              n.attribute("epsilon", 1e-5)));
    y.shape = x.shape;
    return std::vector<Array>{y};
  };
}
const Register layer_norm_op("LayerNormalization", row_norm_with([](const auto& x, const auto& w, const auto& b,
                                                                    double eps) { return layer_norm(x, w, b, eps); }));
const Register rms_norm_op("RMSNormalization", row_norm_with([](const auto& x, const auto& w, const auto&, double eps) {
                             return rms_norm(x, w, eps);
                           }));

// ---- resizing of height and width ----

/// Whether some output lies in the middle between two inputs, where ONNX rounds down and PyTorch up.
bool ties(Index in, Index out) {
  for (Index o = 0; o < out; ++o)
    if ((2 * o + 1) * in % (2 * out) == 0) return true;
  return false;
}
const Register resize_op("Resize", [](const Node& n) {
  const Array& x = n[0];
  const auto mode = n.attribute<std::string>("mode", "nearest");
  const auto coordinates = n.attribute<std::string>("coordinate_transformation_mode", "half_pixel");
  const auto rounding = n.attribute<std::string>("nearest_mode", "round_prefer_floor");
  if (mode == "cubic") throw Skip{reason::cubic};
  if (n.attribute("antialias", 0)) throw Skip{reason::antialias};
  std::vector<Index> axes = n.list("axes", {0, 1, 2, 3});
  std::vector<double> factors(4, 1);
  std::vector<Index> size = x.shape;
  if (const Array* sizes = n.optional(3)) {
    const auto policy = n.attribute<std::string>("keep_aspect_ratio_policy", "stretch");
    std::vector<double> all;
    for (std::size_t i = 0; i < axes.size(); ++i)
      all.push_back(double(sizes->values[i]) / double(x.dim(static_cast<std::size_t>(axes[i]))));
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const auto axis = static_cast<std::size_t>(axes[i]);
      const double kept = policy == "not_larger" ? *std::min_element(all.begin(), all.end())
                                                 : *std::max_element(all.begin(), all.end());
      size[axis] = policy == "stretch" ? static_cast<Index>(sizes->values[i])
                                       : static_cast<Index>(std::lround(kept * double(x.dim(axis))));
      factors[axis] = policy == "stretch" ? all[i] : kept;
    }
  } else {
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const auto axis = static_cast<std::size_t>(axes[i]);
      factors[axis] = double(n[2].values[i]);
      size[axis] = static_cast<Index>(std::floor(factors[axis] * double(x.dim(axis))));
    }
  }
  InterpolateOptions o;
  if (mode == "linear") {
    o.mode = Interpolation::bilinear;
    o.align_corners = coordinates == "align_corners";
    // With a factor ONNX aligns the corners of a map whose extent need not be whole.
    const bool whole =
        factors[2] * double(x.dim(2)) == double(size[2]) && factors[3] * double(x.dim(3)) == double(size[3]);
    if (coordinates != "half_pixel" && !(o.align_corners && whole)) throw Skip{reason::coordinates};
  } else if (coordinates == "asymmetric" && rounding == "floor") {
    o.mode = Interpolation::nearest;
  } else if (coordinates == "half_pixel" && rounding.rfind("round_prefer", 0) == 0) {
    o.mode = Interpolation::nearest_exact;
    if (rounding == "round_prefer_floor" && (ties(x.dim(2), size[2]) || ties(x.dim(3), size[3])))
      throw Skip{reason::rounding};
  } else {
    throw Skip{coordinates == "half_pixel" || coordinates == "asymmetric" ? reason::rounding : reason::coordinates};
  }
  // The factor counts where it is not size / extent, as PyTorch has it without recompute_scale_factor.
  if (factors[2] * double(x.dim(2)) == double(size[2]) && factors[3] * double(x.dim(3)) == double(size[3]))
    o.size = Pair(size[2], size[3]);
  else
    o.scale_factor = ScaleFactor(factors[2], factors[3]);
  return std::vector<Array>{Array(interpolate(x.channels_last().as<4>(), o)).channels_first()};
});
}  // namespace
}  // namespace onnx::map_ops_test
