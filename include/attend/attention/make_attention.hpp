#pragma once
/// Attention of feature maps by timm's names. No other header includes this one: it compiles every attention there is.
#include <optional>
#include <string>

#include "attend/attention/bam.hpp"
#include "attend/attention/cbam.hpp"
#include "attend/attention/channel/contrast_aware_attention.hpp"
#include "attend/attention/channel/coordinate_attention.hpp"
#include "attend/attention/channel/danet_channel_attention.hpp"
#include "attend/attention/channel/effective_squeeze_excite.hpp"
#include "attend/attention/channel/efficient_channel_attention.hpp"
#include "attend/attention/channel/efficient_local_attention.hpp"
#include "attend/attention/channel/gather_excite.hpp"
#include "attend/attention/channel/global_context.hpp"
#include "attend/attention/channel/global_response_norm.hpp"
#include "attend/attention/channel/selective_kernel.hpp"
#include "attend/attention/channel/simple_coordinate_attention.hpp"
#include "attend/attention/channel/split_attention.hpp"
#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/attention/channel/strip_attention.hpp"
#include "attend/attention/light_cbam.hpp"
#include "attend/attention/scse.hpp"
#include "attend/attention/simam.hpp"
#include "attend/attention/spatial/axial_attention.hpp"
#include "attend/attention/spatial/bilinear_attention.hpp"
#include "attend/attention/spatial/bottleneck_attention.hpp"
#include "attend/attention/spatial/criss_cross_attention.hpp"
#include "attend/attention/spatial/enhanced_spatial_attention.hpp"
#include "attend/attention/spatial/halo_attention.hpp"
#include "attend/attention/spatial/lambda_layer.hpp"
#include "attend/attention/spatial/non_local.hpp"
#include "attend/attention/spatial/position_attention.hpp"
#include "attend/attention/triplet_attention.hpp"
#include "attend/core/nearest_names.hpp"
#include "attend/layers/any_layer.hpp"

ATTEND_BEGIN

/// What an attention by name is made with. Only `channels` is needed; what is not given is the attention's own default,
/// and what is given must be an option of that attention.
struct MakeAttentionOptions {
  Index channels = 0;
  std::optional<Index> out_channels = {};
  std::optional<Index> stride = {};
  std::optional<Pair> feature_size = {};  ///< height and width of the map, for attentions that belong to one size
  std::optional<Index> kernel_size = {};
  std::optional<Index> block_size = {};
  std::optional<double> rd_ratio = {};  ///< hidden width to channels
  std::optional<Index> rd_channels = {};
  std::optional<Index> rd_divisor = {};
  std::optional<Index> reduction = {};  ///< channels to hidden width, for attentions that have no rd_ratio
  std::optional<Index> groups = {};
  std::optional<Index> num_heads = {};
  std::optional<bool> bias = {};
  std::optional<bool> norm = {};
  std::optional<Activation> activation = {};
  std::optional<Activation> gate = {};
};

