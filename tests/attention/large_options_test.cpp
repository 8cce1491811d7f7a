// Sizes among the options so large that what is computed from them would not fit an integer.
#include <gtest/gtest.h>

#include "attend/attention/channel/efficient_channel_attention.hpp"
#include "attend/attention/channel/selective_kernel.hpp"
#include "attend/attention/channel/split_attention.hpp"
#include "attend/attention/grid_attention_pool.hpp"
#include "attend/attention/spatial/axial_attention.hpp"
#include "attend/attention/spatial/bilinear_attention.hpp"
#include "attend/attention/spatial/bottleneck_attention.hpp"
#include "attend/attention/spatial/cooccurrent_attention.hpp"
#include "attend/attention/spatial/cross_covariance_attention.hpp"
#include "attend/attention/spatial/factorized_attention.hpp"
#include "attend/attention/spatial/halo_attention.hpp"
#include "attend/attention/spatial/lambda_layer.hpp"
#include "attend/attention/spatial/multi_scale_linear_attention.hpp"
#include "attend/attention/spatial/neighborhood_attention.hpp"
#include "attend/attention/spatial/outlook_attention.hpp"
#include "attend/attention/spatial/relative_attention.hpp"
#include "attend/attention/spatial/separable_attention.hpp"
#include "attend/attention/spatial/window_attention.hpp"
#include "attend/attention/spatial/window_attention_v2.hpp"
#include "attend/blocks/basic_block.hpp"
#include "attend/blocks/coatnet_block.hpp"
#include "error_of.hpp"

