#include "attend/attention/cbam.hpp"
#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/attention/spatial/non_local.hpp"
#include "attend/blocks/attention_cnn_block.hpp"
#include "attend/blocks/basic_block.hpp"
#include "attend/blocks/bottleneck_block.hpp"
#include "parity/golden.hpp"

namespace residual_parity_test {
namespace {
using namespace attend;

enum class Slot { none, se2, se3, cbam, non_local };

template <class S>
AnyLayer<S, 4> filling(Slot slot, Index channels) {
  Rng rng(3);
  if (slot == Slot::se2) return SqueezeExcite<S>({.channels = channels, .rd_channels = 2}, rng);
  if (slot == Slot::se3) return SqueezeExcite<S>({.channels = channels, .rd_channels = 3}, rng);
  if (slot == Slot::cbam) return Cbam<S>({.channels = channels, .rd_channels = 2, .spatial_kernel_size = 3}, rng);
  if (slot == Slot::non_local) return NonLocal<S>({.channels = channels, .rd_channels = 2}, rng);
  return {};
}
/// A block with attention in its slot.
template <template <class> class Block, class Options>
golden::Check block(const Options& options, Slot slot, Index slot_channels) {
  return golden::check([=](auto& run) -> void {
    using S = typename std::decay_t<decltype(run)>::Scalar;
    Rng rng(4);
    Block<S> layer(options, filling<S>(slot, slot_channels), rng);
    run.load(layer);
    run.output(layer(run.template input<4>(0)));
    run.finish();
  });
}
const auto basic = [](Slot slot) {
  return block<BasicBlock>(BasicBlockOptions{.in_channels = 5, .out_channels = 5}, slot, 5);
};
const AttentionCnnBlockOptions cnn = {.in_channels = 3, .out_channels = 7, .pool = 2};
const golden::Cases cases(
    "residual",
    {
        {"basic_none_train", basic(Slot::none)},
        {"basic_none_eval", basic(Slot::none)},
        {"basic_se_train", basic(Slot::se3)},
        {"basic_se_eval", basic(Slot::se3)},
        {"basic_cbam_train", basic(Slot::cbam)},
        {"basic_cbam_eval", basic(Slot::cbam)},
        // the gradient of t.bias is a sum over 24 positions that nearly cancels behind two norms of the batch
        {"basic_nl_train", basic(Slot::non_local).within({.in_float = 5e-5})},
        {"basic_nl_eval", basic(Slot::non_local)},
        {"basic_downsample",
         block<BasicBlock>(BasicBlockOptions{.in_channels = 4, .out_channels = 6, .stride = 2}, Slot::none, 6)},
        {"bottleneck_se",
         block<BottleneckBlock>(BottleneckBlockOptions{.in_channels = 5, .planes = 2, .stride = 2}, Slot::se3, 8)},
        {"attention_cnn_train", block<AttentionCnnBlock>(cnn, Slot::se2, 7)},
        {"attention_cnn_eval", block<AttentionCnnBlock>(cnn, Slot::se2, 7)},
    });
}  // namespace
}  // namespace residual_parity_test
