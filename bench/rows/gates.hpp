#pragma once
/// Attention of feature maps by timm's names, beside timm: inference and training step, batch 1 and 16. Twelve of them at
/// the four stages of ResNet-50, the others at the third.
#include <attend/attention/make_attention.hpp>

#include "layer_work.hpp"

namespace bench {

struct GateCase {
  std::string name;
  Shape<4> shape;

  template <class S>
  AnyLayer<S, 4> layer() const {
    MakeAttentionOptions options{.channels = shape[3]};
    if (name == "bottleneck") options.feature_size = Pair(shape[1], shape[2]);
    if (name == "halo") options.block_size = 7;
    Rng rng(2);
    auto made = make_attention<S>(name, options, rng);
    // what starts at zero would hide what it multiplies
    for (const auto& p : parameters<S>(made)) {
      const S* values = p->data();
      if (p->kind() == Kind::buffer || std::any_of(values, values + p->size(), [](S v) { return v != 0; })) continue;
      auto edited = p->edit_flat();
      for (Index i = 0; i < edited.size(); ++i) edited(i) = S(0.1);
    }
    return made;
  }
};

inline Work gate_row(const GateCase& c) {
  return layer_inference(c.layer<float>(), normal_tensor<4>(c.shape, 1), {{"computes", "gate"}, {"name", c.name}},
                         [c](const AnyLayer<float, 4>& layer, const Tensor<float, 4>& x, const Tensor<float, 4>& y) {
                           return difference(y, in_double(c.layer<double>(), layer)(in_double(x)));
                         });
}
inline Work gate_training_row(const GateCase& c) {
  return layer_training(
      c.layer<float>(), normal_tensor<4>(c.shape, 1), c.shape, {{"computes", "gate"}, {"name", c.name}},
      [c](const AnyLayer<float, 4>& layer, const auto& x, const auto& dy, const auto& y, const auto& dx,
          const Gradients<float>& gradients) {
        return training_difference(in_double(c.layer<double>(), layer), layer, x, dy, y, dx, gradients);
      });
}

inline Rows gate_rows() {
  // Means and products of up to 2048 channels or 3136 positions; gradients of parameters are sums over up to 50,176
  // positions of numbers of either sign.
  constexpr double inference = 2e-5, training = 1e-4;
  constexpr Index never = 1000;
  const struct {
    const char* name;
    bool every_stage, whole_block = false;
    Index trains_from = 1;  ///< batch
  } gates[] = {{"se", true},
               {"ese", true},
               {"eca", true},
               {"ge", true},
               {"gc", true},
               {"cbam", true},
               {"lcbam", true},
               {"coord", true},
               {"ela", true},
               {"nl", true},
               {"sk", true, true, 16},  // its batch norm needs more than one pooled value
               {"splat", true, true},
               {"ecam", false},
               {"ceca", false},
               {"gca", false},
               {"scoord", false},
               {"strip", false},
               {"grn", false},
               {"bat", false, false, never},  // with its dropout there is nothing to compare
               {"lambda", false, true},
               {"bottleneck", false, true},
               {"halo", false, true}};
  Rows rows;
  for (const auto& gate : gates)
    for (int stage = 1; stage <= 4; ++stage) {
      if (!gate.every_stage && stage != 3) continue;
      const Index size = 112 >> stage, channels = (gate.whole_block ? 32 : 128) << stage;
      for (const Index batch : {1, 16}) {
        const GateCase c{gate.name, {batch, size, size, channels}};
        const std::string id = gate.name + ("." + std::to_string(stage)) + (batch == 16 ? "@16" : ""),
                          what = gate.name + (", " + std::to_string(channels)) + " of " + std::to_string(size) + "x" +
                                 std::to_string(size) + ", N" + std::to_string(batch);
        const double map = 4 * double(element_count(c.shape));
        rows.push_back({id, what, Bound::copying, 0, 2 * map, inference, [c] { return gate_row(c); }});
        if (batch >= gate.trains_from)
          rows.push_back({id + "@train", what + ", training step", Bound::copying, 0, 4 * map, training,
                          [c] { return gate_training_row(c); }});
      }
    }
  return rows;
}

}  // namespace bench
