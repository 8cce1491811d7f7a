#pragma once
#include "attend/attention/channel/reduced_channels.hpp"

ATTEND_BEGIN
namespace detail {

/// Throws OptionError, in the layer's name, unless the heads divide the channels.
inline void check_heads(const char* layer, Index channels, Index num_heads) {
  check_sizes(layer, {{"channels", channels}, {"num_heads", num_heads}});
  require<OptionError>(channels > 0 && num_heads > 0 && channels % num_heads == 0, layer,
                       [&] { return message("num_heads = ", num_heads, " must divide channels = ", channels); });
}
/// Fills in the channels and heads of BoTNet's attention, halo attention and lambda layers as timm does: as many channels
/// out as in, query and key of make_divisible(out_channels qk_ratio, 8) / num_heads. Throws OptionError, in the layer's
/// name, for sizes that do not fit each other.
template <class Options>
void complete_heads(const char* layer, Options& o) {
  check_sizes(layer, {{"channels", o.channels},
                      {"out_channels", o.out_channels},
                      {"num_heads", o.num_heads},
                      {"dim_head", o.dim_head}});
  if (o.out_channels == 0) o.out_channels = o.channels;
  require<OptionError>(o.channels > 0 && o.num_heads > 0 && o.out_channels > 0 && o.out_channels % o.num_heads == 0,
                       layer, [&] {
                         return message("channels = ", o.channels, " must be above 0 and num_heads = ", o.num_heads,
                                        " divide out_channels = ", o.out_channels);
                       });
  if (o.dim_head == 0) o.dim_head = make_divisible(double(o.out_channels) * o.qk_ratio) / o.num_heads;
  require<OptionError>(o.dim_head > 0, layer, [&] {
    return message("dim_head = ", o.dim_head, " must be above 0, with out_channels = ", o.out_channels,
                   ", qk_ratio = ", o.qk_ratio, " and num_heads = ", o.num_heads);
  });
}

}  // namespace detail
ATTEND_END
