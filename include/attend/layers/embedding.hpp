#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/embedding.hpp"

ATTEND_BEGIN

struct EmbeddingOptions {
  Index num_embeddings = 0;
  Index embed_dim = 0;
};

/// Rows of a table by integer id.  ids: (...), any integer type  ->  (..., embed_dim).  weight: (num_embeddings, embed_dim)
template <class S>
class Embedding : public Layer<Embedding<S>> {
 public:
  Embedding(const EmbeddingOptions& o, Rng& rng) : weight_({o.num_embeddings, o.embed_dim}, rng, 1) {}
  template <class Id, int R, std::enable_if_t<std::is_integral_v<Id>, int> = 0> Variable<S, R + 1> forward(const Variable<Id, R>& ids) const {
    return embedding(ids, weight_.on(ids));
  }
  template <class Self, class Visit> static void children(Self& self, Visit&& visit) { visit("weight", self.weight_); }

 private:
  Parameter<S, 2> weight_;
};

ATTEND_END
