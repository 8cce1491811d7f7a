#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/position.hpp"

ATTEND_BEGIN

struct LearnedPositionOptions {
  Index max_length = 0;  ///< number of positions
  Index embed_dim = 0;   ///< channels of the tokens
};
struct LearnedPositionCall {
  Index offset = 0;  ///< position of the first token, when decoding with a cache
};

namespace detail {
inline const LearnedPositionOptions& checked_positions(const LearnedPositionOptions& o, const char* name) {
  require<OptionError>(o.max_length > 0 && o.embed_dim > 0, name, [&] {
    return message("max_length = ", o.max_length, " and embed_dim = ", o.embed_dim, " must be above 0");
  });
  return o;
}
}  // namespace detail

/// y(b, l, :) = x(b, l, :) + weight(offset + l, :), a row learned for each position (GPT's `wpe`, BERT's
/// position_embeddings).
///
/// x: (batch, length, embed_dim)  ->  the same shape; length at most max_length. weight: (max_length, embed_dim), drawn
/// from the standard normal, as nn.Embedding. Saves nothing. Throws ShapeError for other channels or a longer input.
template <class S>
class LearnedPosition : public Layer<LearnedPosition<S>> {
 public:
  using CallOptions = LearnedPositionCall;
  LearnedPosition(const LearnedPositionOptions& options, Rng& rng)
      : weight_({detail::checked_positions(options, "LearnedPosition").max_length, options.embed_dim}) {
    auto weight = weight_.edit();
    for (Index i = 0; i < weight.size(); ++i) weight.data()[i] = S(rng.normal());
  }
  Variable<S, 3> forward(const Variable<S, 3>& x, const LearnedPositionCall& call) const {
    return add_positions(x, weight_.on(x), call.offset);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight_);
  }

 private:
  Parameter<S, 2> weight_;
};

/// LearnedPosition in the form of timm's ViT: one tensor (1, max_length, embed_dim) that bears the name its owner gives
/// to this layer (`pos_embed`), drawn from a normal of deviation 0.02.
template <class S>
class PositionEmbedding : public Layer<PositionEmbedding<S>> {
 public:
  using CallOptions = LearnedPositionCall;
  PositionEmbedding(const LearnedPositionOptions& options, Rng& rng)
      : table_({1, detail::checked_positions(options, "PositionEmbedding").max_length, options.embed_dim}) {
    auto table = table_.edit();
    for (Index i = 0; i < table.size(); ++i) table.data()[i] = S(0.02 * rng.normal());
  }
  Variable<S, 3> forward(const Variable<S, 3>& x, const LearnedPositionCall& call) const {
    const auto table = table_.on(x);
    return add_positions(x, table.reshape(Shape<2>{table.dim(1), table.dim(2)}), call.offset);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("", self.table_);
  }

 private:
  Parameter<S, 3> table_;
};

ATTEND_END
