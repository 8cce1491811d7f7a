#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/bias_table.hpp"

ATTEND_BEGIN

struct RelativePositionBiasOptions {
  Index height = 0;          ///< of the window
  Index width = 0;           ///< of the window
  Index num_heads = 1;       ///< one bias per head
  bool class_token = false;  ///< token 0 has no place in the window; three extra rows serve it
};

/// The row that each pair of a window's tokens reads from a table: (dy + height - 1)(2 width - 1) + dx + width - 1 with
/// (dy, dx) = **query - key** positions. With a class token, token 0, the last three rows are class -> token, token ->
/// class, class -> class. Throws OptionError for sizes that are not positive, and for more than 2^15 tokens, whose pairs
/// would fill the memory.
inline Shared<const BiasIndex> relative_position_index(Index height, Index width, bool class_token = false) {
  constexpr Index most = Index(1) << 15;
  require<OptionError>(height > 0 && width > 0 && height <= most / width, "relative_position_index", [&] {
    return message("a window of ", Shape<2>{height, width}, " must have cells, and at most ", most);
  });
  const Index extra = class_token ? 1 : 0, tokens = height * width + extra;
  const Index pairs = (2 * height - 1) * (2 * width - 1);
  auto made = std::make_shared<BiasIndex>();
  made->queries = made->keys = tokens;
  for (Index q = -extra; q < tokens - extra; ++q)
    for (Index k = -extra; k < tokens - extra; ++k)
      made->rows.push_back(q < 0   ? (k < 0 ? pairs + 2 : pairs)
                           : k < 0 ? pairs + 1
                                   : (q / width - k / width + height - 1) * (2 * width - 1) + q % width - k % width +
                                         width - 1);
  return made;
}

/// The learned bias of a window's relative positions, of which relative_position_index picks the row (Swin: Liu et al.
/// 2021, section 3.2; timm's RelPosBias).
///
/// relative_position_bias_table: ((2 height - 1)(2 width - 1) [+ 3], num_heads), drawn from a normal of deviation 0.02.
/// Called on scores (batch, heads, tokens, tokens) it returns scores + bias; `bias(x)` is the bias alone,
/// (1, heads, tokens, tokens), on the tape of x, to be given to an attention. tokens = height * width [+ 1], row-major.
/// Throws OptionError for non-positive sizes, ShapeError for scores of other sizes.
template <class S>
class RelativePositionBias : public Layer<RelativePositionBias<S>> {
 public:
  RelativePositionBias(const RelativePositionBiasOptions& options, Rng& rng)
      : index_(relative_position_index(checked(options).height, options.width, options.class_token)),
        table_(
            {(2 * options.height - 1) * (2 * options.width - 1) + (options.class_token ? 3 : 0), options.num_heads}) {
    auto table = table_.edit();
    for (Index i = 0; i < table.size(); ++i) table.data()[i] = S(0.02 * rng.normal());
  }

  Variable<S, 4> forward(const Variable<S, 4>& scores) const { return add_relative_bias(scores, bias(scores)); }
  template <class V>
  Variable<S, 4> bias(const V& on) const {
    return bias_from_table(table_.on(on), index_);
  }

  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("relative_position_bias_table", self.table_);
  }

 private:
  static const RelativePositionBiasOptions& checked(const RelativePositionBiasOptions& o) {
    require<OptionError>(o.height > 0 && o.width > 0 && o.num_heads > 0, "RelativePositionBias", [&] {
      return message("height = ", o.height, ", width = ", o.width, " and num_heads = ", o.num_heads,
                     " must be above 0");
    });
    return o;
  }
  Shared<const BiasIndex> index_;  // a constant, shared by copies of the layer
  Parameter<S, 2> table_;
};

ATTEND_END
