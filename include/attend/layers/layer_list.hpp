#pragma once
#include "attend/layers/any_layer.hpp"

ATTEND_BEGIN

/// Layers one after another, put together at run time; each takes and gives the same rank. Children are named "0", "1",
/// ... as torch.nn.Sequential's. Empty, it gives what it is given.
///
///     LayerList<float, 3> blocks;
///     for (int i = 0; i < depth; ++i) blocks.push_back(EncoderBlock<float>({...}, rng));
template <class S, int R>
class LayerList : public Layer<LayerList<S, R>> {
 public:
  LayerList() = default;
  explicit LayerList(std::vector<AnyLayer<S, R>> layers) : layers_(std::move(layers)) {}

  void push_back(AnyLayer<S, R> layer) { layers_.push_back(std::move(layer)); }
  std::size_t size() const { return layers_.size(); }

  Variable<S, R> forward(const Variable<S, R>& x) const {
    Variable<S, R> y = x;
    for (const auto& layer : layers_) y = layer(y);
    return y;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("", self.layers_);
  }

 private:
  std::vector<AnyLayer<S, R>> layers_;
};

ATTEND_END
