#pragma once
#include "attend/blocks/selective_kernel_block.hpp"
#include "attend/models/resnet.hpp"

ATTEND_BEGIN

/// A ResNet of basic blocks whose first convolution is a selective kernel, each path with its share of the channels
/// (timm's skresnet18; 34: {3, 4, 6, 3}):
///
///     ResNet<float> model(skresnet18<float>(), rng);
template <class S>
ResNetOptions<S> skresnet18(std::array<Index, 4> layers = {2, 2, 2, 2}) {
  ResNetOptions<S> o;
  o.layers = layers, o.zero_init_last = false;
  o.block = [](const BottleneckBlockOptions& place, AnyLayer<S, 4> attention, Rng& rng) -> AnyLayer<S, 4> {
    SelectiveKernelOptions kernel;
    kernel.rd_ratio = 1.0 / 8, kernel.rd_divisor = 16;
    return SelectiveKernelBasicBlock<S>(place, kernel, std::move(attention), rng);
  };
  return o;
}

/// SKNet (Li et al. 2019, "Selective kernel networks") as timm has it: bottlenecks whose 3x3 convolution is a selective
/// kernel with split input (skresnet50; skresnext50_32x4d: `groups` 32 and `base_width` 4, and kernels of rd_ratio 1/16,
/// rd_divisor 32, split_input false).
template <class S>
ResNetOptions<S> skresnet50(const SelectiveKernelOptions& kernel = {}) {
  ResNetOptions<S> o;
  o.bottleneck = true, o.layers = {3, 4, 6, 3}, o.zero_init_last = false;
  o.block = [kernel](const BottleneckBlockOptions& place, AnyLayer<S, 4> attention, Rng& rng) -> AnyLayer<S, 4> {
    return SelectiveKernelBlock<S>(place, kernel, std::move(attention), rng);
  };
  return o;
}

ATTEND_END
