#include <gtest/gtest.h>

#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/attention/spatial/relative_attention.hpp"
#include "attend/blocks/attention_bottleneck.hpp"
#include "attend/blocks/coatnet_block.hpp"
#include "attend/blocks/convnext_block.hpp"
#include "attend/blocks/resnest_block.hpp"
#include "attend/blocks/selective_kernel_block.hpp"
#include "attend/models/da_net.hpp"
#include "attend/models/deeplab_v3.hpp"
#include "attend/models/enc_net.hpp"
#include "attend/models/psp_net.hpp"
#include "attend/models/unet.hpp"
#include "attend/testing/layer_laws.hpp"

namespace attention_blocks_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
/// The maps of a head's result side by side, what belongs to the whole image at every position.
template <template <class> class Head>
struct OneMap {
  template <class S>
  struct Of : Layer<Of<S>> {
    explicit Of(Head<S> h) : head(std::move(h)) {}
    Variable<S, 4> forward(const Variable<S, 4>& x) const {
      return head(x).members([&](const auto&... member) { return concat<S, 4>({map(member, x)...}, 3); });
    }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit("", self.head);
    }
    static Variable<S, 4> map(const Variable<S, 4>& m, const Variable<S, 4>&) { return m; }
    static Variable<S, 4> map(const Variable<S, 2>& v, const Variable<S, 4>& x) {
      return expand(v.reshape(Shape<4>{v.dim(0), 1, 1, v.dim(1)}), Shape<4>{v.dim(0), x.dim(1), x.dim(2), v.dim(1)});
    }
    Head<S> head;
  };
};

/// EncNet's head on three maps made of the first channels of one.
template <class S>
struct LateralHead : Layer<LateralHead<S>> {
  explicit LateralHead(Rng& rng)
      : head({.in_channels = 8, .classes = 3, .hidden_channels = 4, .codewords = 3, .lateral = true}, rng) {}
  EncNetLogits<Variable, S> forward(const Variable<S, 4>& x) const {
    return head(slice(x, 0, 2, 3), slice(x, 0, 4, 3), x);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("", self.head);
  }
  EncNetHead<S> head;
};

/// The laws that make(S(), rng) breaks, erased so that the battery is compiled once for all of them. Factors that start
/// at zero are moved: the laws look at what is behind them. Biases of norms keep what relu sees away from its kink, which
/// differences cannot cross.
template <class Make>
std::string broken(const Make& make, const Shape<4>& shape = {3, 4, 6, 8}) {
  LawOptions options;
  options.gradient.mode = Mode::evaluation;  // batch norms pool the batch in training
  options.gradient.entries = 8;              // of each of many tensors
  const auto erased = [&](auto scalar, Rng& rng) {
    using S = decltype(scalar);
    AnyLayer<S, 4> layer = make(scalar, rng);
    const auto all = parameters<S>(layer);
    for (const auto& p : all) {
      const auto named = [&](const std::string& end) {
        return p.name.size() >= end.size() && p.name.compare(p.name.size() - end.size(), end.size(), end) == 0;
      };
      if (named("gamma") || named("grn.weight")) p->edit_flat().setConstant(S(0.7));
      if (!named("running_mean")) continue;
      const auto norm = p.name.substr(0, p.name.size() - std::string("running_mean").size());
      auto bias = parameter<S>(layer, norm + "bias")->edit_flat();
      for (Index c = 0; c < bias.size(); ++c) bias(c) = S(c % 4 == 1 ? -2 : 2);
    }
    return layer;
  };
  return text(broken_laws(options, erased, random_tensor<double, 4>(shape, 1)));
}
template <class S>
AnyLayer<S, 4> gate(Index channels, Rng& rng) {
  return SqueezeExcite<S>({.channels = channels, .rd_channels = 2}, rng);
}
const BottleneckBlockOptions strided{
    .in_channels = 8, .planes = 4, .stride = 2, .average_shortcut = true, .activation = Activation::silu};
}  // namespace

