#pragma once
#include <attend/attention/channel/squeeze_excite.hpp>
#include <attend/blocks/bottleneck_block.hpp>
#include <attend/functional/global_pooling.hpp>
#include <attend/functional/pooling.hpp>
#include <attend/layers/dense.hpp>

namespace bench {
using namespace attend;

/// SE-ResNet-50 (Hu et al. 2018) of the library's blocks: stem, 3 + 4 + 6 + 3 bottleneck blocks with
/// squeeze-and-excitation of reduction 16, mean, classifier.  images (batch, height, width, 3)  ->  (batch, 1000)
template <class S>
struct SeResNet : Layer<SeResNet<S>> {
  explicit SeResNet(Rng& rng)
      : conv1({.in_channels = 3, .out_channels = 64, .kernel_size = 7, .stride = 2, .padding = 3, .bias = false}, rng),
        bn1({.channels = 64}),
        fc({2048, 1000}, rng) {
    const Index depths[] = {3, 4, 6, 3};
    Index channels = 64;
    for (Index stage = 0; stage < 4; ++stage)
      for (Index b = 0; b < depths[stage]; ++b) {
        const Index planes = Index(64) << stage;
        blocks.push_back(
            BottleneckBlock<S>({.in_channels = channels, .planes = planes, .stride = stage > 0 && b == 0 ? 2 : 1},
                               AnyLayer<S, 4>(SqueezeExcite<S>(senet_squeeze_excite(4 * planes, 16), rng)), rng));
        channels = 4 * planes;
      }
  }
  Variable<S, 2> forward(const Variable<S, 4>& images) const {
    auto x = max_pool2d(relu(bn1(conv1(images))), {.kernel_size = 3, .stride = 2, .padding = 1});
    for (const auto& block : blocks) x = block(x);
    return fc(global_average_pool(x));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv1", self.conv1);
    visit("bn1", self.bn1);
    visit("blocks", self.blocks);
    visit("fc", self.fc);
  }
  static constexpr double operations = 8.2e9;  // of one image of 224 x 224, two for each multiplication

  Conv2d<S> conv1;
  BatchNorm<S> bn1;
  std::vector<BottleneckBlock<S>> blocks;
  Dense<S> fc;
};

}  // namespace bench
