#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/channel/squeeze.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/shape.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/layers/conv_norm_act.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct SelectiveKernelOptions {
  Index channels = 0;                     ///< of the input; timm's in_channels
  Index out_channels = 0;                 ///< 0: channels
  std::vector<Index> kernel_sizes{3, 5};  ///< one path for each; odd, at least 3
  Index stride = 1;
  Index dilation = 1;
  Index groups = 1;            ///< of each path's convolution; at most out_channels count
  bool keep_3x3 = true;        ///< a larger kernel k becomes a 3x3 one of dilation (k - 1) / 2
  bool split_input = true;     ///< each path sees its share of the channels; false: all of them, as in the paper
  double rd_ratio = 1.0 / 16;  ///< hidden width = make_divisible(out_channels rd_ratio, rd_divisor) ...
  Index rd_channels = 0;       ///< ... unless given here
  Index rd_divisor = 8;
  Activation activation = Activation::relu;  ///< of the paths; between the attention's maps there is always a relu
};

/// Selective kernel (Li et al. 2019, section 3.1; timm's SelectiveKernel): convolutions of several reaches side by side,
/// and for each channel a choice among them.
///
///   U_i = path_i(x), convolution, norm, activation;   s = mean over positions of the sum of all U_i
///   w = softmax over the paths of fc_select relu(BN(fc_reduce s)),   y(b, i, j, c) = sum over paths of w(b, p, c) U_p
///
/// x: (batch, height, width, channels)  ->  (batch, out height, out width, out_channels). Offers "gate" w (batch, paths,
/// out_channels). paths.0.conv.weight  paths.0.bn.*  paths.1...  attn.fc_reduce.weight (rd, out_channels, 1, 1)
/// attn.bn.*  attn.fc_select.weight (paths out_channels, rd, 1, 1). Throws OptionError for an even kernel, no path, or
/// channels that the paths or groups do not divide, ShapeError for other channels or no positions.
template <class S>
class SelectiveKernel : public Layer<SelectiveKernel<S>> {
  /// timm's SelectiveKernelAttn: the mean of all paths in, scores of each path and channel out.
  struct Attn : Layer<Attn> {
    Attn(Index channels, Index paths, Index reduced, const BatchNormOptions& norm, Rng& rng)
        : fc_reduce({channels, reduced, false}, rng), bn(norm), fc_select({reduced, channels * paths, false}, rng) {}
    Variable<S, 2> forward(const Variable<S, 2>& x) const { return fc_select(relu(bn(fc_reduce(x)))); }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit("fc_reduce", self.fc_reduce);
      visit("bn", self.bn);
      visit("fc_select", self.fc_select);
    }
    PointwiseConv<S> fc_reduce;
    BatchNorm<S> bn;
    PointwiseConv<S> fc_select;
  };

 public:
  SelectiveKernel(const SelectiveKernelOptions& options, Rng& rng)
      : options_(completed(options)), paths_(made_paths(options_, rng)), attn_(made_attention(options_, rng)) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map("SelectiveKernel", x.shape(), options_.channels);
    const Index count = static_cast<Index>(paths_.size());
    std::vector<Variable<S, 4>> inputs, outputs;
    if (options_.split_input) inputs = chunk(x, count, 3);
    for (std::size_t i = 0; i < paths_.size(); ++i) outputs.push_back(paths_[i](options_.split_input ? inputs[i] : x));
    auto pooled = global_average_pool(outputs[0]);
    for (std::size_t i = 1; i < outputs.size(); ++i) pooled = pooled + global_average_pool(outputs[i]);
    const auto gate = softmax(attn_(pooled).reshape(Shape<3>{x.dim(0), count, options_.out_channels}), 1);
    offer(*this, "gate", gate);
    auto y = gate_channels(outputs[0], select(gate, 0, 1));
    for (std::size_t i = 1; i < outputs.size(); ++i)
      y = y + gate_channels(outputs[i], select(gate, static_cast<Index>(i), 1));
    return y;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("paths", self.paths_);
    visit("attn", self.attn_);
  }

 private:
  static SelectiveKernelOptions completed(SelectiveKernelOptions o) {
    detail::check_sizes("SelectiveKernel", {{"out_channels", o.out_channels}, {"dilation", o.dilation}});
    const Index paths = static_cast<Index>(o.kernel_sizes.size());
    require<OptionError>(o.channels > 0 && o.out_channels >= 0 && o.groups > 0, "SelectiveKernel", [&] {
      return message("channels = ", o.channels, " and groups = ", o.groups,
                     " must be above 0, out_channels = ", o.out_channels, " not below");
    });
    for (const Index k : o.kernel_sizes) {
      detail::check_sizes("SelectiveKernel", {{"a kernel size", k}});
      require<OptionError>(k >= 3 && k % 2 == 1, "SelectiveKernel",
                           [&] { return message("a kernel size is ", k, "; each must be odd, at least 3"); });
    }
    require<OptionError>(paths > 0 && (!o.split_input || o.channels % paths == 0), "SelectiveKernel", [&] {
      return message(paths, " paths must be at least one and divide channels = ", o.channels,
                     ", or split_input be false");
    });
    if (o.out_channels == 0) o.out_channels = o.channels;
    o.groups = std::min(o.groups, o.out_channels);
    return o;
  }
  static std::vector<ConvNormAct<S>> made_paths(const SelectiveKernelOptions& o, Rng& rng) {
    std::vector<ConvNormAct<S>> paths;
    for (const Index kernel : o.kernel_sizes) {
      ConvNormActOptions path;
      path.in_channels = o.split_input ? o.channels / static_cast<Index>(o.kernel_sizes.size()) : o.channels;
      path.out_channels = o.out_channels, path.stride = o.stride, path.groups = o.groups;
      path.kernel_size = o.keep_3x3 ? 3 : kernel;
      path.dilation = o.keep_3x3 ? o.dilation * (kernel - 1) / 2 : o.dilation;
      path.activation = o.activation;
      paths.emplace_back(path, rng);
    }
    return paths;
  }
  static Attn made_attention(const SelectiveKernelOptions& o, Rng& rng) {
    SelectiveKernelOptions of_output = o;
    of_output.channels = o.out_channels;
    BatchNormOptions norm;
    norm.channels = detail::reduced_channels("SelectiveKernel", of_output, 0.9);
    return Attn(o.out_channels, static_cast<Index>(o.kernel_sizes.size()), norm.channels, norm, rng);
  }
  SelectiveKernelOptions options_;
  std::vector<ConvNormAct<S>> paths_;
  Attn attn_;
};

ATTEND_END
