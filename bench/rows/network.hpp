#pragma once
/// A17, A18, E1, E2: attention as a layer and in whole networks; FM: training of the network of examples/fashion_mnist.
#include <attend/attention/channel/squeeze_excite.hpp>
#include <attend/models/resnet.hpp>
#include <attend/train/adam.hpp>
#include <attend/train/cross_entropy.hpp>

#include "../../examples/fashion_mnist/network.hpp"
#include "../networks/vision_transformer.hpp"
#include "layer_work.hpp"

namespace bench {

inline Work multi_head_attention_row(Index batch, Index length) {
  const MultiHeadAttentionOptions options{.embed_dim = 768, .num_heads = 12};
  Rng rng(2);
  return layer_inference(MultiHeadAttention<float>(options, rng), normal_tensor<3>({batch, length, 768}, 1),
                         {{"computes", "multi_head_attention"}, {"heads", "12"}},
                         [options](const MultiHeadAttention<float>& layer, const auto& x, const auto& y) {
                           Rng any(0);
                           return difference(y,
                                             in_double(MultiHeadAttention<double>(options, any), layer)(in_double(x)));
                         });
}

constexpr TransformerLayerOptions bert_layer{
    .embed_dim = 768, .num_heads = 12, .dim_feedforward = 3072, .dropout = 0, .activation = Activation::gelu};
inline Description bert_description() { return {{"computes", "encoder_layer"}, {"heads", "12"}, {"norm_first", "0"}}; }

inline Work encoder_layer_row() {
  Rng rng(2);
  return layer_inference(
      TransformerEncoderLayer<float>(bert_layer, rng), normal_tensor<3>({8, 128, 768}, 1), bert_description(),
      [](const TransformerEncoderLayer<float>& layer, const auto& x, const auto& y) {
        Rng any(0);
        return difference(y, in_double(TransformerEncoderLayer<double>(bert_layer, any), layer)(in_double(x)));
      });
}

inline Work encoder_layer_training_row() {
  Rng rng(2);
  const Shape<3> shape{8, 128, 768};
  return layer_training(TransformerEncoderLayer<float>(bert_layer, rng), normal_tensor<3>(shape, 1), shape,
                        bert_description(),
                        [](const TransformerEncoderLayer<float>& layer, const auto& x, const auto& dy, const auto& y,
                           const auto& dx, const Gradients<float>& gradients) {
                          Rng any(0);
                          const auto exact = in_double(TransformerEncoderLayer<double>(bert_layer, any), layer);
                          return training_difference(exact, layer, x, dy, y, dx, gradients);
                        });
}

template <template <class> class Model>
Work image_network_row(const char* name) {
  Rng rng(2);
  return layer_inference(Model<float>(rng), normal_tensor<4>({1, 224, 224, 3}, 1), {{"computes", name}},
                         [](const Model<float>& model, const auto& x, const auto& y) {
                           Rng any(0);
                           return difference(y, in_double(Model<double>(any), model)(in_double(x)));
                         });
}

/// SE-ResNet-50 (Hu et al. 2018), of reduction 16.
template <class S>
struct SeResNet : ResNet<S> {
  explicit SeResNet(Rng& rng)
      : ResNet<S>({.bottleneck = true,
                   .layers = {3, 4, 6, 3},
                   .zero_init_last = false,
                   .attention = [](Index channels, Rng& r) -> AnyLayer<S, 4> {
                     return SqueezeExcite<S>(senet_squeeze_excite(channels, 16), r);
                   }},
                  rng) {}
  static constexpr double operations = 8.2e9;  // of one image of 224 x 224, two for each multiplication
};

/// Steps of AdamW on one batch of 128 images. Right is a loss that falls; what is written are an untrained network and
/// its logits.
inline Work fashion_mnist_row() {
  struct State {
    Rng rng{1};
    Network untrained{NetworkOptions{}, 10, rng};
    Network network{untrained};
    AdamW<float> optimizer{network, {.learning_rate = 1e-3}};
    Tensor<float, 4> images{normal_tensor<4>({128, 28, 28, 1}, 3)};
    Tensor<int, 1> labels{128};
    State() {
      for (Index i = 0; i < labels.size(); ++i) labels(i) = int(i % 10);
    }
    float step() {
      Tape<float> tape(Mode::training, rng);
      const auto loss = cross_entropy(network(tape.input(images)), labels);
      optimizer.step(network, tape.backward(loss));
      return loss.item();
    }
  };
  const auto s = std::make_shared<State>();
  return {[s] { s->step(); },
          [s] {
            const float before = s->step();
            float after = before;
            for (int i = 0; i < 20; ++i) after = s->step();
            return after < before ? 0.0 : 1.0;
          },
          [s](SafetensorsWriter& file) {
            file.add("x", s->images).add("labels", s->labels).add("output", s->untrained(s->images));
            add_parameters<float>(file, s->untrained, "layer.");
            describe(file, {{"computes", "fashion_mnist"}}, "step");
          }};
}
/// Of a step on 128 images: the convolutions, forward and backward; the rest is less than a tenth.
inline double fashion_mnist_operations() {
  const double stem = 28 * 28 * 9 * 32, first = 2 * 14 * 14 * 9 * 32 * 32,
               second = 7 * 7 * (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64);
  return 2 * 3 * 128 * (stem + first + second);
}

inline Rows network_rows() {
  // Sums of up to 3072 terms one after another, norms between.
  constexpr double layer = 2e-5, network = 5e-5;
  constexpr Bound fma = Bound::products;
  const auto attention = [](double batch, double length) {
    return batch * (8 * length * 768 * 768 + 4 * length * length * 768);
  };
  const double feed_forward = 4.0 * 8 * 128 * 768 * 3072;
  Rows rows;
  rows.push_back({"A17@128", "multi-head attention, B1 L128 E768 H12", fma, attention(1, 128), 0, layer,
                  [] { return multi_head_attention_row(1, 128); }});
  rows.push_back({"A17@512", "multi-head attention, B1 L512 E768 H12", fma, attention(1, 512), 0, layer,
                  [] { return multi_head_attention_row(1, 512); }});
  rows.push_back({"A18", "transformer encoder layer, B8 L128 E768 F3072", fma, attention(8, 128) + feed_forward, 0,
                  layer, encoder_layer_row});
  rows.push_back({"A18@train", "the same, training step", fma, 3 * (attention(8, 128) + feed_forward), 0, layer,
                  encoder_layer_training_row});
  rows.push_back({"E1", "ViT-S/16, one image", fma, VisionTransformer<float>::operations(), 0, network,
                  [] { return image_network_row<VisionTransformer>("vision_transformer"); }});
  rows.push_back({"E2", "SE-ResNet-50, one image", fma, SeResNet<float>::operations, 0, network,
                  [] { return image_network_row<SeResNet>("se_resnet"); }});
  rows.push_back(
      {"FM", "training of the Fashion-MNIST network, N128", fma, fashion_mnist_operations(), 0, 0, fashion_mnist_row});
  return rows;
}

}  // namespace bench
