#pragma once
#include "attend/autograd/recording.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/layers/any_layer.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/embedding.hpp"
#include "attend/testing/gradient_check.hpp"

// Small models that the tests of autograd are run on.
namespace models {
using namespace attend;

/// x + slot(x), and offers "gate": what the slot gave.
template <class S>
struct Block : Layer<Block<S>> {
  explicit Block(AnyLayer<S, 2> layer) : slot(std::move(layer)) {}
  Variable<S, 2> forward(const Variable<S, 2>& x) const {
    const auto gate = slot(x);
    offer(*this, "gate", gate);
    return x + gate;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("slot", self.slot);
  }
  AnyLayer<S, 2> slot;
};

/// Ids, a table, two blocks, a head: (B) -> (B, classes).
template <class S>
struct Net : Layer<Net<S>> {
  Net(Index vocabulary, Index dim, Index classes, Rng& rng)
      : embedding({vocabulary, dim}, rng), head({dim, classes}, rng) {
    for (int i = 0; i < 2; ++i) blocks.emplace_back(Dense<S>({dim, dim}, rng));
  }
  Variable<S, 2> forward(const Variable<int, 1>& ids) const {
    Variable<S, 2> x = embedding(ids);
    for (const auto& block : blocks) x = block(x);
    return head(x);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("embedding", self.embedding);
    visit("blocks", self.blocks);
    visit("head", self.head);
  }
  Embedding<S> embedding;
  std::vector<Block<S>> blocks;
  Dense<S> head;
};

/// Two inputs and call options: scale (a + mix(b)).
struct BlendCall {
  double scale = 1;
};
template <class S>
struct Blend : Layer<Blend<S>> {
  using CallOptions = BlendCall;
  Blend(Index dim, Rng& rng) : mix({dim, dim}, rng) {}
  Variable<S, 2> forward(const Variable<S, 2>& a, const Variable<S, 2>& b, const BlendCall& options) const {
    auto y = a + mix(b);
    for (double s = 1; s < options.scale; ++s) y = y + a;
    return y;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("mix", self.mix);
  }
  Dense<S> mix;
};

/// Hands its second argument back.
struct Second : Layer<Second> {
  template <class S>
  Variable<S, 2> forward(const Variable<S, 2>&, const Variable<S, 2>& b) const {
    return b;
  }
};

/// Passes x on; on a training tape it reports the moments of its channels, as a batch norm does.
template <class S>
struct Watch : Layer<Watch<S>> {
  explicit Watch(Index channels) : mean({channels}, S(0), Kind::buffer), variance({channels}, S(1), Kind::buffer) {}
  Variable<S, 2> forward(const Variable<S, 2>& x) const {
    const Operation<S> op("watch", x);
    if (!op.training()) return x;
    const Index channels = x.dim(-1), n = x.dim(0);
    Moments<S> m{mean.id(),
                 variance.id(),
                 S(1),
                 n,
                 std::vector<S>(std::size_t(channels)),
                 std::vector<S>(std::size_t(channels))};
    for (Index i = 0; i < x.size(); ++i) m.mean[std::size_t(i % channels)] += x.data()[i] / S(n);
    for (Index i = 0; i < x.size(); ++i)
      m.variance[std::size_t(i % channels)] += std::pow(x.data()[i] - m.mean[std::size_t(i % channels)], S(2)) / S(n);
    op.tape()->report(m);
    return x;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("running_mean", self.mean);
    visit("running_var", self.variance);
  }
  Parameter<S, 1> mean, variance;
};

/// Dropout, dense, dropout.
struct Dropping : Layer<Dropping> {
  explicit Dropping(Rng& rng) : dense({4, 4}, rng) {}
  Variable<double, 2> forward(const Variable<double, 2>& x) const { return dropout(dense(dropout(x, 0.3)), 0.5); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("dense", self.dense);
  }
  Dense<double> dense;
};

inline Tensor<int, 1> ids(std::initializer_list<int> values) {
  Tensor<int, 1> t(static_cast<Index>(values.size()));
  std::copy(values.begin(), values.end(), t.data());
  return t;
}
template <class A, class B>
bool same(const A& a, const B& b) {
  return shape_of(a) == shape_of(b) && std::equal(a.data(), a.data() + a.size(), b.data());
}
}  // namespace models