namespace detail {

/// The options of one attention, with what was given in their places.
template <class Options>
Options placed(const std::string& name, const MakeAttentionOptions& given, Options o = {}) {
  const auto place = [&](const auto& value, const char* what, const auto& in) {
    if (!value) return;
    if constexpr (std::is_invocable_v<decltype(in), Options&>)
      in(o) = *value;
    else
      throw OptionError("make_attention", "\"" + name + "\" has no option " + what);
  };
  const auto channels = [](auto& to) -> decltype((to.channels)) { return to.channels; };
  if constexpr (std::is_invocable_v<decltype(channels), Options&>) channels(o) = given.channels;
  place(given.out_channels, "out_channels", [](auto& to) -> decltype((to.out_channels)) { return to.out_channels; });
  place(given.stride, "stride", [](auto& to) -> decltype((to.stride)) { return to.stride; });
  const auto height = [](auto& to) -> decltype((to.height)) { return to.height; };
  if constexpr (std::is_invocable_v<decltype(height), Options&>) {
    if (given.feature_size) o.height = given.feature_size->height, o.width = given.feature_size->width;
  } else
    place(given.feature_size, "feature_size", [](auto& to) -> decltype((to.feature_size)) { return to.feature_size; });
  if constexpr (std::is_same_v<Options, CbamOptions> || std::is_same_v<Options, LightCbamOptions>)
    o.spatial_kernel_size = given.kernel_size.value_or(o.spatial_kernel_size);
  else
    place(given.kernel_size, "kernel_size", [](auto& to) -> decltype((to.kernel_size)) { return to.kernel_size; });
  place(given.block_size, "block_size", [](auto& to) -> decltype((to.block_size)) { return to.block_size; });
  place(given.rd_ratio, "rd_ratio", [](auto& to) -> decltype((to.rd_ratio)) { return to.rd_ratio; });
  place(given.rd_channels, "rd_channels", [](auto& to) -> decltype((to.rd_channels)) { return to.rd_channels; });
  place(given.rd_divisor, "rd_divisor", [](auto& to) -> decltype((to.rd_divisor)) { return to.rd_divisor; });
  place(given.reduction, "reduction", [](auto& to) -> decltype((to.reduction)) { return to.reduction; });
  place(given.groups, "groups", [](auto& to) -> decltype((to.groups)) { return to.groups; });
  place(given.num_heads, "num_heads", [](auto& to) -> decltype((to.num_heads)) { return to.num_heads; });
  place(given.bias, "bias", [](auto& to) -> decltype((to.bias)) { return to.bias; });
  place(given.norm, "norm", [](auto& to) -> decltype((to.norm)) { return to.norm; });
  place(given.activation, "activation", [](auto& to) -> decltype((to.activation)) { return to.activation; });
  place(given.gate, "gate", [](auto& to) -> decltype((to.gate)) { return to.gate; });
  return o;
}

template <class S>
struct NamedAttention {
  const char* name;
  AnyLayer<S, 4> (*make)(const std::string& name, const MakeAttentionOptions& given, Rng& rng);
};
template <class S, template <class> class L, class Options>
AnyLayer<S, 4> make_named(const std::string& name, const MakeAttentionOptions& given, Rng& rng) {
  const Options options = placed<Options>(name, given);
  if constexpr (std::is_constructible_v<L<S>, const Options&, Rng&>)
    return L<S>(options, rng);
  else
    return L<S>(options);
}

/// timm's names first, in the order of its create_attn.
template <class S>
const std::vector<NamedAttention<S>>& named_attentions() {
  using Given = MakeAttentionOptions;
  static const std::vector<NamedAttention<S>> all{
      {"se", make_named<S, SqueezeExcite, SqueezeExciteOptions>},
      {"ese", make_named<S, EffectiveSqueezeExcite, EffectiveSqueezeExciteOptions>},
      {"eca", make_named<S, EfficientChannelAttention, EfficientChannelAttentionOptions>},
      {"ecam",
       [](const std::string& name, const Given& given, Rng& rng) -> AnyLayer<S, 4> {
         EfficientChannelAttentionOptions preset;
         preset.mlp = true;
         return EfficientChannelAttention<S>(placed(name, given, preset), rng);
       }},
      {"ceca",
       [](const std::string& name, const Given& given, Rng& rng) -> AnyLayer<S, 4> {
         EfficientChannelAttentionOptions preset;
         preset.circular = true;
         return EfficientChannelAttention<S>(placed(name, given, preset), rng);
       }},
      {"ge", make_named<S, GatherExcite, GatherExciteOptions>},
      {"gc", make_named<S, GlobalContext, GlobalContextOptions>},
      {"gca",
       [](const std::string& name, const Given& given, Rng& rng) -> AnyLayer<S, 4> {
         GlobalContextOptions preset;
         preset.fuse_add = true, preset.fuse_scale = false;
         return GlobalContext<S>(placed(name, given, preset), rng);
       }},
      {"cbam", make_named<S, Cbam, CbamOptions>},
      {"lcbam", make_named<S, LightCbam, LightCbamOptions>},
      {"coord", make_named<S, CoordinateAttention, CoordinateAttentionOptions>},
      {"scoord", make_named<S, SimpleCoordinateAttention, SimpleCoordinateAttentionOptions>},
      {"ela", make_named<S, EfficientLocalAttention, EfficientLocalAttentionOptions>},
      {"strip", make_named<S, StripAttention, StripAttentionOptions>},
      {"sk", make_named<S, SelectiveKernel, SelectiveKernelOptions>},
      {"splat", make_named<S, SplitAttention, SplitAttentionOptions>},
      {"lambda", make_named<S, LambdaLayer, LambdaLayerOptions>},
      {"bottleneck", make_named<S, BottleneckAttention, BottleneckAttentionOptions>},
      {"halo", make_named<S, HaloAttention, HaloAttentionOptions>},
      {"nl", make_named<S, NonLocal, NonLocalOptions>},
      {"bat", make_named<S, BilinearAttention, BilinearAttentionOptions>},
      {"grn", make_named<S, GlobalResponseNorm, GlobalResponseNormOptions>},
      {"cca", make_named<S, ContrastAwareAttention, ContrastAwareAttentionOptions>},
      {"cam", make_named<S, DanetChannelAttention, DanetChannelAttentionOptions>},
      {"bam", make_named<S, Bam, BamOptions>},
      {"scse", make_named<S, Scse, ScseOptions>},
      {"simam",
       [](const std::string& name, const Given& given, Rng&) -> AnyLayer<S, 4> {
         return SimAm(placed<SimAmOptions>(name, given));
       }},
      {"triplet", make_named<S, TripletAttention, TripletAttentionOptions>},
      {"pam", make_named<S, PositionAttention, PositionAttentionOptions>},
      {"criss_cross", make_named<S, CrissCrossAttention, CrissCrossAttentionOptions>},
      {"axial", make_named<S, AxialAttention, AxialAttentionOptions>},
      {"esa", make_named<S, EnhancedSpatialAttention, EnhancedSpatialAttentionOptions>},
  };
  return all;
}
}  // namespace detail

