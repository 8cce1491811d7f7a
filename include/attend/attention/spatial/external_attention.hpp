#pragma once
#include "attend/attention/check_map.hpp"
#include "attend/attention/spatial/gather_positions.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/layers/dense.hpp"

ATTEND_BEGIN

struct ExternalAttentionOptions {
  Index channels = 0;
  Index memory_size = 64;  ///< keys and values that all images share
};

/// External attention (Guo et al. 2021, Beyond Self-attention, eq. 6 to 10): positions attend to a learned memory in
/// place of each other, with weights normalised twice,
///
///   w = softmax over positions of mk(x), each row divided by its sum over the memory,   y = mv(w).
///
/// x: (batch, height, width, channels) or (batch, length, channels)  ->  the same shape. Offers "weights" (batch,
/// positions, memory_size), whose rows sum to one.
/// mk.weight (memory_size, channels)  mv.weight (channels, memory_size). Saved: x, the weights. Throws OptionError
/// unless sizes are above 0, ShapeError for other channels.
template <class S>
class ExternalAttention : public Layer<ExternalAttention<S>> {
 public:
  ExternalAttention(const ExternalAttentionOptions& options, Rng& rng)
      : options_(checked(options)),
        mk_({options.channels, options.memory_size, false}, rng),
        mv_({options.memory_size, options.channels, false}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const { return forward(detail::positions_of(x)).reshape(x.shape()); }
  Variable<S, 3> forward(const Variable<S, 3>& x) const {
    detail::check_map_channels("ExternalAttention", x.shape(), options_.channels);
    const auto over_positions = softmax(mk_(x), 1);
    const auto weights = over_positions / sum(over_positions, {2}, keep_dims);
    offer(*this, "weights", weights);
    return mv_(weights);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("mk", self.mk_);
    visit("mv", self.mv_);
  }

 private:
  static const ExternalAttentionOptions& checked(const ExternalAttentionOptions& o) {
    require<OptionError>(o.channels > 0 && o.memory_size > 0, "ExternalAttention", [&] {
      return message("channels = ", o.channels, " and memory_size = ", o.memory_size, " must be above 0");
    });
    return o;
  }
  ExternalAttentionOptions options_;
  Dense<S> mk_, mv_;
};

ATTEND_END
