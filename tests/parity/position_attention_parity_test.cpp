#include "attend/attention/spatial/enhanced_spatial_attention.hpp"
#include "attend/attention/spatial/non_local.hpp"
#include "attend/attention/spatial/position_attention.hpp"
#include "parity/golden.hpp"

namespace position_attention_parity_test {
namespace {
using namespace attend;

const auto position = [](const PositionAttentionOptions& o) { return golden::layer<PositionAttention, 4>(o); };
const auto esa = [](const EnhancedSpatialAttentionOptions& o) { return golden::layer<EnhancedSpatialAttention, 4>(o); };
const auto form = [](NonLocalForm f) {
  return golden::layer<NonLocal, 4>(NonLocalOptions{.channels = 6, .rd_channels = 3, .scale = false, .form = f});
};
const golden::Cases cases("position_attention",
                          {
                              {"danet", position({.channels = 16})},
                              {"danet_odd", position({.channels = 5, .reduced_channels = 3})},
                              {"esa", esa({.channels = 6, .reduced_channels = 4})},
                              {"esa_smallest", esa({.channels = 5, .reduced_channels = 3})},
                              {"esa_light", esa({.channels = 6, .reduced_channels = 3, .light = true})},
                              {"non_local_gaussian_eval", form(NonLocalForm::gaussian)},
                              {"non_local_gaussian_train", form(NonLocalForm::gaussian)},
                              {"non_local_dot_eval", form(NonLocalForm::dot)},
                              {"non_local_dot_train", form(NonLocalForm::dot)},
                              {"non_local_concatenation_eval", form(NonLocalForm::concatenation)},
                              {"non_local_concatenation_train", form(NonLocalForm::concatenation)},
                          });
}  // namespace
}  // namespace position_attention_parity_test
