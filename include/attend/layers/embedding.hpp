#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/embedding.hpp"

ATTEND_BEGIN

struct EmbeddingOptions {
  Index num_embeddings = 0;  ///< rows of the table
  Index embed_dim = 0;       ///< extent of a row
  Index padding_idx = -1;    ///< a row that starts at zero and gets no gradient; -1: none
};

/// Rows of a table by integer id.  ids: (...), any integer type  ->  (..., embed_dim).
/// weight: (num_embeddings, embed_dim), standard normal.  Throws ShapeError for an id that names no row.
/// torch.nn.Embedding
template <class S>
class Embedding : public Layer<Embedding<S>> {
 public:
  Embedding(const EmbeddingOptions& options, Rng& rng)
      : weight_({checked(options).num_embeddings, options.embed_dim}), padding_idx_(options.padding_idx) {
    auto weight = weight_.edit();
    for (Index i = 0; i < weight.size(); ++i) weight.data()[i] = S(rng.normal());
    if (padding_idx_ >= 0) std::fill_n(weight.data() + padding_idx_ * options.embed_dim, options.embed_dim, S(0));
  }

  template <class Id, int R, std::enable_if_t<std::is_integral_v<Id>, int> = 0>
  Variable<S, R + 1> forward(const Variable<Id, R>& ids) const {
    return embedding(ids, weight_.on(ids), padding_idx_);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight_);
  }
  /// The table as a Variable on the tape of x: for a head whose weights are these (tied embeddings).
  template <class... V>
  Variable<S, 2> table_on(const V&... x) const {
    return weight_.on(x...);
  }
  Parameter<S, 2>& weight() { return weight_; }

 private:
  static const EmbeddingOptions& checked(const EmbeddingOptions& o) {
    require<OptionError>(o.num_embeddings > 0 && o.embed_dim > 0, "Embedding", [&] {
      return message("num_embeddings is ", o.num_embeddings, " and embed_dim ", o.embed_dim,
                     "; both must be at least 1");
    });
    require<OptionError>(o.padding_idx >= -1 && o.padding_idx < o.num_embeddings, "Embedding", [&] {
      return message("padding_idx is ", o.padding_idx, "; it must lie in [0, ", o.num_embeddings,
                     "), or be -1 for none");
    });
    return o;
  }
  Parameter<S, 2> weight_;
  Index padding_idx_;
};

ATTEND_END