namespace large_options_test {
namespace {
using namespace attend;

/// Every one of `sizes` is refused by name where it is too large, however large.
template <template <class> class L, class Options>
void refuses(const Options& options, std::initializer_list<std::pair<const char*, Index Options::*>> sizes) {
  for (const auto& [name, size] : sizes)
    for (const Index value : {Index(1) << 30, Index(1) << 62, std::numeric_limits<Index>::max()}) {
      Options o = options;
      o.*size = value;
      Rng rng(1);
      expect_error<OptionError>([&] { const L<float> layer(o, rng); },
                                {std::string(name) + " = " + std::to_string(value) + " is too large", "below 2^30"});
    }
}

TEST(BadInput, SizesThatAreTooLargeAreNamed) {
  refuses<AxialAttention>(AxialAttentionOptions{.channels = 8, .num_heads = 2},
                          {{"channels", &AxialAttentionOptions::channels},
                           {"num_heads", &AxialAttentionOptions::num_heads},
                           {"dim_head", &AxialAttentionOptions::dim_head}});
  refuses<BilinearAttention>(
      BilinearAttentionOptions{.channels = 8},
      {{"block_size", &BilinearAttentionOptions::block_size}, {"groups", &BilinearAttentionOptions::groups}});
  refuses<BottleneckAttention>(
      BottleneckAttentionOptions{.channels = 8, .height = 4, .width = 4},
      {{"height", &BottleneckAttentionOptions::height}, {"dim_head", &BottleneckAttentionOptions::dim_head}});
  refuses<CooccurrentAttention>(CooccurrentAttentionOptions{.channels = 8, .key_channels = 4, .value_channels = 4},
                                {{"num_heads", &CooccurrentAttentionOptions::num_heads},
                                 {"value_channels", &CooccurrentAttentionOptions::value_channels}});
  refuses<CrossCovarianceAttention>(CrossCovarianceAttentionOptions{},
                                    {{"channels", &CrossCovarianceAttentionOptions::channels}});
  refuses<FactorizedAttention>(FactorizedAttentionOptions{}, {{"channels", &FactorizedAttentionOptions::channels}});
  refuses<GridAttentionPool>(GridAttentionPoolOptions{.channels = 64},
                             {{"embed_dim", &GridAttentionPoolOptions::embed_dim},
                              {"height", &GridAttentionPoolOptions::height},
                              {"width", &GridAttentionPoolOptions::width}});
  refuses<HaloAttention>(HaloAttentionOptions{.channels = 8}, {{"halo_size", &HaloAttentionOptions::halo_size},
                                                               {"out_channels", &HaloAttentionOptions::out_channels}});
  refuses<LambdaLayer>(LambdaLayerOptions{.channels = 8},
                       {{"dim_head", &LambdaLayerOptions::dim_head}, {"r", &LambdaLayerOptions::r}});
  refuses<MultiScaleLinearAttention>(
      MultiScaleLinearAttentionOptions{.channels = 8},
      {{"num_heads", &MultiScaleLinearAttentionOptions::num_heads}, {"dim", &MultiScaleLinearAttentionOptions::dim}});
  refuses<NeighborhoodAttention>(NeighborhoodAttentionOptions{.channels = 8},
                                 {{"kernel_size", &NeighborhoodAttentionOptions::kernel_size},
                                  {"dilation", &NeighborhoodAttentionOptions::dilation}});
  refuses<OutlookAttention>(OutlookAttentionOptions{.channels = 8}, {{"stride", &OutlookAttentionOptions::stride}});
  refuses<RelativeAttention>(RelativeAttentionOptions{.height = 4, .width = 4},
                             {{"channels", &RelativeAttentionOptions::channels}});
  refuses<SelectiveKernel>(SelectiveKernelOptions{.channels = 8}, {{"dilation", &SelectiveKernelOptions::dilation}});
  refuses<SeparableAttention>(SeparableAttentionOptions{}, {{"channels", &SeparableAttentionOptions::channels}});
  refuses<SplitAttention>(SplitAttentionOptions{.channels = 8},
                          {{"radix", &SplitAttentionOptions::radix}, {"groups", &SplitAttentionOptions::groups}});
  refuses<WindowAttention>(WindowAttentionOptions{.channels = 8}, {{"channels", &WindowAttentionOptions::channels},
                                                                   {"head_dim", &WindowAttentionOptions::head_dim}});
  refuses<CoAtNetConvBlock>(CoAtNetBlockOptions{.in_channels = 8, .out_channels = 8},
                            {{"expansion", &CoAtNetBlockOptions::expansion}});
}

// Tables of windows grow with the square of their cells, outlook attention's weights with the fourth power of its window.
TEST(BadInput, WindowsThatWouldFillTheMemoryAreRefused) {
  Rng rng(1);
  for (const Index size : {Index(200), Index(1) << 31, std::numeric_limits<Index>::max()}) {
    const std::string given = std::to_string(size);
    expect_error<OptionError>([&] { WindowAttention<float>({.channels = 8, .window_size = size}, rng); },
                              {"a window of (" + given, "at most 32768"});
    expect_error<OptionError>([&] { WindowAttentionV2<float>({.channels = 8, .window_size = size}, rng); },
                              {"a window of (" + given, "at most 32768"});
    expect_error<OptionError>([&] { RelativeAttention<float>({.channels = 32, .height = size, .width = 200}, rng); },
                              {"a window of (" + given});
  }
  expect_error<ShapeError>(
      [&] { OutlookAttention<float>({.channels = 8, .kernel_size = Index(1) << 31, .padding = 0}, rng); },
      {"2147483648", "too large"});
  const WindowAttention<float> whole({.channels = 8, .window_size = Index(1) << 31, .height = 4, .width = 6}, rng);
  EXPECT_EQ(whole(Tensor<float, 4>(1, 4, 6, 8).setZero()).dimension(2), 6);  // a window shrinks to its map
}

TEST(BadInput, ChannelsThatAKernelCannotReachAreRefused) {
  Rng rng(1);
  for (const double beta : {1e30, -1e30})
    expect_error<OptionError>([&] { EfficientChannelAttention<float>({.channels = 8, .beta = beta}, rng); },
                              {"beta = ", "2^30"});
}

TEST(BadInput, LargeDilationsOfBlocksAreRefused) {
  Rng rng(1);
  expect_error<OptionError>(
      [&] { BasicBlock<float>({.in_channels = 8, .out_channels = 8, .dilation = Index(1) << 62}, {}, rng); },
      {"dilation = 4611686018427387904"});
}

}  // namespace
}  // namespace large_options_test
