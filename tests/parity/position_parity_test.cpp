#include "attend/functional/alibi.hpp"
#include "attend/functional/position.hpp"
#include "attend/functional/rotary.hpp"
#include "attend/layers/relative_position_bias.hpp"
#include "attend/layers/t5_position_bias.hpp"
#include "parity/golden.hpp"

namespace position_parity_test {
namespace {
using namespace attend;
using golden::layer;

const auto table = [](Index length, Index dim) {
  return golden::check([=](auto& run) -> void {
    using S = typename std::decay_t<decltype(run)>::Scalar;
    run.output(Variable<S, 2>(sinusoidal_positions<S>(length, dim)));
    run.finish();
  });
};
const auto slopes = [](Index heads) {
  return golden::check([=](auto& run) -> void {
    using S = typename std::decay_t<decltype(run)>::Scalar;
    const auto found = alibi_slopes(heads);
    Tensor<S, 1> values(heads);
    for (Index h = 0; h < heads; ++h) values(h) = S(found[static_cast<std::size_t>(h)]);
    run.output(Variable<S, 1>(values));
    run.finish();
  });
};
const golden::Cases tables("position", {
                                           {"sinusoidal_7x6", table(7, 6)},
                                           {"sinusoidal_5x10", table(5, 10)},
                                           {"sinusoidal_64x4", table(64, 4)},
                                           {"alibi_slopes_1", slopes(1)},
                                           {"alibi_slopes_2", slopes(2)},
                                           {"alibi_slopes_6", slopes(6)},
                                           {"alibi_slopes_8", slopes(8)},
                                           {"alibi_slopes_12", slopes(12)},
                                       });

const auto turned = [](const RotaryOptions& o) {
  return golden::function<4>([o](const auto& x) { return rotary(x, o); });
};
const auto pairs = RotaryLayout::interleaved;
const golden::Cases rotations("position",
                              {
                                  {"rotary_half_plain", turned({})},
                                  {"rotary_half_base", turned({.base = 500})},
                                  {"rotary_half_offset", turned({.first_position = 13})},
                                  {"rotary_half_partial", turned({.dim = 4})},
                                  {"rotary_interleaved_plain", turned({.layout = pairs})},
                                  {"rotary_interleaved_base", turned({.base = 500, .layout = pairs})},
                                  {"rotary_interleaved_offset", turned({.layout = pairs, .first_position = 13})},
                                  {"rotary_interleaved_partial", turned({.layout = pairs, .dim = 4})},
                              });

const auto window = [](const RelativePositionBiasOptions& o) { return layer<RelativePositionBias, 4>(o); };
const auto t5 = [](const T5PositionBiasOptions& o) { return layer<T5PositionBias, 4>(o); };
const golden::Cases biases("position",
                           {
                               {"relative_window", window({.height = 3, .width = 2, .num_heads = 3})},
                               {"relative_window_wide", window({.height = 2, .width = 5, .num_heads = 3})},
                               {"relative_class_token",
                                window({.height = 2, .width = 3, .num_heads = 3, .class_token = true})},
                               {"t5_bidirectional", t5({.num_heads = 3})},
                               {"t5_one_directional", t5({.num_heads = 3, .bidirectional = false})},
                               {"t5_few_buckets", t5({.num_heads = 3, .num_buckets = 8, .max_distance = 20})},
                           });
}  // namespace
}  // namespace position_parity_test