/// The names that make_attention knows.
inline std::vector<std::string> attention_names() {
  std::vector<std::string> names;
  for (const auto& known : detail::named_attentions<float>()) names.push_back(known.name);
  return names;
}

/// The attention of that name, for the attention slot of a block (timm's create_attn):
///
///     BottleneckBlock<float> block({...}, make_attention<float>("eca", {.channels = 256}, rng), rng);
///
/// timm's names: se, ese, eca, ecam, ceca, ge, gc, gca, cbam, lcbam, coord, scoord, ela, strip, sk, splat, lambda,
/// bottleneck, halo, nl, bat. Others: grn, cca (ContrastAwareAttention), cam (DanetChannelAttention), bam, scse, simam,
/// triplet, pam (PositionAttention), criss_cross, axial, esa (EnhancedSpatialAttention). Throws
/// OptionError for another name, with the nearest known ones, for an option that the attention does not have, and
/// whatever the attention refuses.
template <class S>
AnyLayer<S, 4> make_attention(const std::string& name, const MakeAttentionOptions& options, Rng& rng) {
  for (const auto& known : detail::named_attentions<S>())
    if (name == known.name) return known.make(name, options, rng);
  const auto names = detail::nearest_first(name, attention_names());
  std::string text = "the name is \"" + name + "\"; the nearest known ones are " + names[0] + ", " + names[1] +
                     " and " + names[2] + ", the others";
  for (std::size_t i = 3; i < names.size(); ++i) text += (i == 3 ? " " : ", ") + names[i];
  throw OptionError("make_attention", text);
}

ATTEND_END