TEST(Laws, SelectiveKernelBlocks) {
  const SelectiveKernelOptions kernel{.rd_channels = 3};
  EXPECT_EQ(broken([&](auto s, Rng& rng) {
              auto attention = gate<decltype(s)>(4, rng);
              return SelectiveKernelBasicBlock<decltype(s)>(strided, kernel, std::move(attention), rng);
            }),
            "");
  EXPECT_EQ(broken([&](auto s, Rng& rng) {
              auto attention = gate<decltype(s)>(16, rng);
              return SelectiveKernelBlock<decltype(s)>(strided, kernel, std::move(attention), rng);
            }),
            "");
}
TEST(Laws, ResNestBlock) {
  for (const bool first : {false, true})
    EXPECT_EQ(broken([&](auto s, Rng& rng) {
                return ResNestBlock<decltype(s)>(strided, {.radix = 2, .average_first = first}, {}, rng);
              }),
              "");
}
TEST(Laws, AttentionBottleneck) {
  AttentionBottleneckOptions options{.in_channels = 8,
                                     .inner_channels = 4,
                                     .out_channels = 6,
                                     .stride = 2,
                                     .groups = 2,
                                     .activation = Activation::silu,
                                     .zero_init_last = false};
  EXPECT_EQ(broken([&](auto s, Rng& rng) {
              auto attention = gate<decltype(s)>(4, rng);
              return AttentionBottleneck<decltype(s)>(options, std::move(attention), rng);
            }),
            "");
  options.self_attention = true, options.stride = 1;
  EXPECT_EQ(broken([&](auto s, Rng& rng) {
              RelativeAttention<decltype(s)> attention({.channels = 4, .height = 4, .width = 6, .dim_head = 2}, rng);
              return AttentionBottleneck<decltype(s)>(options, std::move(attention), rng);
            }),
            "");
}
TEST(Laws, ConvNeXtBlock) {
  for (const bool v2 : {true, false})
    EXPECT_EQ(broken([&](auto s, Rng& rng) {
                return ConvNeXtBlock<decltype(s)>({.channels = 8,
                                                   .kernel_size = 3,
                                                   .expansion = 2,
                                                   .response_norm = v2,
                                                   .layer_scale = v2 ? 0 : 0.5,
                                                   .conv_mlp = v2},
                                                  rng);
              }),
              "");
}
TEST(Laws, CoAtNetBlocks) {
  for (const bool early : {true, false})
    EXPECT_EQ(broken([&](auto s, Rng& rng) {
                return CoAtNetConvBlock<decltype(s)>(
                    {.in_channels = 8,
                     .out_channels = 6,
                     .stride = 2,
                     .expansion = 1,
                     .stride_mode = early ? CoAtNetStride::pool : CoAtNetStride::depthwise,
                     .pre_norm_act = early,
                     .squeeze_early = early,
                     .squeeze_activation = Activation::silu,
                     .output_bias = !early},
                    rng);
              }),
              "");
  EXPECT_EQ(broken(
                [](auto s, Rng& rng) {
                  return CoAtNetAttentionBlock<decltype(s)>(
                      {.in_channels = 32, .out_channels = 8, .stride = 2, .height = 2, .width = 3}, rng);
                },
                {3, 4, 6, 32}),
            "");
}
TEST(Laws, RelativeAttention) {
  EXPECT_EQ(broken([](auto s, Rng& rng) {
              return RelativeAttention<decltype(s)>(
                  {.channels = 8, .out_channels = 5, .height = 4, .width = 6, .dim_head = 4}, rng);
            }),
            "");
}
TEST(Laws, SegmentationHeads) {
  EXPECT_EQ(broken([](auto s, Rng& rng) {
              return DeepLabV3Head<decltype(s)>(
                  {.in_channels = 8, .classes = 3, .hidden_channels = 4, .dilations = {2, 3}}, rng);
            }),
            "");
  EXPECT_EQ(broken([](auto s, Rng& rng) {
              return PspHead<decltype(s)>({.in_channels = 8, .classes = 3, .bins = {1, 2}}, rng);
            }),
            "");
  EXPECT_EQ(broken([](auto s, Rng& rng) {
              using S = decltype(s);
              return OneMap<EncNetHead>::Of<S>(
                  EncNetHead<S>({.in_channels = 8, .classes = 3, .hidden_channels = 4, .codewords = 3}, rng));
            }),
            "");
  EXPECT_EQ(broken([](auto s, Rng& rng) {
              using S = decltype(s);
              return OneMap<LateralHead>::Of<S>(LateralHead<S>(rng));
            }),
            "");
  EXPECT_EQ(broken([](auto s, Rng& rng) { return FcnHead<decltype(s)>({.in_channels = 8, .classes = 3}, rng); }), "");
  EXPECT_EQ(broken(
                [](auto s, Rng& rng) {
                  using S = decltype(s);
                  return OneMap<DaNetHead>::Of<S>(DaNetHead<S>({.in_channels = 32, .classes = 3}, rng));
                },
                {3, 3, 4, 32}),
            "");
}
TEST(Laws, UNet) {
  EXPECT_EQ(broken([](auto s, Rng& rng) {
              using S = decltype(s);
              UNetOptions<S> options{.in_channels = 8, .classes = 3, .channels = {4, 5}};
              options.attention = gate<S>;
              return UNet<S>(options, rng);
            }),
            "");
}
}  // namespace attention_blocks_laws_test
